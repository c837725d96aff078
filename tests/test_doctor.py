"""`adaptax doctor`: what a machine is, whether adaptax works on it, and what is wrong with it (F60)."""

import json
import os
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path

import jax
import numpy as np
import pytest

import adaptax as ax
from adaptax import doctor
from adaptax.checkpoint import MIB
from adaptax.cli import main
from adaptax.errors import CheckpointError, NumericalError, ResourceError

PROGRAMS = Path(__file__).parents[1] / ".pytest_cache" / "xla"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a GPU, as its root folder shows it; commands run in an empty folder."""
    root = tmp_path / "machine"
    (root / "proc").mkdir(parents=True)
    (root / "proc" / "meminfo").write_text("MemTotal:  9000000 kB\nMemAvailable:    8388608 kB\n")
    monkeypatch.setattr(doctor, "ROOT", root)
    monkeypatch.setenv("ADAPTAX_CACHE", str(PROGRAMS))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return root


@pytest.fixture
def untried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the self-test is not asked about."""
    monkeypatch.setattr(doctor, "self_test", lambda: doctor.Trial(1.0, 1000.0, []))


def add(root: Path, *names: str, text: str = "") -> None:
    """Files of a machine."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    try:
        main(["doctor", *words])
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_machine_on_which_all_is_well(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "--json")
    told = json.loads(out)
    assert (code, err, told["problems"], told["gpus"]) == (0, "", [], [])
    assert told["versions"].keys() == {"python", "adaptax", "jax", "jaxlib", "equinox", "optax", "numpy"}
    assert told["extras"] == {"dev": True, "gymnasium": True, "report": True}
    assert len(told["devices"]) == jax.device_count() and told["cores"] >= 1
    assert told["free_memory"] == 8192 * MIB and told["free_disk"] > 0 and told["free_cache_disk"] > 0
    assert told["cache"] == str(PROGRAMS)
    assert told["self_test"]["seconds"] > 0 and told["self_test"]["steps_per_second"] > 0
    assert not list(Path().iterdir()), "nothing is left behind"


def test_a_reader_is_told_the_same(machine: Path, untried: None, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys)
    assert (code, err) == (0, "") and out.endswith("adaptax works here\n")
    for words in ("none in this machine", "8.0 GiB free", "1.0 s; 1,000 environment steps a second", "not installed"):
        assert words in out


@pytest.mark.fault("F60")
@pytest.mark.parametrize(
    ("files", "maker", "extra"),
    [
        (["dev/nvidia0", "dev/nvidia1", "dev/nvidiactl"], "NVIDIA", "cuda12"),
        (["dev/nvidia0", "proc/driver/nvidia/gpus/0000:19:00.0/information"], "NVIDIA H200", "cuda12"),
        (["dev/kfd"], "AMD", "rocm"),
    ],
)
def test_a_gpu_that_jax_does_not_use_exits_with_6_and_the_line_that_installs_it(
    machine: Path,
    untried: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    files: list[str],
    maker: str,
    extra: str,
) -> None:
    add(machine, *files, text="Model: \t\t NVIDIA H200\nIRQ: 0\n")
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    code, out, err = run(capsys)
    assert code == 6 and maker in out
    told, remedy = err.splitlines()
    assert f" ({maker}), and JAX computes on the CPU: jaxlib " in told and "installed without" in told
    assert f'to mend it: pip install "jax[{extra}' in remedy
    name = remedy.partition("jax[")[2].partition("]")[0]
    assert name in metadata("jax").get_all("Provides-Extra", []), "jax knows that extra"
    code, out, err = run(capsys, "--json")
    assert code == 6 and json.loads(out)["problems"][0]["remedy"] in err


@pytest.mark.fault("F60")
def test_every_reason_why_a_gpu_is_not_used_is_told(
    machine: Path, untried: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    add(machine, "proc/driver/nvidia/gpus/0/information", text="no model")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("JAX_PLATFORM_NAME", "gpu")
    code, _, err = run(capsys)
    assert code == 6 and "JAX_PLATFORM_NAME" not in err
    for words in (
        "JAX_PLATFORMS is 'cpu'",
        "unset JAX_PLATFORMS; then pip install",
        "/dev/nvidia*",
        "docker run --gpus",
    ):
        assert words in err
    add(machine, "dev/nvidia0")
    monkeypatch.setattr(doctor, "plugin_of", lambda maker: "jax-cuda12-plugin 0.0.1")
    (problem,) = doctor.unused(["NVIDIA"], "computes on the CPU", machine, {"JAX_PLATFORMS": "cpu"})
    assert problem.remedy == "unset JAX_PLATFORMS"
    (problem,) = doctor.unused(["NVIDIA"], "computes on the CPU", machine, {})
    assert "jax-cuda12-plugin 0.0.1 is installed, and does not start: " in problem.what
    assert "nvidia-smi" in problem.remedy and 'pip install -U "jax[cuda12]"' in problem.remedy


@pytest.mark.fault("F60")
def test_a_platform_that_is_not_there_is_told() -> None:
    words = [sys.executable, "-m", "adaptax", "doctor"]
    settings = os.environ | {"JAX_PLATFORMS": "cuda", "ADAPTAX_CACHE": str(PROGRAMS)}
    done = subprocess.run(words, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 6 and "devices    none" in done.stdout and "Traceback" not in done.stderr
    assert "JAX_PLATFORMS is 'cuda'" in done.stderr and "to mend it: unset JAX_PLATFORMS" in done.stderr


def test_a_cache_that_cannot_be_written_is_told(
    machine: Path, untried: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (machine / "file").write_text("mine")
    monkeypatch.setenv("ADAPTAX_CACHE", str(machine / "file" / "cache"))
    code, out, err = run(capsys)
    assert code == 6 and str(machine / "file" / "cache") in out
    assert f"compiled programs cannot be kept in {machine / 'file' / 'cache'}: " in err and "ADAPTAX_CACHE" in err


def test_what_a_training_would_lack_is_told(machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = machine / "sys" / "fs" / "cgroup"
    add(limits, "memory.max", text=str(600 * MIB))
    add(limits, "memory.current", text=str(100 * MIB))
    assert doctor.free_memory(machine) == 500 * MIB
    add(limits, "memory.max", text="max\n")
    assert doctor.free_memory(machine) == 8192 * MIB
    assert doctor.free_memory(tmp_path) is None
    monkeypatch.setattr(doctor, "free_disk", lambda folder: MIB)
    (tmp_path / "file").touch()
    found = doctor.lacks(tmp_path / "file", tmp_path, 500 * MIB)
    for words in ("500 MiB of memory", "no run can be made in this folder", "1 MiB are free on the disk here"):
        assert sum(words in problem.what for problem in found) == 1
    assert len(found) == 4 and all(problem.remedy and problem.error is ResourceError for problem in found)


def test_a_self_test_that_fails_says_how(
    machine: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(error: Exception) -> tuple[int, str]:
        def broken(*_: object, **__: object) -> ax.Run:
            raise error

        monkeypatch.setattr(doctor, "train", broken)
        code, _, err = run(capsys)
        return code, err

    code, err = fail(KeyError("wheel"))
    assert code == 1 and "the self-test broke off: KeyError: 'wheel'\n   to mend it: " in err
    assert fail(NumericalError("entropy is nan"))[0] == 4
    assert fail(OSError("no space"))[0] == 6


def test_a_training_that_is_not_the_same_again_is_told(unvalidated: None) -> None:
    run = ax.train(ax.Random(tasks=2), ax.make("bernoulli-bandit", arms=2, pulls=2), meta_steps=1, progress=None)
    assert doctor.faults(run, run, []) == []
    saved = run.saved._replace(best_score=run.saved.best_score + np.float32(1e-7))
    other = ax.Run(run.learner, run.env, run.settings, saved)
    (problem,) = doctor.faults(other, run, [])
    assert ".best_score" in problem.what and "bit for bit" in problem.what and problem.error.exit_code == 1
    (problem,) = doctor.faults(run, run, ["checkpoints/1 is damaged"])
    assert "checkpoints/1 is damaged" in problem.what and problem.error is CheckpointError


def test_no_other_command_waits_for_it() -> None:
    watch = "import sys, adaptax.cli.commands; assert 'adaptax.doctor' not in sys.modules"
    subprocess.run([sys.executable, "-c", watch], check=True)
