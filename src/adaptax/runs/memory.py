"""What a training needs of memory, told where there is too little of it."""

import dataclasses
import os
import re
import resource
from contextlib import suppress
from pathlib import Path

import jax
import jax.numpy as jnp

from adaptax.checkpoint import MIB
from adaptax.core.env import AbstractEnvironment
from adaptax.core.learner import Learner
from adaptax.core.trainer import Fixed, TrainState, run_chunk
from adaptax.errors import ResourceError
from adaptax.measure import agent_bytes
from adaptax.runs.run import Run, spread, template
from adaptax.runs.settings import Settings

WORDS = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory")  # JAX's, on one device or another


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is exhausted."""
    return isinstance(error, MemoryError) or any(word in str(error) for word in WORDS)


def needs(fixed: Fixed, states: TrainState) -> dict[str, int]:
    """Bytes that a chunk takes, by what they are for; the program is compiled (or was), and not run."""
    program = run_chunk.lower(fixed, states, jnp.asarray(1, jnp.int32)).compile()
    analysis = program.compiled.memory_analysis()
    return {
        "the outer state before and after": analysis.argument_size_in_bytes + analysis.output_size_in_bytes,
        "lives and gradients": analysis.temp_size_in_bytes,
    }


def least(learner: Learner, env: AbstractEnvironment, settings: Settings) -> dict[str, int]:
    """Bytes that a training takes, whatever the compiler makes of it, by what for; only shapes are looked at."""
    spec, schedule = learner.bound, learner.schedule()
    saved = template(learner, env, settings)
    meta = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), saved.states.meta)
    step = [2 * spec.observation.none().nbytes, 2 * spec.action.none().nbytes, 11]  # two rewards, three flags
    return {
        "the outer state": sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(saved)),
        "agents at work": learner.tasks * agent_bytes(learner, meta, schedule.copies),
        "what they record": learner.tasks * schedule.length * sum(step),
    }


def refuse_what_cannot_fit(learner: Learner, env: AbstractEnvironment, settings: Settings) -> None:
    """Before anything starts.

    Raises:
        ResourceError: the training needs more memory than there is, at the very least.
    """
    needed, free = least(learner, env, settings), available()
    if not free or (total := sum(needed.values())) <= free:
        return
    parts = ", ".join(f"{size / MIB:,.0f} MiB for {name}" for name, size in needed.items())
    each = (total - needed["the outer state"]) / learner.tasks
    fit = max(0, int((free - needed["the outer state"]) / each))
    remedy = f"at most {fit} would fit (learner.tasks)" if fit else "not a single one would fit"
    fewer = "fewer copies or phases" + (", or a smaller learner.replay" if "replay" in vars(learner) else "")
    if needed["the outer state"] > free:  # it grows with what is kept across tasks, and not with lives
        stores = [f"learner.{name}" for name in ("library", "remembered", "lives") if name in vars(learner)]
        remedy, fewer = "the outer state alone does not fit", " or ".join(["a smaller network", *stores])
    raise ResourceError(
        f"{learner.tasks} tasks in a meta-step need at least {total / MIB:,.0f} MiB ({parts}), and "
        f"{free / MIB:,.0f} MiB are there; {remedy}: try {fewer}"
    )


def available() -> int:
    """Bytes that a training may take on the first device: its memory, or what is free of the machine's."""
    stats = jax.devices()[0].memory_stats() or {}
    if limit := stats.get("bytes_limit"):
        return int(limit - stats.get("bytes_in_use", 0))
    free, allowed = free_memory(Path("/")), resource.getrlimit(resource.RLIMIT_AS)[0]
    if allowed != resource.RLIM_INFINITY:
        allowed -= int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        free = allowed if free is None else min(free, allowed)
    return max(0, free or 0)


def free_memory(root: Path) -> int | None:
    """Bytes of memory that a new program gets without swapping: of the machine, or what is left to this container."""
    numbers = []
    try:
        told = re.search(r"MemAvailable:\s*(\d+) kB", (root / "proc" / "meminfo").read_text(encoding="utf-8"))
        numbers += [1024 * int(told[1])] if told else []
        limit, used = (root / "sys" / "fs" / "cgroup" / f"memory.{name}" for name in ("max", "current"))
        numbers += [int(limit.read_text(encoding="utf-8")) - int(used.read_text(encoding="utf-8"))]
    except (OSError, ValueError):  # no such file on this system, or the limit is "max"
        pass
    return max(0, min(numbers)) if numbers else None


def out_of_memory(run: Run, fixed: Fixed, error: BaseException) -> ResourceError:
    """The error that says how much a training needs, for what, and with how many tasks it would fit."""
    first = str(error).partition("\n")[0] or type(error).__name__
    told = f"out of memory with {run.learner.tasks} tasks in a meta-step"
    remedy = "Try fewer learner.tasks or learner.copies, or fewer seeds"
    with suppress(Exception):  # the compiler needs memory too; what is known is told
        needed, free = needs(fixed, run.saved.states), available()
        parts = ", ".join(f"{size / MIB:,.0f} MiB for {name}" for name, size in needed.items())
        told += f": it needs {parts}, and {free / MIB:,.0f} MiB are there"
        if 0 < (fit := largest(run, fixed, sum(needed.values()), free)) < run.learner.tasks:
            remedy = f"About {fit} tasks would fit (learner.tasks); fewer copies or seeds help as well"
    hint = " Another program may hold the GPU's memory: XLA_PYTHON_CLIENT_PREALLOCATE=false takes only what is needed."
    gpu = hint if jax.default_backend() == "gpu" else ""
    return ResourceError(f"{told} ({first}). {remedy}.{gpu}")


def largest(run: Run, fixed: Fixed, needed: int, free: int) -> int:
    """How many tasks fit, about: memory grows with them in a straight line, of which two points are known."""
    tasks, unit = run.learner.tasks, _unit(run, fixed)
    fewer = tasks // 2 // unit * unit
    if fewer == 0:
        return 0
    smaller = dataclasses.replace(run.learner, tasks=fewer)
    less = sum(needs((spread(smaller, run.settings), *fixed[1:]), run.saved.states).values())
    each = (needed - less) / (tasks - fewer)
    return max(0, int(fewer + (free - less) / each) // unit * unit) if each > 0 else 0


def _unit(run: Run, fixed: Fixed) -> int:
    """Tasks come in multiples of this: minibatches, twins and devices divide them."""
    devices = fixed[2].size if fixed[2] is not None else 1
    parts = vars(run.learner).get("minibatches", 1)
    return int(jnp.lcm(jnp.lcm(parts, run.learner.twins), devices))
