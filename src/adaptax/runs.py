"""Runs: training that can be trusted, and everything one does with it afterwards; `run_folder` is where it is kept."""

import dataclasses
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from adaptax import checkpoint as checkpoints
from adaptax.config import fields_of, replaced
from adaptax.core.env import AbstractEnvironment, HostEnvironment
from adaptax.core.learner import Learner, traced
from adaptax.core.trainer import TrainState, chunks, init_states
from adaptax.core.types import PyTree
from adaptax.errors import CheckpointError, ConfigError, NumericalError
from adaptax.measure import draw_tasks, measure
from adaptax.progress import Progress, Silent
from adaptax.registry import ENVIRONMENTS, LEARNERS, make, make_learner, name_of
from adaptax.run_folder import RunLog, create_folder, read_config, read_lines
from adaptax.settings import Settings, checked_settings, device_problems

VALIDATION_SEED = 20_000  # validation tasks are the same in every run; reported results use other seeds
VALIDATION_STEPS = 400_000  # environment steps that one validation may take, about


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
            if np.isneginf(self.saved.best_score).any():
                raise CheckpointError(
                    f"not validated yet at meta-step {self.step}: no best checkpoint; use checkpoint='last'"
                )
            return self.saved.best
        if which == "last":
            return self.saved.states.meta
        kept = checkpoints.steps(self.folder / "checkpoints") if self.folder else []
        if self.folder is None or not str(which).isdigit() or int(which) not in kept:
            raise CheckpointError(f"no checkpoint '{which}'; it is best, last or one of {kept}")
        return checkpoints.load(self.folder / "checkpoints" / str(which), self.saved).states.meta

    def learner_of(self, index: int) -> Learner:
        """The learner of one of the S runs, with the values that a sweep gave it."""
        return dataclasses.replace(self.learner, **self.settings.swept(index))


def spread(learner: Learner, settings: Settings) -> Learner:
    """The learner with float fields `[S]`: equal for all seeds, different along a sweep (seeds vary fastest)."""
    width = settings.width
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
    devices: int | None = None,
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
        log_every: Meta-steps between log points; by default a hundredth of the training. Validations, checkpoints and
            the end are log points as well.
        validate_every: Meta-steps between validations; by default a tenth of the training.
        checkpoint_every: Meta-steps between checkpoints; by default a tenth of the training.
        progress: Where to show progress; None shows nothing.
        devices: Devices to spread the tasks of a meta-step over; None is one. It must divide the learner's `tasks`.

    Returns:
        The run, with the best and the last state.

    Raises:
        ConfigError: something in the configuration is wrong; all of it is named.
        RunBusyError: the folder exists already.
        OSError: the folder cannot be made.
        NumericalError: a metric or the state stopped being finite; checkpoints from before are kept.
    """
    learner = learner.bind(env.spec(meta_steps))
    settings = checked_settings(
        learner,
        env,
        devices,
        meta_steps=meta_steps,
        seed=seed,
        seeds=seeds,
        log_every=log_every,
        validate_every=validate_every,
        checkpoint_every=checkpoint_every,
        sweep=sweep,
    )
    folder = Path(out) if out else None
    if folder:
        create_folder(folder, config_of(learner, env, settings))
    return go_on(Run(learner, env, settings, fresh(learner, env, settings), folder), callbacks, progress, devices)


def resume(
    folder: str | Path,
    *,
    callbacks: Sequence[Callback] = (),
    progress: Progress | None = None,
    devices: int | None = None,
    learner: Learner | None = None,
    env: AbstractEnvironment | None = None,
) -> Run:
    """Goes on with an interrupted run, bit for bit as if it had not been interrupted.

    Args:
        folder: The run folder.
        callbacks: As in `train`.
        progress: As in `train`.
        devices: As in `train`; it need not be the number that the training began with.
        learner: As in `open_run`.
        env: As in `open_run`.

    Raises:
        CheckpointError: the folder is no run, or no checkpoint in it is whole.
        ConfigError: the learner or environment must be given, or there are not that many devices.
        NumericalError: as in `train`.
    """
    run = open_run(folder, learner=learner, env=env, unstarted=True)
    if wrong := device_problems(devices, run.learner, run.env):
        raise ConfigError(*wrong)
    if run.step >= run.settings.meta_steps:
        return run
    return go_on(run, callbacks, progress, devices)


def go_on(run: Run, callbacks: Sequence[Callback], progress: Progress | None, devices: int | None) -> Run:
    """Trains from where the run stands to its end."""
    settings, progress = run.settings, progress or Silent()
    log = RunLog(run.folder, run.history, run.step, steps_per_meta_step(run))
    begun = time.monotonic()
    log.status("running")
    with listening() as heard, progress.training(run.step, settings.meta_steps, steps_per_meta_step(run)) as show:
        for states, metrics in stream_of(run, devices or 1):
            run.saved = run.saved._replace(states=states)
            step, last = run.step, run.step == settings.meta_steps
            validation = validate(run, log) if last or step % settings.validate_every == 0 else None
            now = Now(run, step, metrics, validation, time.monotonic() - begun)
            log.gather(step, metrics, validation, now.seconds)
            show(step, metrics, validation)
            fault = what_is_not_finite(now)
            if fault or validation is not None or step % settings.log_every == 0:
                log.write()
            if fault:
                raise failed(run, log, fault)
            stop = any([callback(now) is True for callback in callbacks])
            if last or stop or heard or step % settings.checkpoint_every == 0:
                log.checkpoint(run.saved, settings.keep)
            if heard:
                log.status("preempted")
                raise Interrupted(heard[0], run)
            if stop:
                break
    log.status("finished" if run.step == settings.meta_steps else "stopped")
    return run


def stream_of(run: Run, devices: int) -> Iterator[tuple[TrainState, dict[str, np.ndarray]]]:
    """The compiled chunks from where the run stands, on that many devices."""
    settings, states, mesh = run.settings, run.saved.states, None
    if devices > 1:
        mesh = jax.sharding.Mesh(np.asarray(jax.devices()[:devices]), ("tasks",))
        states = jax.device_put(states, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec()))
    every = int(np.gcd.reduce([settings.log_every, settings.validate_every, settings.checkpoint_every]))
    learners = spread(run.learner, settings)
    return chunks(learners, run.env, states, meta_steps=settings.meta_steps, every=every, devices=mesh)


def what_is_not_finite(now: Now) -> str:
    """The first number of a chunk that is not finite, and of which seed; empty where all are."""
    saved, settings = now.run.saved, now.run.settings
    numbers = now.metrics | ({} if now.validation is None else {"validation": now.validation})
    numbers |= {f"the outer state's {name}": leaf for name, leaf in checkpoints.to_arrays(saved.states.meta).items()}
    for name, values in numbers.items():
        finite = np.isfinite(values).reshape(settings.width, -1).all(1)
        if not finite.all():
            return f"{name} of {settings.name(int(np.argmin(finite)))}"
    return ""


def failed(run: Run, log: RunLog, fault: str) -> NumericalError:
    """The error for numbers that are not finite, written down in `run.json` as well."""
    kept = checkpoints.steps(run.folder / "checkpoints") if run.folder else []
    good = f"the last good checkpoint is {run.folder}/checkpoints/{kept[-1]}" if kept else "no checkpoint is kept"
    message = (
        f"{fault} is not finite at meta-step {run.step}; {good}. "
        "Try a smaller learning_rate or max_gradient, and look for NaN in what the environment returns"
    )
    log.status("failed", message)
    return NumericalError(message)


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


def validate(run: Run, log: RunLog) -> np.ndarray:
    """Scores `[S]` on validation tasks; keeps the outer states that are the best so far."""
    saved, scores = run.saved, []
    schedule = run.learner.schedule()
    per_life = schedule.phases * schedule.steps * schedule.copies
    count = int(np.clip(VALIDATION_STEPS // per_life, 20, 10_000))
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


def folder_name(learner: str, env: str) -> Path:
    """`runs/<learner>-<environment>-<time>-<8 hex>`: no two are alike."""
    moment = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    return Path("runs") / f"{learner}-{env}-{moment}-{secrets.token_hex(4)}"


def config_of(learner: Learner, env: AbstractEnvironment, settings: Settings) -> dict[str, Any]:
    """What `config.json` holds: enough for `open_run` to build the run again, or to say what it cannot build."""
    return {
        "learner": {"name": name_of(learner), "fields": values_of(learner), "own": own_fields(learner)},
        "environment": {"name": name_of(env), "fields": values_of(env)},
        "settings": dataclasses.asdict(settings),
    }


def values_of(config: Any) -> dict[str, Any]:
    """The public fields of a learner or environment with their values."""
    return {name: field.default for name, field in fields_of(config).items()}


def own_fields(learner: Learner) -> list[str]:
    """Names of the fields that hold something which no folder can: a network, a loss."""
    stored = {"spec", *fields_of(learner)}
    fields = [f for f in dataclasses.fields(learner) if f.init and f.name not in stored]
    return [f.name for f in fields if getattr(learner, f.name) is not f.default]


def stored_environment(config: dict[str, Any]) -> AbstractEnvironment:
    """The environment that `config.json` describes.

    Raises:
        ConfigError: it is not a registered one.
    """
    name, fields = config["environment"]["name"], config["environment"]["fields"]
    if name not in ENVIRONMENTS:
        raise ConfigError(
            f"this run was trained on your own environment '{name}'; give env= (or --env-file on the command line)"
        )
    return make(name, **fields)


def stored_learner(config: dict[str, Any], given: Learner | None) -> Learner:
    """The learner that is given, or else the one that `config.json` describes.

    Raises:
        ConfigError: it is not a registered one, or has fields that no folder can hold.
    """
    name, fields = config["learner"]["name"], config["learner"]["fields"]
    if given is None and name not in LEARNERS:
        raise ConfigError(f"this run was trained with your own learner '{name}'; give open_run(folder, learner=...)")
    learner = make_learner(name, **fields) if given is None else given
    if lost := set(config["learner"].get("own", [])) - set(own_fields(learner)):
        names = ", ".join(sorted(lost))
        raise ConfigError(
            f"this run's {name} was given your own {names}, which a folder cannot hold; "
            f"give the learner with the same {names}: open_run(folder, learner=...)"
        )
    return learner


def opened(run: Run | str | Path, env: AbstractEnvironment | None = None, learner: Learner | None = None) -> Run:
    """A run as it is, or the one in a folder.

    Args:
        run: A run or its folder.
        env: Where to test. It also stands for the environment of the training, where that is not a registered one.
        learner: As in `open_run`.

    Raises:
        CheckpointError: as `open_run` does.
        ConfigError: as `open_run` does.
    """
    if isinstance(run, Run):
        return run
    registered = read_config(run)["environment"]["name"] in ENVIRONMENTS
    return open_run(run, learner=learner, env=None if registered else env)


def open_run(
    folder: str | Path,
    *,
    learner: Learner | None = None,
    env: AbstractEnvironment | None = None,
    unstarted: bool = False,
) -> Run:
    """The run in a folder, as its newest whole checkpoint has it.

    Args:
        folder: The run folder.
        learner: The learner, where it is not a registered one (or has a network of your own).
        env: The environment, where it is not a registered one.
        unstarted: Also open a run without any checkpoint, in the state before the first meta-step.

    Raises:
        CheckpointError: the folder is no run, or it has no whole checkpoint.
        ConfigError: the learner or environment must be given.
    """
    folder = Path(folder)
    config = read_config(folder)
    settings = Settings(**config["settings"])
    env = stored_environment(config) if env is None else env
    learner = stored_learner(config, learner).bind(env.spec(settings.meta_steps))
    steps = checkpoints.steps(folder / "checkpoints")
    if not steps:
        if any((folder / "checkpoints").glob("[0-9]*")):
            raise CheckpointError(f"no checkpoint in {folder} is whole; adaptax cannot go on from it")
        if not unstarted:
            raise CheckpointError(f"{folder} has no checkpoint yet; train it first: adaptax resume {folder}")
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
    env, changes = env or run.env, learner_fields or {}
    meta = run.meta(which)
    bound = [run.learner_of(index).bind(env.spec(run.settings.meta_steps)) for index in range(run.settings.width)]
    learners = [traced(replaced(learner, changes, "learner")) for learner in bound]
    if fits(learners[0], meta):
        return learners, env, meta
    if fits(bound[0], meta):
        given = ", ".join(f"{name} = {value!r}" for name, value in changes.items())
        raise CheckpointError(f"what was trained does not fit the learner with {given}: leave fields that shape it out")
    raise CheckpointError(
        f"what was trained on {name_of(run.env)} does not fit {name_of(env)} with {env.observation_space} and "
        f"{env.action_space}: this learner needs spaces of the same sizes ({run.env.observation_space}, "
        f"{run.env.action_space})"
    )


def fits(learner: Learner, meta: PyTree) -> bool:
    """Whether outer states `[S]` have the structure and shapes of the learner's."""
    wanted = eqx.filter_eval_shape(learner.init, jax.random.key(0))
    return jax.tree.structure(wanted) == jax.tree.structure(meta) and all(
        new.shape == old.shape[1:] for new, old in zip(jax.tree.leaves(wanted), jax.tree.leaves(meta), strict=True)
    )
