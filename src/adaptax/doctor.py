"""What this machine is, and whether adaptax works on it: each thing that is wrong, with its remedy."""

import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from adaptax.checkpoint import MIB, to_arrays
from adaptax.errors import AdaptaxError, CheckpointError, NumericalError, ResourceError
from adaptax.learners.rl2 import RL2
from adaptax.registry import make
from adaptax.runs import Now, Run, inspect_run, resume, train
from adaptax.runs.memory import free_memory
from adaptax.runs.run import steps_per_meta_step

ROOT = Path("/")  # where the machine shows its devices; tests show others
PACKAGES = ("adaptax", "jax", "jaxlib", "equinox", "optax", "numpy")
LEAST_MEMORY = 1024 * MIB
LEAST_DISK = 256 * MIB
HALF, WHOLE = 10, 20  # meta-steps of the self-test, interrupted after the first; it is never so far as to validate
MAKERS = {"NVIDIA": "cuda", "AMD": "rocm"}


class Problem(NamedTuple):
    """Something that is wrong with this machine."""

    what: str
    remedy: str
    error: type[AdaptaxError] = ResourceError


class Trial(NamedTuple):
    """What the self-test found."""

    seconds: float
    steps_per_second: float | None  # of training; None where it broke off
    problems: list[Problem]


class Health(NamedTuple):
    """This machine."""

    versions: dict[str, str]
    extras: dict[str, bool]  # which optional parts of adaptax are installed
    platform: str
    devices: list[str]  # that JAX computes on
    gpus: list[str]  # that are in the machine
    cores: int
    free_memory: int | None  # bytes; None where the system does not say
    free_disk: int  # bytes, where runs are made
    cache: str  # where compiled programs are kept
    free_cache_disk: int
    trial: Trial | None  # None where JAX does not start
    problems: list[Problem]

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        trial = self.trial and {"seconds": self.trial.seconds, "steps_per_second": self.trial.steps_per_second}
        told = [{"problem": problem.what, "remedy": problem.remedy} for problem in self.problems]
        plain = {name: value for name, value in self._asdict().items() if name != "trial"}
        return plain | {"self_test": trial, "problems": told}

    def text(self) -> str:
        """The same for a reader."""
        there = [name for name, installed in self.extras.items() if installed]
        lacking = [name for name, installed in self.extras.items() if not installed]
        gib = lambda size: "unknown" if size is None else f"{size / 1024 / MIB:.1f} GiB"
        lines = {
            "versions": ", ".join(f"{name} {number}" for name, number in self.versions.items()),
            "extras": f"{', '.join(there) or 'none'}; not installed: {', '.join(lacking) or 'none'}",
            "platform": self.platform,
            "devices": ", ".join(self.devices) or "none",
            "GPUs": ", ".join(self.gpus) or "none in this machine",
            "processor": f"{self.cores} cores",
            "memory": f"{gib(self.free_memory)} free",
            "disk": f"{gib(self.free_disk)} free here, {gib(self.free_cache_disk)} where compiled programs are kept",
            "programs": self.cache,
        }
        if self.trial and self.trial.steps_per_second:
            speed = f"{self.trial.steps_per_second:,.0f} environment steps a second in a tiny training"
            lines["self-test"] = f"{self.trial.seconds:.1f} s; {speed}"
        return "\n".join(f"{name:<10} {value}" for name, value in lines.items())


def examine(cache: Path, root: Path = ROOT, environment: Mapping[str, str] = os.environ) -> Health:
    """Looks at the machine, and tries a tiny training.

    Args:
        cache: Where compiled programs are kept.
        root: Where the machine shows its devices.
        environment: The environment variables.
    """
    found, there = gpus(root), free_memory(root)
    devices, problems = devices_of(environment)
    if all(device.platform == "cpu" for device in devices):
        problems = unused(found, "computes on the CPU" if devices else "does not start", root, environment) + problems
    problems += lacks(Path(), cache, there)
    trial = self_test() if devices else None
    return Health(
        versions={"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        extras=extras(),
        platform=platform.platform(),
        devices=[f"{device} ({device.device_kind})" for device in devices],
        gpus=found,
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        free_memory=there,
        free_disk=free_disk(Path()),
        cache=str(cache),
        free_cache_disk=free_disk(cache),
        trial=trial,
        problems=problems + (trial.problems if trial else []),
    )


def gpus(root: Path) -> list[str]:
    """The GPUs that are in the machine, whether JAX can use them or not."""
    told = sorted(root.glob("proc/driver/nvidia/gpus/*"))
    files = sorted(root.glob("dev/nvidia[0-9]*"))
    nvidia = [_model(folder) for folder in told] or ["NVIDIA"] * len(files)
    return nvidia + (["AMD"] if (root / "dev" / "kfd").exists() else [])


def _model(folder: Path) -> str:
    """The name of a GPU, as the driver of NVIDIA tells it."""
    try:
        name = re.search(r"Model:\s*(.+)", (folder / "information").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        name = None
    return f"NVIDIA {name[1].strip().removeprefix('NVIDIA ')}" if name else "NVIDIA"


def devices_of(environment: Mapping[str, str]) -> tuple[list[Any], list[Problem]]:
    """What JAX computes on, and why it does not start, where it does not."""
    try:
        return jax.devices(), []
    except (RuntimeError, AssertionError) as error:
        asked = platform_variables(environment)
        told = "".join(f", and {name} is '{environment[name]}'" for name in asked)
        remedy = "install jax and jaxlib anew: pip install --force-reinstall jax jaxlib"
        remedy = f"unset {' and '.join(asked)}" if asked else remedy
        return [], [Problem(f"JAX does not start: {_first_line(error)}{told}", remedy)]


def platform_variables(environment: Mapping[str, str]) -> list[str]:
    """Those environment variables that choose what JAX computes on."""
    return [name for name in ("JAX_PLATFORMS", "JAX_PLATFORM_NAME") if environment.get(name)]


def unused(found: list[str], instead: str, root: Path, environment: Mapping[str, str]) -> list[Problem]:
    """Why JAX does not compute on the GPUs of a machine, as far as that can be told, and what changes it."""
    if not found:
        return []
    maker = found[0].partition(" ")[0]
    reasons, remedies = [], []
    for name in platform_variables(environment):
        if not {"gpu", "cuda", "rocm"} & set(environment[name].lower().split(",")):
            reasons.append(f"the environment variable {name} is '{environment[name]}'")
            remedies.append(f"unset {name}")
    extra, plugin = extra_of(maker), plugin_of(maker)
    if not plugin:
        reasons.append(f"jaxlib {version('jaxlib')} is installed without {MAKERS[maker].upper()}")
        remedies.append(f'pip install "jax[{extra}]"')
    if maker == "NVIDIA" and not [*root.glob("dev/nvidia[0-9]*")]:
        reasons.append("its files /dev/nvidia* are not here")
        remedies.append("in a container, start that with the GPU (docker run --gpus all)")
    if not reasons:
        reasons.append(f"{plugin} is installed, and does not start: {_why_not()}")
        remedies.append(f'see that the driver works (nvidia-smi, rocm-smi), then pip install -U "jax[{extra}]"')
    number = f"{len(found)} GPU{'s' if len(found) > 1 else ''} ({', '.join(sorted(set(found)))})"
    what = f"this machine has {number}, and JAX {instead}: {'; '.join(reasons)}"
    return [Problem(what, "; then ".join(remedies))]


def extra_of(maker: str) -> str:
    """What is installed with jax for the GPUs of a maker, by the name that this version of jax has for it."""
    extras = metadata("jax").get_all("Provides-Extra") or []
    usual = {"NVIDIA": "cuda12", "AMD": "rocm"}[maker]
    of_maker = [extra for extra in extras if extra.startswith(MAKERS[maker])]
    newest = sorted(of_maker, key=lambda extra: ("-" not in extra, [int(n) for n in re.findall(r"\d+", extra)]))
    return usual if usual in extras or not newest else newest[-1]


def plugin_of(maker: str) -> str:
    """The installed part of JAX for the GPUs of a maker, with its version; nothing where there is none."""
    for extra in metadata("jax").get_all("Provides-Extra") or []:
        name = f"jax-{extra.partition('-')[0]}-plugin"
        if extra.startswith(MAKERS[maker]) and (installed := _version(name)):
            return f"{name} {installed}"
    return ""


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _why_not() -> str:
    """What JAX says when it is asked for GPUs."""
    try:
        jax.devices("gpu")
    except RuntimeError as error:
        return _first_line(error)
    return "it is not the default device"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def extras() -> dict[str, bool]:
    """The optional parts of adaptax, and whether all that each needs is installed."""
    found: dict[str, bool] = {}
    for requirement in requires("adaptax") or []:
        name, _, condition = requirement.partition(";")
        package, extra = re.match(r"[\w.-]+", name), re.search(r"extra == ['\"]([\w-]+)", condition)
        if package and extra:
            found[extra[1]] = found.get(extra[1], True) and bool(_version(package[0]))
    return found


def free_disk(folder: Path) -> int:
    """Bytes that are free where a folder is, or would be made."""
    place = folder.absolute()
    while not place.is_dir():
        place = place.parent
    return shutil.disk_usage(place).free


def hindrance(folder: Path) -> str:
    """Why a folder cannot be made, or no file in it; nothing where both can be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def lacks(here: Path, cache: Path, memory: int | None) -> list[Problem]:
    """What a training would miss: memory, room on the disks, folders that can be written."""
    found = []
    if memory is not None and memory < LEAST_MEMORY:
        told = f"{memory / MIB:,.0f} MiB of memory are free, and a small training needs about {LEAST_MEMORY // MIB:,}"
        found.append(Problem(told, "end other programs, or give the container more"))
    if why := hindrance(here):
        told = f"no run can be made in this folder, {here.absolute()}: {why}"
        found.append(Problem(told, "go to another folder, or give --out"))
    if why := hindrance(cache):
        told = f"compiled programs cannot be kept in {cache}: {why}; every command compiles anew"
        found.append(Problem(told, "make that folder writable, or name another in the variable ADAPTAX_CACHE"))
    for what, folder in (("here", here), ("where compiled programs are kept", cache)):
        if (free := free_disk(folder)) < LEAST_DISK:
            told = f"{free / MIB:,.0f} MiB are free on the disk {what}, {folder.absolute()}"
            found.append(Problem(told, "make room; checkpoints of a run may need more than that"))
    return found


def self_test() -> Trial:
    """A tiny training that is interrupted and resumed, beside one that is not: they must be equal bit for bit."""
    begun, speed = time.monotonic(), None
    try:
        with tempfile.TemporaryDirectory(prefix="adaptax-doctor-") as home:
            problems, speed = _tried(Path(home) / "run")
    except Exception as error:  # whatever a broken installation may raise
        told = f"the self-test broke off: {type(error).__name__}: {_first_line(error)}"
        lacking = ResourceError if isinstance(error, OSError | MemoryError) else AdaptaxError
        kind = type(error) if isinstance(error, AdaptaxError) else lacking
        problems = [Problem(told, "install adaptax into an empty environment; if it still does so, report it", kind)]
    return Trial(round(time.monotonic() - begun, 3), speed, problems)


def _tried(folder: Path) -> tuple[list[Problem], float]:
    """The self-test in an empty folder: what is wrong, and environment steps a second of training."""
    env = make("bernoulli-bandit", arms=2, pulls=5)
    learner = RL2(tasks=64, minibatches=1, epochs=1, hidden=2)
    every: dict[str, Any] = {"log_every": HALF, "validate_every": 2 * WHOLE, "checkpoint_every": HALF}
    asked: dict[str, Any] = every | {"meta_steps": 2 * WHOLE, "progress": None}
    train(learner, env, **asked, out=folder, callbacks=[until(HALF)])
    resumed = resume(folder, progress=None, callbacks=[until(WHOLE)])
    seen: list[float] = []
    clock: Callable[[Now], None] = lambda now: seen.append(now.seconds)
    straight = train(learner, env, **asked, callbacks=[clock, until(WHOLE)])
    speed = (WHOLE - HALF) * steps_per_meta_step(straight) / max(seen[1] - seen[0], 1e-9)
    return faults(resumed, straight, inspect_run(folder).damaged), speed


def until(step: int) -> Callable[[Now], bool]:
    """A callback that ends a training at a meta-step."""
    return lambda now: now.step == step


def faults(resumed: Run, straight: Run, damaged: list[str]) -> list[Problem]:
    """What is wrong with a resumed training, beside one that was not interrupted."""
    found = []
    ours, theirs = (to_arrays(run.saved) for run in (resumed, straight))
    differ = [name for name in ours if ours[name].tobytes() != theirs[name].tobytes()]
    if differ:
        told = f"a resumed training is not equal, bit for bit, to one that was not interrupted: {', '.join(differ[:3])}"
        on_gpu = "; on a GPU, set XLA_FLAGS=--xla_gpu_deterministic_ops=true"
        found.append(Problem(told, f"report it, with this page{on_gpu}", AdaptaxError))
    floats = {name: array for name, array in to_arrays(straight.saved.states).items() if array.dtype.kind == "f"}
    if wrong := [name for name, array in floats.items() if not np.isfinite(array).all()]:
        told = f"a tiny training gave numbers that are not finite: {', '.join(wrong[:3])}"
        found.append(Problem(told, "report it, with this page; try another version of jaxlib", NumericalError))
    if damaged:
        told = f"a checkpoint was not whole after it was written: {damaged[0]}"
        found.append(Problem(told, "look after the disk that temporary folders are on (TMPDIR)", CheckpointError))
    return found
