"""`adaptax check-run`: every damaged thing in a run folder is named, what can be done is said, nothing is changed."""

import dataclasses
import fcntl
import hashlib
import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import adaptax as ax
from adaptax import checkpoint
from adaptax.cli import main
from adaptax.envs.bandits import BernoulliBandit
from adaptax.errors import CheckpointError
from adaptax.nn.recurrent import gru
from adaptax.runs import inspect_run
from adaptax.runs.folder import in_use
from adaptax.runs.run import fresh
from adaptax.runs.settings import Settings
from tiny import BANDIT, RL2

pytestmark = pytest.mark.usefixtures("unvalidated")
LEARNER = dataclasses.replace(RL2, tasks=2, minibatches=1, epochs=1)
STEPS: dict[str, Any] = {"log_every": 1, "validate_every": 6, "checkpoint_every": 2, "progress": None}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs: one is finished, with a result and an adapted agent; the other was stopped."""
    home = tmp_path_factory.mktemp("runs")
    run = ax.train(LEARNER, BANDIT, meta_steps=6, out=home / "finished", **STEPS)
    result = {"learner": "rl2", "environment": "bernoulli-bandit", "split": "test"}
    (home / "finished" / "eval" / "result.json").write_text(
        json.dumps(result | {"total_return": 1, "episode_return": []})
    )
    (home / "finished" / "adapted").mkdir()
    arrays = checkpoint.to_arrays(run.saved.best)
    checkpoint.write_tensors(home / "finished" / "adapted" / "agent.safetensors", arrays)
    ax.train(LEARNER, BANDIT, meta_steps=6, out=home / "stopped", **STEPS, callbacks=[lambda now: now.step == 5])
    return home


@pytest.fixture
def finished(home: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(home / "finished", tmp_path / "run"))


@pytest.fixture
def stopped(home: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(home / "stopped", tmp_path / "run"))


def content(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file, and every folder."""
    digest = lambda path: hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
    return {str(path.relative_to(folder)): digest(path) for path in sorted(folder.rglob("*"))}


def check(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error; the folder is as it was."""
    before = content(folder)
    try:
        main(["check-run", str(folder), *words])
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    assert content(folder) == before
    return code, captured.out, captured.err


def kill(folder: Path, lines: bool = True) -> None:
    """What a kill leaves: the status, the beginning of a line, a checkpoint and a file that were being written."""
    info = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(info | {"status": "running"}))
    if lines:
        for name in ("metrics", "events"):
            with (folder / f"{name}.jsonl").open("a") as file:
                file.write('{"step": 6, "env_st')
    shutil.copytree(folder / "checkpoints" / "5", folder / "checkpoints" / ".6.123.456")
    (folder / ".run.json.123").write_text("{")


def test_a_finished_run(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = check(capsys, finished)
    assert (code, err) == (0, "") and out.endswith("all of it is whole\nfinished: all 6 meta-steps are done\n")
    for words in ("rl2 on bernoulli-bandit, 6 meta-steps", "whole: 2, 4, 6", "metrics.jsonl 6"):
        assert words in out
    assert "note" not in out


def test_a_run_that_was_stopped_goes_on_from_where_it_says(stopped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = check(capsys, stopped, "--json")
    told = json.loads(out)
    assert code == 0 and told["whole"] and told["step"] == 5 == ax.open_run(stopped).step
    assert told["outlook"] == f"`adaptax resume {stopped}` goes on from meta-step 5 of 6"
    assert told["checkpoints"] == [2, 4, 5] and told["lines"]["metrics"] == 5 and told["notes"] == []
    assert (told["learner"], told["environment"], told["status"]) == ("rl2", "bernoulli-bandit", "stopped")


def test_what_a_kill_leaves_is_no_damage(stopped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kill(stopped)
    code, out, err = check(capsys, stopped)
    assert (code, err) == (0, "") and "goes on from meta-step 5 of 6" in out
    for words in (
        "the last line of metrics.jsonl was cut off when its process was killed: `adaptax resume` mends it",
        "the last line of events.jsonl was cut off",
        "checkpoints/.6.123.456 is left of a write that was cut off: resuming removes it",
        ".run.json.123 is left of a write that was cut off: it can be deleted",
        "it was killed, or the machine went down",
    ):
        assert words in out
    assert ax.resume(stopped, progress=None).step == 6  # as it said
    found = inspect_run(stopped)
    assert not found.damaged and found.outlook.startswith("finished")
    assert any("events.jsonl was gone on with after a kill, which had cut off line " in note for note in found.notes)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def folder_of(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("break_it", [shorten, empty, Path.unlink, folder_of])
def test_every_damaged_file_is_named_in_a_line_of_its_own(
    finished: Path, capsys: pytest.CaptureFixture[str], break_it: Callable[[Path], None]
) -> None:
    checkpoint.save(finished / "checkpoints" / "6", ax.open_run(finished).saved, 6, {}, {"line": 6})
    kept = {"eval/result.json", "adapted/agent.safetensors"}  # where one is not there, nothing says that it was
    for name in content(finished):
        path = finished / name
        if path.is_dir() or path.name == ".lock" or (break_it is Path.unlink and name in kept):
            continue
        whole = path.read_bytes()
        break_it(path)
        code, out, err = check(capsys, finished)
        place = str(path.parent.relative_to(finished)) if name.startswith("checkpoints") else name
        told = err.splitlines()[1:-1]
        assert code == 5 and told and path.name in told[0], f"{name}: {err}"
        assert all(line.startswith(place) for line in told), f"nothing else is damaged than {name}: {err}"
        assert "finished" in out or name == "run.json"
        path.rmdir() if path.is_dir() else None
        path.write_bytes(whole)
    assert check(capsys, finished)[0] == 0


def test_all_that_is_damaged_is_told_at_once(stopped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint.save(stopped / "checkpoints" / "5", ax.open_run(stopped).saved, 5, {"entropy": np.ones((1, 3))})
    for name in ("5/state.safetensors", "5/waiting.safetensors", "2/manifest.json"):
        flip(stopped / "checkpoints" / name)
    (stopped / "run.json").write_text("[]")
    code, out, err = check(capsys, stopped, "--json")
    assert code == 5 and len(err.splitlines()) == 6
    told = json.loads(out)
    assert told["damaged"] == err.splitlines()[1:-1] and not told["whole"] and told["checkpoints"] == [4]
    assert told["outlook"].endswith("goes on from meta-step 4 of 6") and ax.open_run(stopped).step == 4
    for words in ("run.json is damaged", "checkpoints/2 is ", "checkpoints/5 is damaged: waiting.safetensors has SHA"):
        assert words in err


def test_where_no_checkpoint_is_whole_nothing_can_be_resumed(stopped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (stopped / "checkpoints").glob("*/state.safetensors"):
        flip(path)
    code, _, err = check(capsys, stopped)
    assert code == 5 and len(err.splitlines()) == 5
    assert "nothing can be resumed, because no checkpoint is whole: " in err


def test_a_configuration_that_is_lost_can_be_written_back(stopped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (stopped / "config.json").write_text("{")
    code, out, err = check(capsys, stopped)
    assert code == 5 and "because config.json is damaged: " in err.splitlines()[-1]
    place, _, name = out.partition("what config.json held is in ")[2].splitlines()[0].partition(", under notes.")
    held = json.loads((stopped / place).read_text())["notes"][name]
    (stopped / "config.json").write_text(json.dumps({"schema": 1} | held))
    assert check(capsys, stopped)[0] == 0 and ax.open_run(stopped).step == 5


def test_lines_that_are_damaged_or_out_of_order(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = finished / "metrics.jsonl"
    lines = path.read_text().splitlines()
    one, two, three, four, five, six = lines
    cases = {
        "metrics.jsonl is damaged: line 2 cannot be read": [one, two[1:], three, four, five, six],
        "metrics.jsonl is damaged: line 2, 3 cannot be read": [one, two[:9], "", four, five, six],
        "metrics.jsonl is damaged: it has more than one line of meta-step 4": [one, two, three, four, four, five, six],
        "metrics.jsonl is damaged: it goes back to meta-step 3": [one, two, four, three, five, six],
        "metrics.jsonl lacks the line of meta-step 6, which checkpoints/6 came after": lines[:-1],
    }
    for words, given in cases.items():
        path.write_text("\n".join(given) + "\n")
        code, _, err = check(capsys, finished)
        assert code == 5 and err.splitlines()[1] == words and len(err.splitlines()) == 3
    path.write_text("\n".join(lines))  # the end of the last line alone is missing
    assert check(capsys, finished)[0] == 0


def test_a_run_that_another_process_trains(stopped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kill(stopped)
    with in_use(stopped):
        found = inspect_run(stopped)
        assert not found.damaged and found.step is None and "killed" not in str(found)
        assert found.outlook.startswith("process ") and found.outlook.endswith("wait for it, or end it first")
        assert "the last line of metrics.jsonl is being written" in found.notes
        assert check(capsys, stopped)[0] == 0
    assert inspect_run(stopped).user is None
    with (stopped / ".lock").open() as looked_at:
        fcntl.flock(looked_at, fcntl.LOCK_SH)
        threading.Timer(0.1, fcntl.flock, [looked_at, fcntl.LOCK_UN]).start()
        with in_use(stopped):  # a look in the very instant in which a training begins does not hinder it
            pass


def test_a_run_without_a_checkpoint(stopped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(stopped / "checkpoints")
    code, _, err = check(capsys, stopped)
    assert code == 5 and "no checkpoint is there, though metrics.jsonl goes to meta-step 5" in err
    for name in ("metrics.jsonl", "events.jsonl", ".lock"):
        (stopped / name).unlink()
    info = json.loads((stopped / "run.json").read_text())
    (stopped / "run.json").write_text(json.dumps(info | {"status": "created"}))
    code, out, _ = check(capsys, stopped)
    assert code == 0 and f"`adaptax resume {stopped}` begins at meta-step 0: there is no checkpoint yet" in out


def test_no_run_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for folder in (tmp_path / "mine", tmp_path / "nowhere"):
        code, out, err = check(capsys, folder)
        assert (code, out) == (5, "") and "is not a run folder" in err
    with pytest.raises(SystemExit) as stop:
        main(["check-run", "one", "two"])
    assert stop.value.code == 2 and "after `adaptax check-run RUN` comes an option" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("learner", "fields", "hidden"), -1, "config.json: rl2.hidden is -1; it must be"),
        (("learner", "fields", "hidden"), 16, "is not what the run began with: learner.fields.hidden was 8 and is 16"),
        (("learner", "fields", "hiden"), 8, "config.json: rl2 has no field 'hiden'"),
        (("learner", "fields"), {}, "config.json does not say rl2.across_episodes"),
        (("environment", "fields", "arms"), 7, "environment.fields.arms was 3 and is 7"),
        (("settings", "seeds"), 0, "settings that this version cannot read: seeds is 0"),
        (("settings", "more"), 1, "settings that this version cannot read"),
        (("settings", "sweep"), {"lr": [1.0]}, "config.json: sweep over 'lr'"),
        (("settings",), None, "settings that this version cannot read"),
        (("schema",), 99, "written by a newer version"),
        (("learner",), "rl2", "config.json is damaged: "),
    ],
)
def test_a_configuration_that_is_not_the_runs_own(
    stopped: Path, capsys: pytest.CaptureFixture[str], place: tuple[str, ...], value: Any, told: str
) -> None:
    config = json.loads((stopped / "config.json").read_text())
    part = config
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    (stopped / "config.json").write_text(json.dumps(config))
    code, _, err = check(capsys, stopped)
    assert code == 5 and told in err and "Traceback" not in err
    assert "nothing can be resumed, because " in err.splitlines()[-1]
    with pytest.raises(Exception):  # noqa: B017 (it is as it says)
        ax.resume(stopped, progress=None)


class OwnBandit(BernoulliBandit):
    pass


def test_what_is_ones_own_is_checked_as_far_as_it_can_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stop: dict[str, Any] = {"meta_steps": 2, "progress": None, "callbacks": [lambda now: now.step == 1]}
    folder = tmp_path / "run"
    ax.train(ax.Random(tasks=2), OwnBandit(arms=2, pulls=2), out=folder, **stop)
    code, out, _ = check(capsys, folder)
    assert code == 0 and "the environment OwnBandit is your own" in out
    assert f"`adaptax resume {folder} --env-file file.py:Name` goes on from meta-step 1 of 2" in out
    flip(folder / "checkpoints" / "1" / "state.safetensors")
    assert check(capsys, folder)[0] == 5
    network = gru(BANDIT.observation_space.size + BANDIT.action_space.size + 2, 8)
    ax.train(dataclasses.replace(LEARNER, network=network), BANDIT, out=tmp_path / "net", **stop)
    found = inspect_run(tmp_path / "net")
    assert "the learner rl2's network is your own" in found.notes[0]
    assert f"in Python, `adaptax.resume('{tmp_path / 'net'}', learner=...)` goes on from meta-step 1" in found.outlook


def test_checkpoints_that_do_not_fit_are_named(stopped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = fresh(ax.Random(tasks=2).bind(BANDIT.spec()), BANDIT, Settings(1))
    place = "checkpoints/2/state.safetensors does not fit this learner and environment: "
    checkpoint.save(stopped / "checkpoints" / "2", other, 2)  # a checkpoint that says nothing of its learner
    code, _, err = check(capsys, stopped)
    assert code == 5 and place in err and "goes on from meta-step 5 of 6" in err
    checkpoint.save(stopped / "checkpoints" / "6", other, 6)
    code, _, err = check(capsys, stopped)
    assert code == 5 and "nothing can be resumed, because checkpoints/6 does not fit" in err
    with pytest.raises(CheckpointError, match="does not fit"):
        ax.open_run(stopped)


def test_checkpoints_that_are_not_what_their_place_says(stopped: Path) -> None:
    (stopped / "checkpoints" / "5").rename(stopped / "checkpoints" / "6")
    (stopped / "checkpoints" / "copy of 4").mkdir()
    (stopped / "checkpoints" / "4" / "waiting.safetensors").write_bytes(b"x")
    found = inspect_run(stopped)
    assert found.damaged == [
        "checkpoints/4 is damaged: its manifest.json knows no waiting.safetensors",
        "checkpoints/6 holds meta-step 5: it was renamed or copied",
    ]
    assert found.notes == ["checkpoints/copy of 4 is no checkpoint: adaptax does not look at it"]
    assert found.step == ax.open_run(stopped).step == 5


@pytest.mark.parametrize("damage", [Path.unlink, empty, lambda path: path.write_text("[" * 100_000)])
def test_a_run_goes_on_without_its_status(stopped: Path, damage: Callable[[Path], Any]) -> None:
    damage(stopped / "run.json")
    found = inspect_run(stopped)
    assert len(found.damaged) == 1 and found.outlook.endswith("goes on from meta-step 5 of 6")
    assert ax.resume(stopped, progress=None).step == 6
    assert not inspect_run(stopped).damaged
