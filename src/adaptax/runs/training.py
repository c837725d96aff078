"""Training that can be trusted: logged, validated, saved, interrupted and resumed between compiled chunks."""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from adaptax import checkpoint as checkpoints
from adaptax.adapters.watched import restarts, watched
from adaptax.core.env import AbstractEnvironment, HostEnvironment
from adaptax.core.learner import Learner, traced
from adaptax.core.trainer import LONGEST, Fixed, TrainState, advance_by
from adaptax.errors import ConfigError, NumericalError, StorageError
from adaptax.failpoints import reach
from adaptax.measure import Samples, draw_tasks, measure, whole_life
from adaptax.progress import LINES, Progress, Silent, say
from adaptax.runs.folder import create_folder, in_use
from adaptax.runs.guard import Fault, first_fault, spoilt, told
from adaptax.runs.log import RunLog
from adaptax.runs.memory import is_out_of_memory, out_of_memory, refuse_what_cannot_fit
from adaptax.runs.run import Run, fresh, spread, steps_per_meta_step
from adaptax.runs.settings import Settings, checked_settings, device_problems, type_problems
from adaptax.runs.signals import EXITS, listening
from adaptax.runs.stored import changed_since, config_of, open_run

SECONDS = 1.0  # that a chunk takes, about: signals are answered between chunks
PASSED_OVER = 10  # updates in a row that may be passed over
VALIDATION_SEED = 20_000  # validation tasks are the same in every run; reported results use other seeds
ALIKE = "though their episodes do not: where every step pays alike, train for the episode (rl2: across_episodes=False)"
VALIDATION_STEPS = 400_000  # environment steps that one validation may take, about


class Now(NamedTuple):
    """What callbacks see wherever a line is written; one that returns True ends the training."""

    run: Run
    step: int
    metrics: dict[str, np.ndarray]  # means since the last line, `[S]`
    validation: np.ndarray | None  # `[S]`, where this was a validation point
    seconds: float


Callback = Callable[[Now], Any]


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
    on_nan: str | None = None,
    progress: Progress | None = LINES,
    devices: int | None = None,
    debug_nans: bool = False,
) -> Run:
    """Trains a learner on the training tasks of an environment.

    Args:
        learner: For example `RL2(hidden=64)`.
        env: A family of tasks: `make(...)`, `from_gymnasium(...)`, or your own.
        meta_steps: Updates of the outer loop.
        seed: First seed.
        seeds: Runs with seeds `seed`, `seed + 1`, ...: trained in one compiled program.
        callbacks: Plain functions of a `Now`, called where a line is written; one that returns True ends it.
        out: The run folder to make; None keeps everything in memory.
        sweep: Float fields of the learner with several values each; all lists have one length, read side by side.
        log_every: Meta-steps between log points; by default a hundredth of the training. Validations, checkpoints and
            the end are log points as well.
        validate_every: Meta-steps between validations; by default a tenth of the training.
        checkpoint_every: Meta-steps between checkpoints; by default a tenth of the training.
        on_nan: What to do where a number is not finite: "stop" (the default), or "skip-update", as if that meta-step
            had not been, ten times in a row at most.
        progress: Where to show progress: lines on standard error; None shows nothing.
        devices: Devices to spread the tasks of a meta-step over; None is one. It must divide the learner's `tasks`.
        debug_nans: Where a number is not finite, also name the operation that made it: one more compilation.

    Returns:
        The run, with the best and the last state.

    Raises:
        ConfigError: something in the configuration is wrong; all of it is named.
        ResourceError: it needs more memory than there is.
        RunBusyError: the folder exists already.
        OSError: the folder cannot be made.
        FaultyEnvironmentError: a simulator on the host raised, or returned what its family does not declare; it says
            in which step of which life and task, and how to see it again.
        NumericalError: a metric or the state stopped being finite; it says which number of which life was the first.
            Checkpoints from before are kept.
        StorageError: checkpoints cannot be written, three times in a row, or the first or the last one.
        Interrupted: SIGINT or SIGTERM came; the state was saved. Like KeyboardInterrupt, it is no Exception.
    """
    if wrong := type_problems(learner, env):
        raise ConfigError(*wrong)
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
        on_nan=on_nan,
    )
    learner = learner.bind(env.spec(), settings.meta_steps)
    refuse_what_cannot_fit(learner, env, settings)
    folder = Path(out) if out else None
    if folder:
        create_folder(folder, config_of(learner, env, settings))
    run = Run(learner, env, settings, fresh(learner, env, settings), folder)
    return go_on(run, callbacks, progress, devices, debug_nans)


def resume(
    folder: str | Path,
    *,
    callbacks: Sequence[Callback] = (),
    progress: Progress | None = LINES,
    devices: int | None = None,
    debug_nans: bool = False,
    learner: Learner | None = None,
    env: AbstractEnvironment | None = None,
) -> Run:
    """Goes on with an interrupted run, bit for bit as if it had not been interrupted (on the same number of devices).

    Args:
        folder: The run folder.
        callbacks: As in `train`.
        progress: As in `train`.
        devices: As in `train`; with another number than the training began with, sums are rounded otherwise.
        debug_nans: As in `train`.
        learner: As in `open_run`.
        env: As in `open_run`.

    Raises:
        CheckpointError: the folder is no run, or no checkpoint in it is whole.
        ConfigError: the learner or environment must be given, or is not the one that the run began with, or there are
            not that many devices.
        FaultyEnvironmentError: as in `train`.
        NumericalError: as in `train`.
        StorageError: as in `train`.
        Interrupted: as in `train`.
    """
    if wrong := changed_since(folder, learner, env):
        raise ConfigError(*wrong)
    run = open_run(folder, learner=learner, env=env, unstarted=True)
    if wrong := device_problems(devices, run.learner, run.env):
        raise ConfigError(*wrong)
    return go_on(run, callbacks, progress, devices, debug_nans)


def go_on(
    run: Run, callbacks: Sequence[Callback], progress: Progress | None, devices: int | None, debug_nans: bool
) -> Run:
    """Trains from where the run stands to its end; whatever ends it is written into its folder."""
    with in_use(run.folder):
        log = RunLog(run)
        log.status("running")
        try:
            if run.step < run.settings.meta_steps:
                log.preflight(run.saved, run.settings.keep)
            train_on(run, log, callbacks, progress or Silent(), devices or 1, debug_nans)
            log.status("finished" if run.step == run.settings.meta_steps else "stopped")
        except (Interrupted, KeyboardInterrupt):
            with suppress(OSError):
                log.status("preempted")
            raise
        except BaseException as error:
            reason = f"{type(error).__name__}: {error}"
            log.event("failed", log.step, reason=reason)  # the states of a chunk under way are gone
            with suppress(OSError):  # what ended the run is what to tell, not that it cannot be written down
                log.status("failed", reason)
            raise
        finally:
            log.close()
        return run


def train_on(
    run: Run, log: RunLog, callbacks: Sequence[Callback], progress: Progress, devices: int, debug_nans: bool
) -> None:
    """Chunk after chunk, and what is due between them.

    Raises:
        Interrupted: as `train` says, and so do its other errors.
    """
    settings, fixed = run.settings, fixed_of(run, devices)
    shown = progress.training(run.step, settings.meta_steps, steps_per_meta_step(run))
    log.hold(run)
    with listening(log.rescue if run.folder else None) as heard, shown as show:
        if log.line < run.step and is_due(settings, run.step) and _due(run, log, callbacks)[1]:
            return  # a signal had come before what was due at this step, and now it says stop
        for states, metrics in chunks(run, fixed):
            if spoilt(states, metrics).any():
                states, metrics = _passed_over(run, log, first_fault(run, fixed, int(states.step[0]), debug_nans))
            run.saved = run.saved._replace(states=states)
            if count := restarts(fixed[1]):
                log.event("simulators restarted", run.step, count=count)
            metrics = told(metrics)
            log.gather(run.step, metrics)
            log.hold(run)
            last, due = run.step == settings.meta_steps, is_due(settings, run.step)
            validation, stop = _due(run, log, callbacks) if due and (last or not heard) else (None, False)
            if heard and not (last or stop):
                heard.answered.set()
                raise Interrupted(heard.numbers[0], run, _saved(run, log))
            show(run.step, {name: log.mean(found) for name, found in metrics.items()}, validation)
            if stop:
                break
            log.hold(run)


def chunks(run: Run, fixed: Fixed) -> Iterator[tuple[TrainState, dict[str, np.ndarray]]]:
    """Trains from where the run stands, and goes on from where it is then left: chunk by chunk, about a second each.

    Yields:
        The states after a chunk and the metrics `[S, n]` of its n meta-steps; `run` still has the states before it.
    """
    length = 1
    while (end := next_due(run.settings, run.step)) > run.step:
        count, begun = min(length, LONGEST, end - run.step), time.monotonic()
        reach("run.chunk")
        try:
            states, metrics = advance_by(fixed, run.saved.states, count)
        except (MemoryError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise out_of_memory(run, fixed, error) from error
            raise
        length = max(1, int(count * SECONDS / max(time.monotonic() - begun, 1e-9)))  # the first one compiles
        yield states, metrics


def fixed_of(run: Run, devices: int) -> Fixed:
    """What the chunks of a run are computed with; on several devices its states are copied to all of them."""
    mesh = None
    if devices > 1:
        mesh = jax.sharding.Mesh(np.asarray(jax.devices()[:devices]), ("tasks",))
        everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
        run.saved = run.saved._replace(states=jax.device_put(run.saved.states, everywhere))
    return spread(run.learner, run.settings), watched(run.env), mesh


def _passed_over(run: Run, log: RunLog, fault: Fault) -> tuple[TrainState, dict[str, np.ndarray]]:
    """The states and metrics after a meta-step that went wrong, as if it had not updated anything.

    Raises:
        NumericalError: that is not wanted, or too many in a row go wrong.
    """
    step = int(fault.after.step[0])
    run.passed_over = [
        (step, row + 1 if last == step - 1 else 1) if bad else (last, row)
        for (last, row), bad in zip(run.passed_over, fault.bad, strict=True)
    ]
    if run.settings.on_nan == "stop" or any(row >= PASSED_OVER for _, row in run.passed_over):
        log.gather(step, fault.metrics)
        log.write()
        raise NumericalError(_advice(run, fault, step))
    names = [run.settings.name(int(index)) for index in np.flatnonzero(fault.bad)]
    log.event("update passed over", step, reason=fault.words, of=names)
    say(f"update passed over: {fault.words}")
    stood = fault.before._replace(step=fault.after.step)
    states = jax.tree.map(lambda old, new: jax.vmap(jnp.where)(fault.bad, old, new), stood, fault.after)
    metrics = {name: found.copy() for name, found in fault.metrics.items()}
    for found in metrics.values():
        found[fault.bad, -1] = np.nan
    return states, metrics


def next_due(settings: Settings, step: int) -> int:
    """The next meta-step after `step` at which a line, a validation or a checkpoint is due; the last one is."""
    every = (settings.log_every, settings.validate_every, settings.checkpoint_every)
    return min(settings.meta_steps, *(step - step % n + n for n in every))


def is_due(settings: Settings, step: int) -> bool:
    """Whether something is due at a meta-step."""
    return next_due(settings, step - 1) == step


def _due(run: Run, log: RunLog, callbacks: Sequence[Callback]) -> tuple[np.ndarray | None, bool]:
    """Writes a line; validates, calls back and saves, where it is time to. The validation, and whether to stop."""
    step, settings = run.step, run.settings
    last = step == settings.meta_steps
    validation = validate(run, log) if last or step % settings.validate_every == 0 else None
    now = Now(run, step, log.write(validation), validation, log.seconds)
    stop = any([_is_true(callback(now)) for callback in callbacks])
    if last or stop or step % settings.checkpoint_every == 0:
        log.checkpoint(run.saved, settings.keep, must=last or stop)
    return validation, stop


def _saved(run: Run, log: RunLog) -> bool:
    """Saves because a signal came; whether that was possible."""
    try:
        return run.step in log.kept or log.checkpoint(run.saved, run.settings.keep)
    except StorageError:
        return False


def _is_true(answer: Any) -> bool:
    """Whether a callback said True, be it numpy's: comparisons of metrics are. Other answers mean nothing."""
    return isinstance(answer, bool | np.bool_) and bool(answer)


def _advice(run: Run, fault: Fault, step: int) -> str:
    """What to do about numbers that are not finite."""
    kept = checkpoints.steps(run.folder / "checkpoints") if run.folder else []
    good = f"the last good checkpoint is {run.folder}/checkpoints/{kept[-1]}" if kept else "no checkpoint is kept"
    if run.settings.on_nan != "stop":
        good = f"the last {PASSED_OVER} updates were passed over for such numbers; {good}"
    return f"{fault.words}; {good}. {fault.remedy}"


class Interrupted(BaseException):
    """A signal asked the training to end. Like KeyboardInterrupt, no Exception."""

    def __init__(self, number: int, run: Run, saved: bool):
        done = "saved" if saved else "it could not be saved"
        done = done if run.folder else "nothing is kept: there is no run folder"
        super().__init__(f"stopped by signal {number} at meta-step {run.step}; {done}")
        self.run = run
        self.exit_code = EXITS[number]


def _score(samples: Samples, objective: str) -> np.ndarray:
    """What training is for: the return of the life, or the skill after adaptation, whichever phase it comes from."""
    return samples.total_return if objective == "total_return" else samples.phase_return[:, 1:]


def _all_alike(samples: Samples) -> bool:
    """Lives that earn the same by episodes that do not: a training for the whole life has nothing to learn from."""
    episodes = samples.episode_return[~np.isnan(samples.episode_return)]
    return bool(np.ptp(samples.total_return) == 0 and episodes.size and np.ptp(episodes) > 0)


def validate(run: Run, log: RunLog) -> np.ndarray:
    """Scores `[S]` on validation tasks; keeps the outer states that are the best so far."""
    reach("run.validation")
    saved, scores, metas = run.saved, [], run.learner.deployed(run.saved.states.meta)
    schedule = whole_life(run.learner)
    count = int(np.clip(VALIDATION_STEPS // schedule.length, 20, 50_000))
    if isinstance(run.env, HostEnvironment):  # slow simulators: a validation may cost as much as one meta-step
        count = min(count, run.learner.tasks)
    tasks, keys = draw_tasks(run.env, "validation", count, VALIDATION_SEED)
    for index in range(run.settings.width):
        meta = jax.tree.map(lambda x: x[index], metas)  # noqa: B023
        try:
            samples, _ = measure(traced(run.learner_of(index)), run.env, meta, tasks, keys, schedule, "validation")
        except NumericalError as error:
            if run.settings.on_nan == "stop":
                raise NumericalError(f"in the validation at meta-step {run.step}: {error}") from error
            log.event("validation passed over", run.step, of=run.settings.name(index), reason=str(error))
            scores.append(np.nan)  # no better than any
            continue
        score = _score(samples, run.learner.objective)
        scores.append(np.mean(score))
        if np.isneginf(saved.best_score[index]) and run.learner.objective == "total_return" and _all_alike(samples):
            warnings.warn(f"all lives earn {scores[-1]:g}, {ALIKE}", stacklevel=4)
    score = jnp.asarray(scores, saved.best_score.dtype)
    better = score > saved.best_score
    pick = lambda new, old: jax.vmap(jnp.where)(better, new, old)
    run.saved = saved._replace(
        best=jax.tree.map(pick, metas, saved.best),
        best_score=pick(score, saved.best_score),
        best_step=pick(saved.states.step, saved.best_step),
    )
    log.event("validation", run.step, score=np.asarray(score).tolist(), best=np.asarray(better).tolist(), tasks=count)
    return np.asarray(score)
