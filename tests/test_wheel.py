"""The wheel builds, and works from an environment that holds nothing else."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_wheel_installs_into_an_empty_environment(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "adaptax/py.typed" in names and "adaptax/cli/options.py" in names
    assert all(name.startswith("adaptax") for name in names), "only the package goes into the wheel"
    venv.create(tmp_path / "empty")
    pip = [sys.executable, "-m", "pip", "--python", tmp_path / "empty" / "bin" / "python"]
    install = [*pip, "install", "-q", "--no-compile", "-c", ROOT / "constraints.txt", wheel]
    subprocess.run(install, check=True, capture_output=True)
    command = tmp_path / "empty" / "bin" / "adaptax"
    shown = subprocess.run([command, "--help"], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert "train" in shown.stdout and "evaluate" in shown.stdout
    listed = subprocess.run([command, "list"], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert "bernoulli-bandit" in listed.stdout
