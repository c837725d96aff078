"""Timing on a machine that others use too: A and B take turns, and the ratio is the median over the turns."""

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

Seconds = float
Result = dict[str, Any]


def timed(function: Callable[[], Any]) -> Seconds:
    """Wall time of one call; the function itself waits for its result."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def median_seconds(function: Callable[[], Any], rounds: int) -> Seconds:
    """The median of `rounds` calls after one that is not counted."""
    function()
    return statistics.median(timed(function) for _ in range(rounds))


def take_turns(a: Callable[[], Seconds], b: Callable[[], Seconds], rounds: int) -> tuple[Seconds, Seconds, float]:
    """Medians of a, of b, and of the pairwise ratio b / a, from rounds in which the order alternates.

    Args:
        a: Runs once and returns its seconds (for a fixed amount of work).
        b: The same for the other side.
        rounds: Pairs that count; one more comes first and does not.
    """
    a(), b()
    pairs = []
    for i in range(rounds):
        pairs.append((a(), b()) if i % 2 == 0 else (b(), a())[::-1])
    first, second = zip(*pairs, strict=True)
    ratio = statistics.median(y / x for x, y in pairs)
    return statistics.median(first), statistics.median(second), ratio


def machine() -> Result:
    """What the numbers depend on."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("jax", "jaxlib", "equinox", "optax", "numpy")},
    }


def _cpu() -> str:
    if sys.platform == "linux":
        with open("/proc/cpuinfo") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
        return names[0] if names else platform.processor()
    if sys.platform == "darwin":
        return subprocess.check_output(["sysctl", "-n", "machdep.cpu.brand_string"], text=True).strip()
    return platform.processor()


def load() -> float | None:
    """Runnable processes, mean over the last minute; well above the cores used here, the machine was not quiet."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
