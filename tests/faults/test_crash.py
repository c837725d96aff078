"""A process that is killed loses nothing but what came after its last checkpoint, wherever that happens."""

import random
import time

import lab
import pytest

import adaptax as ax
from adaptax import checkpoint
from adaptax.registry import LEARNERS
from adaptax.runs import read_lines

SEED = 20_261


@pytest.mark.fault("F01")
@pytest.mark.parametrize(
    "learner", [pytest.param(name, marks=[] if name in ("rl2", "maml") else pytest.mark.full) for name in LEARNERS]
)
def test_killed_at_a_random_moment(tmp_path, learner, full, record_property):
    """Moments are uniform over the time that a run takes which nobody kills."""
    lasted = lambda run: (run / "run.json").stat().st_mtime - (run / "config.json").stat().st_mtime
    assert lab.process("train", tmp_path / "timed", learner).returncode == 0
    seconds = lasted(tmp_path / "timed")
    rng, kills, tries, slowest = random.Random(SEED), 20 if full else 1, 0, 0.0
    while kills:
        tries += 1
        folder, moment = tmp_path / str(tries), seconds * rng.random()
        ended = lab.process("train", folder, learner, kill_after=moment)
        assert ended.returncode in (-9, 0), ended.stderr
        seconds = seconds if ended.returncode else lasted(folder)  # it was faster: its programs were compiled already
        last = max([line["step"] for line in read_lines(folder / "metrics.jsonl")], default=0)
        kept = max(checkpoint.steps(folder / "checkpoints"), default=0)
        assert kept >= last - lab.MANY["checkpoint_every"], f"killed after {moment} s, seed {SEED}"
        begun = time.monotonic()
        lab.goes_on_unbroken(folder, learner)
        slowest = max(slowest, time.monotonic() - begun)
        kills -= ended.returncode == -9
        assert tries < 40
    what = f"{learner}: kills in the middle of {lab.MANY['meta_steps']} meta-steps, seed {SEED}"
    record_property(what, 20 if full else 1)
    record_property(f"{learner}: slowest resumption to the end, seconds", round(slowest, 2))


@pytest.mark.fault("F03")
@pytest.mark.parametrize("place", ["ckpt.read:kill", "ckpt.mid_file:kill", "ckpt.before_rename:kill"])
def test_killed_again_while_it_resumes(tmp_path, place):
    folder = tmp_path / "run"
    assert lab.process("train", folder, failpoint="ckpt.mid_file:kill@4").returncode == -9
    for _ in range(2):
        assert lab.process("resume", folder, failpoint=place).returncode == -9
    lab.goes_on_unbroken(folder)


@pytest.mark.fault("F02")
@pytest.mark.fault("F16")
@pytest.mark.parametrize(
    "failpoint",
    [
        "ckpt.before_tmp:kill@3",
        "ckpt.mid_file:kill@1",
        "ckpt.mid_file:kill@4",
        "ckpt.before_manifest:kill@3",
        "ckpt.before_rename:kill@3",
        "ckpt.after_rename:kill@3",
        "ckpt.mid_prune:kill@2",
        "metrics.mid_line:kill@4",
    ],
)
def test_killed_inside_a_write(tmp_path, failpoint):
    folder = tmp_path / "run"
    ended = lab.process("train", folder, failpoint=failpoint)
    assert ended.returncode == -9, ended.stderr
    home = folder / "checkpoints"
    before = checkpoint.steps(home)
    if failpoint != "ckpt.mid_file:kill@1":
        assert before, "no whole checkpoint is left"
    lab.goes_on_unbroken(folder)
    events = [line["event"] for line in read_lines(folder / "events.jsonl")]
    cut_off = failpoint.startswith(("ckpt.mid_file", "ckpt.before_manifest", "ckpt.before_rename"))
    assert ("leftovers removed" in events) == cut_off


@pytest.mark.fault("F13")
def test_a_full_disk_is_survived_and_told(tmp_path):
    folder = tmp_path / "run"
    for place in ("before_tmp", "mid_file", "before_manifest", "before_rename"):
        ended = lab.process("train", folder / place, failpoint=f"ckpt.{place}:full@3")
        assert ended.returncode == 0, ended.stderr
        assert "No space left on device; the last one is of meta-step 2; the next is tried in its turn" in ended.stderr
        run = ax.open_run(folder / place)
        assert lab.state_hash(run) == lab.state_hash(lab.whole()) and lab.leftovers(folder / place) == []
        events = [line["event"] for line in read_lines(folder / place / "events.jsonl")]
        assert events.count("checkpoint failed") == 1 and events.count("checkpoint") == 6
