"""What each command does, once its words are known to be right."""

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

from adaptax import deploy
from adaptax.checkpoint import to_arrays
from adaptax.cli import options as asked
from adaptax.config import nearest, replaced
from adaptax.core.env import AbstractEnvironment
from adaptax.errors import ConfigError
from adaptax.evaluation import evaluate as evaluate_run
from adaptax.evaluation import save_evaluation
from adaptax.presets import preset
from adaptax.progress import Lines, say
from adaptax.registry import ENVIRONMENTS, LEARNERS, lookup, make
from adaptax.runs import Interrupted, Run, folder_name, open_run
from adaptax.runs import resume as resume_run
from adaptax.runs import train as train_run


def use_compilation_cache() -> None:
    """Keeps compiled programs between commands; where it cannot be written, JAX warns and goes on without."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    jax.config.update("jax_compilation_cache_dir", os.environ.get("ADAPTAX_CACHE", str(Path(home) / "adaptax" / "xla")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def train(options: asked.Train, changes: dict[str, dict[str, Any]]) -> str:
    """`adaptax train`."""
    use_compilation_cache()
    learner, meta_steps = preset(options.learner_name, options.env_name, options.preset)
    learner = replaced(learner, changes["learner"], "--learner")
    env = make(options.env_name, **changes["env"])
    folder = Path(options.out) if options.out else folder_name(options.learner_name, options.env_name)
    say(f"{options.learner_name} on {options.env_name}, run folder {folder}")
    work = lambda: train_run(
        learner,
        env,
        meta_steps=options.meta_steps or meta_steps,
        seed=options.seed,
        seeds=options.seeds,
        out=folder,
        progress=Lines(),
    )
    return _finished(work, folder, options.json)


def resume(options: asked.Resume, changes: dict[str, dict[str, Any]]) -> str:
    """`adaptax resume`."""
    del changes
    use_compilation_cache()
    return _finished(lambda: resume_run(options.run, progress=Lines()), Path(options.run), options.json)


def _finished(work: Any, folder: Path, as_json: bool) -> str:
    """Runs a training and says what can be done next; a signal ends the process with its own exit code."""
    try:
        run: Run = work()
    except Interrupted as interrupted:
        say(f"{interrupted}; saved. To go on: adaptax resume {folder}")
        sys.exit(interrupted.exit_code)
    best = [float(score) for score in run.saved.best_score]
    steps = [int(step) for step in run.saved.best_step]
    if as_json:
        done = {"run": str(folder), "meta_steps": run.step, "best_validation": best, "best_step": steps}
        return to_json(done | {"last": run.history[-1]})
    shown = ", ".join(f"{score:.3f} at meta-step {step}" for score, step in zip(best, steps, strict=True))
    return (
        f"best on validation tasks: {shown}\n"
        f"next:  adaptax evaluate {folder}\n"
        f"       adaptax adapt {folder}\n"
        f"       adaptax report {folder}"
    )


def evaluate(options: asked.Evaluate, changes: dict[str, dict[str, Any]]) -> str:
    """`adaptax evaluate`."""
    use_compilation_cache()
    run = open_run(options.run)
    env: AbstractEnvironment = make(options.env_name) if options.env_name else run.env
    env = replaced(env, changes.get("env", {}), "--env")
    say(f"evaluating on {options.tasks} {options.split} tasks")
    result = evaluate_run(
        run,
        split=options.split,
        tasks=options.tasks,
        episodes=options.episodes,
        seed=options.seed,
        checkpoint=options.checkpoint,
        oracle=options.oracle,
        env=env,
        learner_fields=changes.get("learner"),
    )
    path = save_evaluation(result, Path(options.run))
    if options.json:
        return to_json(result.as_dict())
    score = "" if result.normalised is None else f"normalised {result.normalised:.3f} (1 is {result.normalised_by})\n"
    return f"{result.table()}{score}kept in {path}"


def adapt(options: asked.Adapt, changes: dict[str, dict[str, Any]]) -> str:
    """`adaptax adapt`."""
    from safetensors.numpy import save_file

    del changes
    use_compilation_cache()
    run = open_run(options.run)
    env = load_named(options.env_file, own_environment) if options.env_file else None
    task = deploy.parse_task(env or run.env, options.task) if options.task else None
    result = deploy.adapt(
        run,
        task=task,
        env=env,
        episodes=options.episodes,
        lives=options.lives,
        seed=options.seed,
        checkpoint=options.checkpoint,
    )
    kept = Path(options.run) / "adapted" / f"{result.environment}-{options.seed}.safetensors"
    kept.parent.mkdir(exist_ok=True)
    save_file(to_arrays(result.agent), kept)
    if options.json:
        return to_json(result.as_dict() | {"agent": str(kept)})
    console = Console()
    with console.capture() as captured:
        console.print(result.table())
    return f"{captured.get()}the adapted agent is kept in {kept}; in Python: ax.load(run).begin(adapted=...)"


def own_environment(named: Any) -> AbstractEnvironment:
    """An environment of ours (instance or class), or a Gymnasium environment's class or a function that makes it."""
    if isinstance(named, AbstractEnvironment):
        return named
    if isinstance(named, type) and issubclass(named, AbstractEnvironment):
        return named()
    if not callable(named):
        raise ConfigError(f"--env-file names a {type(named).__name__}; it must name an environment or what makes one")
    from adaptax.adapters.gymnasium import from_gymnasium

    return from_gymnasium(named)


def report(options: asked.Report, changes: dict[str, dict[str, Any]]) -> str:
    """`adaptax report`."""
    from adaptax.report import write_report

    del changes
    path = write_report([Path(run) for run in options.runs], Path(options.out) if options.out else None)
    return to_json({"report": str(path)}) if options.json else f"report: {path}"


def list(options: asked.List, changes: dict[str, dict[str, Any]]) -> str:
    """`adaptax list`."""
    del changes
    first = lambda entry: (entry.__doc__ or "").strip().split("\n")[0]
    found = {
        "learners": {name: first(entry) for name, entry in LEARNERS.items()},
        "environments": {name: first(entry) for name, entry in ENVIRONMENTS.items()},
    }
    if options.json:
        return to_json(found)
    lines = []
    for what, entries in found.items():
        lines += [f"{what}:"] + [f"  {name:<18} {text}" for name, text in entries.items()]
    return "\n".join(lines)


def cite(options: asked.Cite, changes: dict[str, dict[str, Any]]) -> str:
    """`adaptax cite`."""
    del changes
    text = lookup(LEARNERS, options.learner_name, "learner").__doc__ or ""
    papers = " ".join(text.split("References:", 1)[-1].split("Differences from the paper", 1)[0].split())
    return to_json({"learner": options.learner_name, "references": papers}) if options.json else papers


def to_json(result: Any) -> str:
    """One line of JSON."""
    return json.dumps(result)


def load_named(place: str, call: Callable[[Any], Any] = lambda x: x) -> Any:
    """What `file.py:Name` names, imported because the user asked for it on the command line.

    Raises:
        ConfigError: there is no such file or name.
    """
    path, _, name = place.partition(":")
    if not name or not Path(path).is_file():
        raise ConfigError(f"'{place}' must be file.py:Name, with a file that exists")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, name):
        raise ConfigError(
            f"{path} has no '{name}'; {nearest(name, [n for n in vars(module) if not n.startswith('_')])}"
        )
    return call(getattr(module, name))
