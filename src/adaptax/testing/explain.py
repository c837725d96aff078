"""What an error in somebody's environment means: where it is, what was done there, and what to do instead."""

import dataclasses
import sysconfig
import traceback
from inspect import signature
from pathlib import Path
from typing import NamedTuple

import jax

from adaptax.core.env import Environment

PACKAGE = str(Path(__file__).parents[1])
NOT_THE_USERS = (PACKAGE, *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")), "<frozen")


class Meaning(NamedTuple):
    """What errors of some kinds mean, as the end of a sentence that names a method, and the remedy."""

    kinds: type[Exception] | tuple[type[Exception], ...]
    problem: str
    remedy: str


# The first that fits: some of JAX's errors are kinds of others.
MEANINGS = (
    Meaning(
        jax.errors.TracerBoolConversionError,
        "asks `if`, `while`, `and`, `or` or `not` about a value that is known only when the compiled program runs",
        "choose with jnp.where or jax.lax.cond, and join conditions with &, | and ~",
    ),
    Meaning(
        jax.errors.NonConcreteBooleanIndexError,
        "picks entries by a condition, so that a shape depends on values",
        "keep the shape: jnp.where(condition, x, 0)",
    ),
    Meaning(
        jax.errors.TracerIntegerConversionError,
        "takes a value that is known only when the compiled program runs for an index or a count of Python's",
        "index an array, jnp.asarray(table)[i], where it indexes a list; take counts from fields of the family",
    ),
    Meaning(
        jax.errors.TracerArrayConversionError,
        "gives a value that is known only when the compiled program runs to numpy",
        "call the function of the same name in jax.numpy",
    ),
    Meaning(
        jax.errors.ConcretizationTypeError,
        "makes a Python number or a shape of a value that is known only when the compiled program runs",
        "leave it an array (x.astype(float) for float(x)); take sizes from fields of the family",
    ),
    Meaning(
        jax.errors.UnexpectedTracerError,
        "uses an array that was kept from an earlier call",
        "return what must last as a part of the state",
    ),
    Meaning(
        dataclasses.FrozenInstanceError,
        "changes the family itself",
        "return what changes as a part of the state; make what does not a field",
    ),
)


def explained(error: Exception, method: str | None = None) -> tuple[str, str]:
    """What is wrong, with file and line where they are the user's, and how to mend it.

    Args:
        error: What the user's code raised.
        method: What was called; None where that is the first of the user's functions that the traceback passes.
    """
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _users(frame)]
    name = method or (frames[0].name if frames else "the family")
    line = f", `{frames[-1].line}`" if frames and frames[-1].line else ""
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno}{line})" if frames else ""
    for meaning in MEANINGS:
        if isinstance(error, meaning.kinds):
            return f"{name} {meaning.problem}{place}", meaning.remedy
    said = str(error).strip().partition("\n")[0]
    remedy = "correct that line" if frames else "nothing of it is in a file of yours: see what the method returns"
    contract = getattr(Environment, name, None)
    if contract is not None and not frames and isinstance(error, TypeError) and "argument" in said:
        remedy = f"declare it as def {name}({', '.join(signature(contract).parameters)})"
    return f"{name} raises {type(error).__name__}: {said}{place}", remedy


def _users(frame: traceback.FrameSummary) -> bool:
    """Whether a frame lies in a file that is neither ours nor that of a library."""
    return not frame.filename.startswith(NOT_THE_USERS)
