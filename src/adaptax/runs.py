"""Runs: training with a folder that can be trusted, and everything one does with it afterwards.

run.json          id, status, versions, devices, command
config.json       learner, environment and settings: enough to build the run again
metrics.jsonl     one line a log point; the source of truth of every curve
events.jsonl      validations, checkpoints, signals
checkpoints/<step>/
eval/*.json       results of `evaluate`
adapted/*         agents kept by `adapt`
"""

import dataclasses
import json
import os
import platform
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from adaptax import checkpoint as checkpoints
from adaptax.config import fields_of, nearest, problems_of, replaced
from adaptax.core.env import AbstractEnvironment, HostEnvironment
from adaptax.core.learner import Learner, traced
from adaptax.core.trainer import TrainState, chunks, init_states
from adaptax.core.types import PyTree
from adaptax.errors import CheckpointError, ConfigError, RunBusyError
from adaptax.measure import draw_tasks, measure
from adaptax.progress import Progress, Silent
from adaptax.registry import make, make_learner, name_of

SCHEMA = 1
VALIDATION_SEED = 20_000  # validation tasks are the same in every run; reported results use other seeds
VALIDATION_STEPS = 400_000  # environment steps that one validation may take, about


@dataclasses.dataclass(frozen=True)
class Settings:
    """How long and how often; part of `config.json`."""

    meta_steps: int
    seed: int = 0
    seeds: int = 1
    log_every: int = 1
    validate_every: int = 1
    checkpoint_every: int = 1
    keep: int = 3
    sweep: dict[str, list[float]] = dataclasses.field(default_factory=dict)

    @property
    def width(self) -> int:
        """S: runs trained side by side."""
        return self.seeds * max((len(values) for values in self.sweep.values()), default=1)


class Saved(NamedTuple):
    """All that a checkpoint holds; leading axis S."""

    states: TrainState
    best: PyTree  # the outer state that did best on validation tasks
    best_score: jax.Array
    best_step: jax.Array


class Now(NamedTuple):
    """What callbacks see between compiled chunks. Plain functions; one that returns True ends the training."""

    run: "Run"
    step: int
    metrics: dict[str, np.ndarray]  # means over the chunk, `[S]`
    validation: np.ndarray | None  # `[S]`, where this was a validation point
    seconds: float


Callback = Callable[[Now], Any]


@dataclasses.dataclass
class Run:
    """A trained (or half-trained) learner with its environment."""

    learner: Learner
    env: AbstractEnvironment
    settings: Settings
    saved: Saved
    folder: Path | None = None
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    @property
    def step(self) -> int:
        """Meta-steps made."""
        return int(self.saved.states.step[0])

    def meta(self, which: str | int = "best") -> PyTree:
        """The outer states `[S]` of a checkpoint: "best" on validation, "last", or a step whose checkpoint is kept.

        Raises:
            CheckpointError: there is no such checkpoint.
        """
        if which == "best":
            return self.saved.best
        if which == "last":
            return self.saved.states.meta
        kept = checkpoints.steps(self.folder / "checkpoints") if self.folder else []
        if self.folder is None or not str(which).isdigit() or int(which) not in kept:
            raise CheckpointError(f"no checkpoint '{which}'; it is best, last or one of {kept}")
        return checkpoints.load(self.folder / "checkpoints" / str(which), self.saved).states.meta

    def learner_of(self, index: int) -> Learner:
        """The learner of one of the S runs, with the values that a sweep gave it."""
        settings = self.settings
        values = {name: float(column[index // settings.seeds]) for name, column in settings.sweep.items()}
        return dataclasses.replace(self.learner, **values)


def spread(learner: Learner, settings: Settings) -> Learner:
    """The learner with float fields `[S]`: equal for all seeds, different along a sweep (seeds vary fastest)."""
    width = settings.width
    known = fields_of(learner)
    for name, values in settings.sweep.items():
        floats = {n: field for n, field in known.items() if field.kind is float}
        if name not in floats:
            raise ConfigError(f"sweep over '{name}': it must be a float field; {nearest(name, floats)}")
        if any(floats[name].wrong(value) for value in values):
            raise ConfigError(f"sweep over '{name}' = {values}: each must be {floats[name].legal()}")
    wide = jax.tree.map(lambda x: jnp.broadcast_to(x, (width,)) if eqx.is_array(x) else x, traced(learner))
    for name, values in settings.sweep.items():
        column = jnp.repeat(jnp.asarray(values, float), settings.seeds)
        wide = eqx.tree_at(lambda w: getattr(w, name), wide, column)  # noqa: B023
    return wide


def seed_keys(settings: Settings) -> jax.Array:
    """One key for each of the S runs; seed i of a run of many is the run with seed + i."""
    seeds = settings.seed + np.tile(np.arange(settings.seeds), settings.width // settings.seeds)
    return jax.vmap(jax.random.key)(jnp.asarray(seeds, jnp.uint32))


def template(learner: Learner, env: AbstractEnvironment, settings: Settings) -> Saved:
    """Shapes of everything a checkpoint holds."""
    make_saved = lambda: fresh(learner, env, settings)
    return eqx.filter_eval_shape(make_saved)


def fresh(learner: Learner, env: AbstractEnvironment, settings: Settings) -> Saved:
    """The state before the first meta-step."""
    states = init_states(spread(learner, settings), env, seed_keys(settings))
    width = settings.width
    best = jax.tree.map(jnp.copy, states.meta)
    return Saved(states, best, jnp.full(width, -jnp.inf), jnp.zeros(width, jnp.int32))


def train(
    learner: Learner,
    env: AbstractEnvironment,
    *,
    meta_steps: int,
    seed: int = 0,
    seeds: int = 1,
    callbacks: Sequence[Callback] = (),
    out: str | Path | None = None,
    sweep: dict[str, list[float]] | None = None,
    log_every: int | None = None,
    validate_every: int | None = None,
    checkpoint_every: int | None = None,
    progress: Progress | None = None,
) -> Run:
    """Trains a learner on the training tasks of an environment.

    Args:
        learner: For example `RL2(hidden=64)`.
        env: A family of tasks: `make(...)`, `from_gymnasium(...)`, or your own.
        meta_steps: Updates of the outer loop.
        seed: First seed.
        seeds: Runs with seeds `seed`, `seed + 1`, ...: trained in one compiled program.
        callbacks: Plain functions of a `Now`, called between compiled chunks; one that returns True ends the training.
        out: The run folder to make; None keeps everything in memory.
        sweep: Float fields of the learner with several values each; all lists have one length, read side by side.
        log_every: Meta-steps in a chunk; by default a hundredth of the training.
        validate_every: Meta-steps between validations; by default a tenth of the training.
        checkpoint_every: Meta-steps between checkpoints; by default a tenth of the training.
        progress: Where to show progress; None shows nothing.

    Returns:
        The run, with the best and the last state.

    Raises:
        ConfigError: something in the configuration is wrong; all of it is named.
        RunBusyError: the folder exists already.
    """
    learner = learner.bind(env.spec(meta_steps))
    wrong = problems_of(learner, "learner") + problems_of(env, "env")
    for name, value in (("meta_steps", meta_steps), ("seeds", seeds)):
        wrong += [] if value >= 1 else [f"{name} is {value}; it must be a whole number >= 1"]
    if wrong:
        raise ConfigError(*wrong)
    every = log_every or max(1, meta_steps // 100)
    tenth = every * max(1, meta_steps // (10 * every))
    settings = Settings(
        meta_steps, seed, seeds, every, validate_every or tenth, checkpoint_every or tenth, sweep=sweep or {}
    )
    saved = fresh(learner, env, settings)
    run = Run(learner, env, settings, saved, Path(out) if out else None)
    if run.folder:
        create_folder(run)
    return go_on(run, callbacks, progress)


def resume(
    folder: str | Path, *, callbacks: Sequence[Callback] = (), progress: Progress | None = None, **custom: Any
) -> Run:
    """Goes on with an interrupted run, bit for bit as if it had not been interrupted.

    Args:
        folder: The run folder.
        callbacks: As in `train`.
        progress: As in `train`.
        **custom: `learner` and `env`, where they are not registered ones.

    Raises:
        CheckpointError: the folder is no run, or no checkpoint in it is whole.
    """
    run = open_run(folder, **custom)
    if run.step >= run.settings.meta_steps:
        return run
    return go_on(run, callbacks, progress)


def go_on(run: Run, callbacks: Sequence[Callback], progress: Progress | None) -> Run:
    """Trains from where the run stands to its end."""
    settings, progress = run.settings, progress or Silent()
    learners = spread(run.learner, settings)
    log = RunLog(run)
    begun = time.monotonic()
    every = int(np.gcd.reduce([settings.log_every, settings.validate_every, settings.checkpoint_every]))
    stream = chunks(learners, run.env, run.saved.states, meta_steps=settings.meta_steps, every=every)
    log.status("running")
    with listening() as heard, progress.training(run.step, settings.meta_steps, steps_per_meta_step(run)) as show:
        for states, metrics in stream:
            run.saved = run.saved._replace(states=states)
            step, last = run.step, run.step == settings.meta_steps
            validation = validate(run, log) if last or step % settings.validate_every == 0 else None
            now = Now(run, step, metrics, validation, time.monotonic() - begun)
            log.metrics(now)
            show(step, metrics, validation)
            stop = any([callback(now) is True for callback in callbacks])
            if last or stop or heard or step % settings.checkpoint_every == 0:
                log.checkpoint(run)
            if heard:
                log.status("preempted")
                raise Interrupted(heard[0], run)
            if stop:
                break
    log.status("finished" if run.step == settings.meta_steps else "stopped")
    return run


class Interrupted(Exception):
    """A signal asked the training to end; its state is saved."""

    def __init__(self, number: int, run: Run):
        super().__init__(f"stopped by signal {number} at meta-step {run.step}")
        self.run = run
        self.exit_code = 130 if number == signal.SIGINT else 75


@contextmanager
def listening() -> Iterator[list[int]]:
    """Collects SIGTERM and SIGINT instead of dying of them; only in the main thread, and only while inside."""
    heard: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return

    def hear(number: int, frame: Any) -> None:
        del frame
        if heard:
            raise KeyboardInterrupt
        heard.append(number)

    before = {number: signal.signal(number, hear) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def validate(run: Run, log: "RunLog") -> np.ndarray:
    """Scores `[S]` on validation tasks; keeps the outer states that are the best so far."""
    saved, scores = run.saved, []
    schedule = run.learner.schedule()
    per_life = schedule.phases * schedule.steps * schedule.copies
    count = int(np.clip(VALIDATION_STEPS // per_life, 20, 1000))
    if isinstance(run.env, HostEnvironment):  # slow simulators: a validation may cost as much as one meta-step
        count = min(count, run.learner.tasks)
    tasks, keys = draw_tasks(run.env, "validation", count, VALIDATION_SEED)
    for index in range(run.settings.width):
        meta = jax.tree.map(lambda x: x[index], saved.states.meta)  # noqa: B023
        samples, _ = measure(traced(run.learner_of(index)), run.env, meta, tasks, keys, schedule, "validation")
        scores.append(samples.total_return if run.learner.objective == "total_return" else samples.phase_return[:, -1])
    score = jnp.asarray(np.mean(scores, 1), saved.best_score.dtype)
    better = score > saved.best_score
    pick = lambda new, old: jax.vmap(jnp.where)(better, new, old)
    run.saved = saved._replace(
        best=jax.tree.map(pick, saved.states.meta, saved.best),
        best_score=pick(score, saved.best_score),
        best_step=pick(saved.states.step, saved.best_step),
    )
    log.event("validation", run.step, score=np.asarray(score).tolist(), best=np.asarray(better).tolist(), tasks=count)
    return np.asarray(score)


def steps_per_meta_step(run: Run) -> int:
    """Environment steps of one meta-step, all seeds together."""
    schedule = run.learner.schedule()
    return run.settings.width * run.learner.tasks * schedule.phases * schedule.steps * schedule.copies


class RunLog:
    """Writes what happens into the run folder, and into `run.history`; without a folder only the latter."""

    def __init__(self, run: Run):
        self.run, self.folder = run, run.folder
        self.before = run.history[-1]["seconds"] if run.history else 0.0
        if self.folder:
            keep_lines(self.folder / "metrics.jsonl", run.step)

    def metrics(self, now: Now) -> None:
        """One line a log point."""
        line = {"step": now.step, "env_steps": now.step * steps_per_meta_step(self.run)}
        line |= {"seconds": round(self.before + now.seconds, 3)}
        values = now.metrics | ({} if now.validation is None else {"validation": now.validation})
        line |= {name: value.tolist() if len(value) > 1 else float(value[0]) for name, value in values.items()}
        self.run.history.append(line)
        self._append("metrics.jsonl", line)

    def event(self, kind: str, step: int, **details: Any) -> None:
        """One line for whatever is worth knowing later."""
        self._append("events.jsonl", {"event": kind, "step": step, "time": time.time(), **details})

    def status(self, status: str) -> None:
        """Where the run stands."""
        if self.folder:
            info = json.loads((self.folder / "run.json").read_text(encoding="utf-8")) | {"status": status}
            checkpoints.write_atomically(self.folder / "run.json", json.dumps(info, indent=1))

    def checkpoint(self, run: Run) -> None:
        """Saves everything, then drops the oldest checkpoints beyond `keep`."""
        if not self.folder:
            return
        home = self.folder / "checkpoints"
        checkpoints.save(home / str(run.step), run.saved, run.step)
        self.event("checkpoint", run.step)
        checkpoints.prune(home, run.settings.keep)

    def _append(self, name: str, line: dict[str, Any]) -> None:
        if self.folder:
            with (self.folder / name).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a JSONL file; a torn last line is passed over."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines


def keep_lines(path: Path, step: int) -> None:
    """Drops the lines written after the checkpoint that training goes on from."""
    kept = [json.dumps(line) + "\n" for line in read_lines(path) if line["step"] <= step]
    checkpoints.write_atomically(path, "".join(kept))


def folder_name(learner: str, env: str) -> Path:
    """`runs/<learner>-<environment>-<time>-<8 hex>`: no two are alike."""
    moment = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    return Path("runs") / f"{learner}-{env}-{moment}-{secrets.token_hex(4)}"


def create_folder(run: Run) -> None:
    """Makes the run folder with `run.json` and `config.json`.

    Raises:
        RunBusyError: it exists already.
    """
    folder = run.folder
    assert folder is not None
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise RunBusyError(
            f"{folder} exists already; give another --out, or go on with: adaptax resume {folder}"
        ) from error
    config = {
        "schema": SCHEMA,
        "learner": {"name": name_of(run.learner), "fields": values_of(run.learner)},
        "environment": {"name": name_of(run.env), "fields": values_of(run.env)},
        "settings": dataclasses.asdict(run.settings),
    }
    info = {
        "id": folder.name,
        "status": "created",
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "versions": {name: version(name) for name in ("adaptax", "jax", "jaxlib", "equinox", "optax", "numpy")},
        "python": platform.python_version(),
        "devices": [str(device) for device in jax.devices()],
        "cores": os.cpu_count(),
    }
    (folder / "checkpoints").mkdir()
    (folder / "eval").mkdir()
    checkpoints.write_atomically(folder / "config.json", json.dumps(config, indent=1))
    checkpoints.write_atomically(folder / "run.json", json.dumps(info, indent=1))


def values_of(config: Any) -> dict[str, Any]:
    """The public fields of a learner or environment with their values."""
    return {name: field.default for name, field in fields_of(config).items()}


def read_config(folder: str | Path) -> dict[str, Any]:
    """`config.json` of a run folder.

    Raises:
        CheckpointError: the folder is no run.
    """
    folder = Path(folder)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if config["schema"] > SCHEMA:
            raise CheckpointError(f"{folder} was written by a newer version; update adaptax")
        return {name: config[name] for name in ("learner", "environment", "settings")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder} is not a run folder: it has no readable config.json") from error


def open_run(folder: str | Path, *, learner: Learner | None = None, env: AbstractEnvironment | None = None) -> Run:
    """The run in a folder, as its newest whole checkpoint has it.

    Args:
        folder: The run folder.
        learner: The learner, where it is not a registered one (or has a network of your own).
        env: The environment, where it is not a registered one.

    Raises:
        CheckpointError: the folder is no run, or no checkpoint in it is whole.
    """
    folder = Path(folder)
    config = read_config(folder)
    settings = Settings(**config["settings"])
    env = env or make(config["environment"]["name"], **config["environment"]["fields"])
    learner = learner or make_learner(config["learner"]["name"], **config["learner"]["fields"])
    learner = learner.bind(env.spec(settings.meta_steps))
    steps = checkpoints.steps(folder / "checkpoints")
    if not steps:
        if any((folder / "checkpoints").glob("*")):
            raise CheckpointError(f"no checkpoint in {folder} is whole; adaptax cannot go on from it")
        return Run(learner, env, settings, fresh(learner, env, settings), folder)
    saved = checkpoints.load(folder / "checkpoints" / str(steps[-1]), template(learner, env, settings))
    run = Run(learner, env, settings, saved, folder)
    run.history = [line for line in read_lines(folder / "metrics.jsonl") if line["step"] <= run.step]
    return run


def elsewhere(
    run: Run, env: AbstractEnvironment | None, learner_fields: dict[str, Any] | None, which: str | int
) -> tuple[list[Learner], AbstractEnvironment, PyTree]:
    """The trained learners (one for each of the S runs), environment and outer states to test, perhaps elsewhere.

    Raises:
        CheckpointError: what was trained does not fit there.
    """
    env = env or run.env
    meta = run.meta(which)
    learners = []
    for index in range(run.settings.width):
        learner = run.learner_of(index).bind(env.spec(run.settings.meta_steps))
        learners.append(traced(replaced(learner, learner_fields or {}, "learner")))
    wanted = eqx.filter_eval_shape(learners[0].init, jax.random.key(0))
    same = jax.tree.structure(wanted) == jax.tree.structure(meta) and all(
        new.shape == old.shape[1:] for new, old in zip(jax.tree.leaves(wanted), jax.tree.leaves(meta), strict=True)
    )
    if not same:
        raise CheckpointError(
            f"what was trained on {name_of(run.env)} does not fit {name_of(env)} with {env.observation_space} and "
            f"{env.action_space}: this learner needs spaces of the same sizes ({run.env.observation_space}, "
            f"{run.env.action_space})"
        )
    return learners, env, meta
