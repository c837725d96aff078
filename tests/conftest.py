"""Strict mode for every test: nothing is promoted silently, and two devices exist."""

import gc
import os
from pathlib import Path

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
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


def pytest_collection_modifyitems(items):
    words = [*LONG, ""]
    items.sort(key=lambda item: next(i for i, word in enumerate(words) if word in item.path.stem))


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
