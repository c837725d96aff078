"""What each command does, once its words are known to be right."""

import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import jax

from adaptax import deploy
from adaptax.checkpoint import mark_of
from adaptax.cli import options as asked
from adaptax.cli.check import Changes, file_problems
from adaptax.config import nearest, replaced
from adaptax.core.env import AbstractEnvironment, Environment, HostEnvironment
from adaptax.errors import AdaptaxError, CheckpointError, ConfigError, FaultyEnvironmentError
from adaptax.evaluation import evaluate as evaluate_run
from adaptax.evaluation import save_evaluation
from adaptax.presets import preset, preset_of
from adaptax.progress import Lines, Pulse, answer, say
from adaptax.registry import ENVIRONMENTS, LEARNERS, lookup, make, name_of
from adaptax.runs import Inspection, Interrupted, Run, folder_name, inspect_run, opened
from adaptax.runs import resume as resume_run
from adaptax.runs import train as train_run

Family = Environment | HostEnvironment


def cache_folder() -> Path:
    """Where compiled programs are kept between commands."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("ADAPTAX_CACHE", Path(home) / "adaptax" / "xla"))


def use_compilation_cache() -> None:
    """Keeps compiled programs between commands; where it cannot be written, JAX warns and goes on without."""
    jax.config.update("jax_compilation_cache_dir", str(cache_folder()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def train(options: asked.Train, changes: Changes) -> str:
    """`adaptax train`."""
    use_compilation_cache()
    learner, meta_steps = preset(options.learner_name, options.env_name, options.preset)
    learner = replaced(learner, changes["learner"], "--learner")
    env = make(options.env_name, **changes["env"])
    folder = Path(options.out) if options.out else folder_name(options.learner_name, options.env_name)
    if not options.meta_steps and not preset_of(options.learner_name, options.env_name, options.preset):
        say(f"no settings are tuned for {options.learner_name} on {options.env_name}: these are the learner's defaults")
    work = lambda: train_run(
        learner,
        env,
        meta_steps=options.meta_steps or meta_steps,
        seed=options.seed,
        seeds=options.seeds,
        out=folder,
        on_nan=options.on_nan,
        debug_nans=options.debug_nans,
        progress=Lines(f"{options.learner_name} on {options.env_name}, run folder {folder}"),
    )
    return _finished(work, folder, options.json)


def resume(options: asked.Resume, changes: Changes) -> str:
    """`adaptax resume`."""
    del changes
    use_compilation_cache()
    env = own_environment(options.env_file) if options.env_file else None
    show = Lines(f"going on with {options.run}")
    work = lambda: resume_run(options.run, progress=show, env=env, debug_nans=options.debug_nans)
    return _finished(work, Path(options.run), options.json, options.env_file)


def program_called() -> str:
    """What to type for this program: its path, where a shell would not find it by its name."""
    begun_as = Path(sys.argv[0])
    return str(begun_as) if begun_as.name == "adaptax" and not shutil.which("adaptax") else "adaptax"


def _finished(work: Any, folder: Path, as_json: bool, env_file: str | None = None) -> str:
    """Runs a training and says what can be done next; a signal ends the process with its own exit code."""
    program = program_called()
    it = f"{folder} --env-file {env_file}" if env_file else str(folder)
    try:
        run: Run = work()
    except Interrupted as interrupted:
        say(f"{interrupted}. To go on: {program} resume {it}")
        sys.exit(interrupted.exit_code)
    except KeyboardInterrupt:
        say(f"ended at once. To go on from the last checkpoint: {program} resume {it}")
        sys.exit(130)
    best = [float(score) for score in run.saved.best_score]
    steps = [int(step) for step in run.saved.best_step]
    if as_json:
        done = {"run": str(folder), "meta_steps": run.step, "best_validation": best, "best_step": steps}
        return to_json(done | {"last": run.history[-1] if run.history else None})
    shown = ", ".join(f"{score:.3f} at meta-step {step}" for score, step in zip(best, steps, strict=True))
    return (
        f"best on validation tasks: {shown}\n"
        f"next:  {program} evaluate {it}\n"
        f"       {program} adapt {it}\n"
        f"       {program} report {folder}"
    )


def evaluate(options: asked.Evaluate, changes: Changes) -> str:
    """`adaptax evaluate`."""
    if options.env_name and options.env_file:
        raise ConfigError("give --env or --env-file, not both: each names the environment to test on")
    use_compilation_cache()
    run, env = run_and_environment(options.run, options.env_file)
    if not options.env_file:
        env = replaced(make(options.env_name) if options.env_name else env, changes["env"], "--env")
    say(f"evaluating on {options.tasks} {options.split} tasks")
    names = ("split", "tasks", "episodes", "seed", "checkpoint", "oracle", "point")
    words: dict[str, Any] = {name: getattr(options, name) for name in names}
    with Pulse("still evaluating"):
        result = evaluate_run(run, env=env, learner_fields=changes["learner"], **words)
    words |= {"env": options.env_name, "env_file": options.env_file}
    path = save_evaluation(result, Path(options.run), words)
    if options.json:
        return to_json(result.as_dict())
    after = " after the last phase" if result.scale and result.scale.of == "phase_return" else ""
    ends = result.scale and f"0 is random, {result.scale.zero:.3f}; 1 is {result.scale.by}, {result.scale.one:.3f}"
    score = f"normalised{after} {result.normalised:.3f} ({ends})\n" if ends else ""
    return f"{result.table()}{score}kept in {path}"


def adapt(options: asked.Adapt, changes: Changes) -> str:
    """`adaptax adapt`."""
    del changes
    use_compilation_cache()
    run, env = run_and_environment(options.run, options.env_file)
    with Pulse("still adapting"):
        result = deploy.adapt(
            run,
            task=options.task,
            env=env,
            episodes=options.episodes,
            lives=options.lives,
            copies=options.copies,
            seed=options.seed,
            checkpoint=options.checkpoint,
        )
    mark = mark_of([options.task, options.checkpoint, options.episodes, options.copies, options.env_file])
    kept = Path(options.run) / "adapted" / f"{result.environment}-{options.seed}-{mark}.safetensors"
    kept.parent.mkdir(exist_ok=True)
    result.save(kept)
    if options.json:
        return to_json(result.as_dict() | {"agent": str(kept)})
    given = ", env=..." if name_of(run.env) not in ENVIRONMENTS else ""
    given += f", copies={options.copies}" if options.copies not in (None, 1) else ""
    load = f'ax.load("{options.run}"{given}).begin(adapted="{kept}")'
    return f"{result.table()}the adapted agent is kept in {kept}\nin Python: {load}"


def run_and_environment(folder: str, env_file: str | None) -> tuple[Run, AbstractEnvironment]:
    """A run, and the environment to live in: that of the file, or else the one that the run was trained on.

    Raises:
        ConfigError: the file is wrong; or it is needed, because the run was trained on an environment without a name.
        CheckpointError: the folder is no run.
    """
    env = own_environment(env_file) if env_file else None
    run = opened(folder, env)
    return run, run.env if env is None else env


def own_environment(place: str) -> Family:
    """What `file.py:Name` names, as an environment whose steps keep the contract.

    Raises:
        ConfigError: there is no such file or name, it is no environment, or the user's own code fails.
        FaultyEnvironmentError: it breaks the contract.
    """
    from adaptax.testing.environments import STEP_CHECKS, broken_among

    if found := file_problems(place, "--env-file"):
        raise ConfigError(*found)
    env = imported(place)
    broken = broken_among(STEP_CHECKS, env) if isinstance(env, Environment) else []
    if broken:
        raise FaultyEnvironmentError("\n".join(f"{place}: {one}" for one in broken))
    return env


def imported(place: str) -> Family:
    """What `file.py:Name` names, imported because the user asked for it on the command line.

    An environment of ours (instance or class), or a Gymnasium environment's class or a function that makes it.

    Raises:
        ConfigError: there is no such name, it is no environment, or the user's own code fails.
    """
    from adaptax.testing.explain import explained

    path, _, name = place.rpartition(":")
    spec = importlib.util.spec_from_file_location(f"env_file_{Path(path).stem}", path)
    assert spec is not None and spec.loader is not None  # for a path that ends with .py
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # postponed annotations look there
    sys.path.insert(0, str(Path(path).parent.resolve()))  # the file may import its neighbours, as if it were run
    try:
        spec.loader.exec_module(module)
        if not hasattr(module, name):
            known = [n for n in vars(module) if not n.startswith("_")]
            raise ConfigError(f"no '{name}' in it; {nearest(name, known)}")
        return _as_environment(getattr(module, name))
    except AdaptaxError as error:
        raise type(error)(f"{place}: {error}") from error
    except Exception as error:  # whatever the user's code may raise
        remedy = "install it where adaptax is" if isinstance(error, ImportError) else "--debug shows how it got there"
        raise ConfigError(f"{explained(error, place)[0]}; {remedy}") from error


def _as_environment(named: Any) -> Family:
    if isinstance(named, type) and issubclass(named, AbstractEnvironment):
        named = named()
    if isinstance(named, Environment | HostEnvironment):
        return named
    if not callable(named):
        raise ConfigError(f"it is a {type(named).__name__}; it must be an environment or what makes one")
    from adaptax.adapters.gymnasium import from_gymnasium

    return from_gymnasium(named)


def check(options: asked.Check, changes: Changes) -> str:
    """`adaptax check`."""
    from adaptax.testing.environments import STEP_CHECKS, broken_among, broken_rules

    del changes
    use_compilation_cache()
    env = imported(options.family)
    say(f"checking {options.family}")
    with Pulse("still checking"):
        broken = broken_rules(env)
    told = {"family": options.family, "broken": [{"problem": one.problem, "remedy": one.remedy} for one in broken]}
    if not broken:
        return to_json(told | facts_of(env)) if options.json else facts_text(options.family, facts_of(env))
    if options.json:
        answer(to_json(told))
    lines = [f"{i}. {one.problem}\n   to mend it: {one.remedy}" for i, one in enumerate(broken, 1)]
    if isinstance(env, Environment) and broken_among(STEP_CHECKS, env):
        lines.append("whole episodes were not lived: what shows only in them is told once single steps are right")
    raise FaultyEnvironmentError("\n".join([f"{options.family} breaks the contract:", *lines]))


def facts_of(env: Family) -> dict[str, Any]:
    """A family in a few numbers and names."""
    from adaptax.testing.environments import steps_per_second

    spec = env.spec()
    return {
        "observation": str(spec.observation),
        "action": str(spec.action),
        "episode_steps": spec.episode_steps,
        "episodes": spec.episodes,
        "splits": env.tasks.names,
        "kind": env.tasks.kind,
        "descriptor": spec.descriptor,
        "steps_per_second": round(steps_per_second(env)),
    }


def facts_text(family: str, facts: dict[str, Any]) -> str:
    """The same for a reader."""
    kind = {"iid": "each draws from the same tasks", "disjoint": "no task of one is in another"}[facts["kind"]]
    return (
        f"{family} keeps the contract\n"
        f"observation  {facts['observation']}\n"
        f"action       {facts['action']}\n"
        f"episode      at most {facts['episode_steps']} steps; episodes in a life: {facts['episodes']}\n"
        f"splits       {', '.join(facts['splits'])}; train, validation and test are {facts['kind']}: {kind}\n"
        f"descriptor   numbers that describe a task: {facts['descriptor']}\n"
        f"speed        {facts['steps_per_second']:,} steps a second, with random actions\n"
        f"next: train on it in Python; then `{program_called()} evaluate RUN --env-file {family}`"
    )


def check_run(options: asked.CheckRun, changes: Changes) -> str:
    """`adaptax check-run`."""
    del changes
    found = inspect_run(options.run)
    facts = to_json(found.as_dict()) if options.json else inspection_text(found)
    if not found.damaged:
        return facts if options.json else f"{facts}\nall of it is whole\n{found.outlook}"
    answer(facts)
    raise CheckpointError("\n".join([f"{found.folder} is damaged:", *found.damaged, found.outlook]))


def inspection_text(found: Inspection) -> str:
    """What is in a run folder, for a reader."""
    lengths = ", ".join(f"{name}.jsonl {number}" for name, number in found.lines.items())
    reason = f": {found.reason.splitlines()[0]}" if found.reason else ""
    lines = [
        f"run          {found.folder}",
        f"training     {found.learner or '?'} on {found.environment or '?'}, {found.meta_steps or '?'} meta-steps",
        f"status       {found.status or '?'}{reason}",
        f"checkpoints  whole: {', '.join(map(str, found.checkpoints)) or 'none'}",
        f"lines        {lengths}",
    ]
    return "\n".join(lines + [f"note         {note}" for note in found.notes])


def report(options: asked.Report, changes: Changes) -> str:
    """`adaptax report`."""
    from adaptax.report import write_report

    del changes
    path = write_report([Path(run) for run in options.runs], Path(options.out) if options.out else None)
    return to_json({"report": str(path)}) if options.json else f"report: {path}"


def list(options: asked.List, changes: Changes) -> str:
    """`adaptax list`."""
    del changes
    first = lambda entry: (entry.__doc__ or "").strip().split("\n")[0]
    found = {
        "learners": {name: first(entry) for name, entry in LEARNERS.items()},
        "environments": {name: first(entry) for name, entry in ENVIRONMENTS.items()},
    }
    if options.json:
        return to_json(found)
    lines, width = [], max(len(name) for entries in found.values() for name in entries)
    for what, entries in found.items():
        lines += [f"{what}:"] + [f"  {name:<{width}} {text}" for name, text in entries.items()]
    return "\n".join(lines)


def cite(options: asked.Cite, changes: Changes) -> str:
    """`adaptax cite`."""
    del changes
    text = lookup(LEARNERS, options.learner_name, "learner").__doc__ or ""
    papers = " ".join(text.partition("References:")[2].split("Differences from the paper", 1)[0].split())
    if options.json:
        return to_json({"learner": options.learner_name, "references": papers})
    return papers or "none: it is no method"


def doctor(options: asked.Doctor, changes: Changes) -> str:
    """`adaptax doctor`."""
    from adaptax import doctor as surgery

    del changes
    if not surgery.hindrance(cache_folder()):
        use_compilation_cache()
    health = surgery.examine(cache_folder(), surgery.ROOT)
    facts = to_json(health.as_dict()) if options.json else health.text()
    if not health.problems:
        return facts if options.json else f"{facts}\nadaptax works here"
    answer(facts)
    told = [f"{problem.what}\n   to mend it: {problem.remedy}" for problem in health.problems]
    raise health.problems[0].error("\n".join(told))


def to_json(result: Any) -> str:
    """One line of JSON."""
    return json.dumps(result)
