"""What must not matter: the process (F30), who else starts a run (F51), clocks (F58), locale and terminal (F59)."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lab
import pytest

import adaptax as ax
from adaptax.errors import RunBusyError
from adaptax.progress import LINES
from adaptax.runs import folder_name, read_lines
from adaptax.runs.folder import create_folder

ELSEWHERE = {"PYTHONHASHSEED": "1", "LANG": "tr_TR.UTF-8", "LC_ALL": "C", "TZ": "Asia/Kathmandu", "USER": "nobody"}


@pytest.mark.fault("F30")
def test_the_same_seed_in_other_processes_is_the_same_run(tmp_path, monkeypatch):
    here = lab.train(tmp_path / "here")
    for name, setting in ELSEWHERE.items():
        monkeypatch.setenv(name, setting)
    monkeypatch.chdir(tmp_path)
    assert lab.process("train", tmp_path / "there").returncode == 0
    assert lab.state_hash(ax.open_run(tmp_path / "there")) == lab.state_hash(here)
    assert lab.lines_of(tmp_path / "there") == lab.lines_of(tmp_path / "here")


@pytest.mark.fault("F51")
def test_runs_that_start_at_one_instant_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with ThreadPoolExecutor(32) as pool:
        names = list(pool.map(lambda _: folder_name("rl2", "maze"), range(32)))
        assert len(set(names)) == 32
        list(pool.map(lambda name: create_folder(name, {"run": str(name)}), names))

        def same(number: int) -> bool:
            try:
                create_folder(Path("runs/one"), {"run": number})
            except RunBusyError:
                return False
            return True

        assert sum(pool.map(same, range(32))) == 1
    for name in names:
        assert json.loads((name / "config.json").read_text())["run"] == str(name)


@pytest.mark.fault("F58")
def test_a_clock_that_jumps_changes_no_time_taken(tmp_path, monkeypatch, capsys):
    years = iter([3e8, -3600, 0, 3e9] * 1000)  # past 2038, an hour back, and home
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + next(years))
    run = ax.train(lab.RL2, lab.BANDIT, out=tmp_path / "run", progress=LINES, **lab.STEPS)
    seconds = [line["seconds"] for line in run.history]
    assert seconds == sorted(seconds) and seconds[0] > 0 and seconds[-1] < 600
    said = capsys.readouterr().err
    assert " -" not in said.replace("return -", "") and "left" in said
    assert [line["step"] for line in read_lines(tmp_path / "run" / "events.jsonl")][-1] == 12


@pytest.mark.fault("F59")
@pytest.mark.parametrize(
    "setting",
    [
        {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "TERM": "dumb", "NO_COLOR": "1"},
        {
            "COLUMNS": "20",
            "LANG": "xx_YY",
            "PYTHONWARNINGS": "error::EncodingWarning",
            "PYTHONWARNDEFAULTENCODING": "1",
        },
    ],
)
def test_commands_work_in_a_poor_terminal(tmp_path, setting):
    keep = {name: value for name, value in os.environ.items() if name in ("PATH", "XLA_FLAGS", "JAX_PLATFORMS")}
    run = lambda *words: subprocess.run(
        [sys.executable, "-m", "adaptax", *words], env=keep | setting, cwd=tmp_path, capture_output=True, check=False
    )
    for words in (
        ("list",),
        ("train", "random", "bernoulli-bandit", "--meta-steps", "1", "--out", "läuft"),
        ("evaluate", "läuft", "--tasks", "5"),
    ):
        ended = run(*words)
        assert ended.returncode == 0, ended.stderr
