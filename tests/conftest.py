"""Strict mode for every test: nothing is promoted silently, and two devices exist."""

import gc
import json
import os
from pathlib import Path

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2 " + os.environ.get("XLA_FLAGS", "")
# Fusion emitters take a third of the compiler's time; parts of a program are compiled apart only for more cores.
os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import settings

from adaptax.measure import Samples
from adaptax.runs import training

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
# Most programs here compile for seconds and run for milliseconds: this leaves half of the compiler's work out.
jax.config.update("jax_disable_most_optimizations", True)
jax.config.update("jax_traceback_in_locations_limit", 0)  # where an operation was written is not compiled in
gc.set_threshold(50_000, 20, 20)  # tracing makes millions of small objects, hardly ever a cycle
# Compiled programs are kept from one test run to the next.
jax.config.update("jax_compilation_cache_dir", str(Path(__file__).parents[1] / ".pytest_cache" / "xla"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
# Validations small enough for programs that are hardly optimised.
training.VALIDATION_STEPS = 10_000
# Examples are the same in every run; the first call of each compiles, so time limits would mean nothing.
settings.register_profile("adaptax", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("adaptax")

# Files that take long come first, so that two workers end together.
LONG = ("conformance", "code_blocks", "learning", "cli", "runs", "evaluation", "deploy", "wheel", "gradient", "speed")


MAPS = Path("/proc/self/maps")
MOST_MAPS = 40_000  # each compiled program takes some; Linux gives a process 65,530, and without one the compiler dies


def pytest_runtest_teardown():
    if MAPS.exists() and MAPS.read_bytes().count(b"\n") > MOST_MAPS:
        jax.clear_caches()
        gc.collect()


def pytest_addoption(parser):
    parser.addoption("--fault", help="only the tests that provoke this fault, such as F12")
    parser.addoption("--full", action="store_true", help="faults in full: all learners, many kills")
    parser.addoption("--reliability", type=Path, help="write what came of each fault into this JSON file")


def faults_of(item):
    return [name for mark in item.iter_markers("fault") for name in mark.args]


def pytest_collection_modifyitems(config, items):
    words = [*LONG, ""]
    items.sort(key=lambda item: next(i for i, word in enumerate(words) if word in item.path.stem))
    for item in items:
        item.user_properties += [("fault", name) for name in faults_of(item)]
    wanted, full = config.getoption("--fault"), config.getoption("--full")
    kept = [x for x in items if (full or not x.get_closest_marker("full")) and (not wanted or wanted in faults_of(x))]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


@pytest.fixture
def full(request):
    """Whether faults are provoked as often as `make faults` does, or only as often as every test run can afford."""
    return request.config.getoption("--full")


def pytest_configure(config):
    if path := config.getoption("--reliability"):
        config.pluginmanager.register(Reliability(path))


class Reliability:
    """Counts tests, cases and seconds of each fault; what a test measured is added as it is."""

    def __init__(self, path):
        self.path, self.faults = path, {}

    def pytest_runtest_logreport(self, report):
        properties = dict(report.user_properties)
        for name in [value for kind, value in report.user_properties if kind == "fault"]:
            found = self.faults.setdefault(name, {"tests": 0, "passed": 0, "seconds": 0.0, "measured": {}})
            found["seconds"] = round(found["seconds"] + report.duration, 2)
            if report.when == "call" or report.failed:
                found["tests"] += 1
                found["passed"] += report.passed
                found["measured"] |= {kind: value for kind, value in properties.items() if kind != "fault"}

    def pytest_sessionfinish(self, session):
        if hasattr(session.config, "workerinput"):
            return
        machine = f"{os.cpu_count()} CPU cores, {jax.default_backend()}"
        told = {"full": session.config.getoption("--full"), "machine": machine, "jax": jax.__version__}
        before = json.loads(self.path.read_text())["faults"] if self.path.exists() else {}
        told["faults"] = dict(sorted((before | self.faults).items()))  # those that did not run keep what came of them
        self.path.write_text(json.dumps(told, indent=1) + "\n")


@pytest.fixture(autouse=True, scope="module")
def _forget_programs():
    """A process may map only so much memory (65,530 areas on Linux), and every compiled program takes some of it."""
    yield
    areas = Path("/proc/self/maps")
    if not areas.exists() or areas.read_bytes().count(b"\n") > 30_000:
        jax.clear_caches()


@pytest.fixture
def unvalidated(monkeypatch):
    """For trainings whose validations nobody asks about: they are not lived, and say nothing."""
    nothing = Samples(*(np.zeros(shape) for shape in ((2,), (2, 1), (2, 2), (2, 1))))
    monkeypatch.setattr(training, "measure", lambda *_: (nothing, None))


@pytest.fixture
def x64():
    """Float64 within one test only."""
    with jax.enable_x64(True):
        yield
    assert jnp.zeros(()).dtype == jnp.float32, "float64 leaked out of a test"
