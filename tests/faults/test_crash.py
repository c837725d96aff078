"""A process that is killed inside a write loses nothing but what came after its last checkpoint (F02, F16, F17)."""

import lab
import pytest

import adaptax as ax
from adaptax import checkpoint
from adaptax.runs import read_lines


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> ax.Run:
    return lab.train(tmp_path_factory.mktemp("whole") / "run")


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
def test_killed_inside_a_write(whole, tmp_path, failpoint):
    folder = tmp_path / "run"
    ended = lab.broken(folder, failpoint)
    assert ended.returncode == -9, ended.stderr
    home = folder / "checkpoints"
    before = checkpoint.steps(home)
    if failpoint != "ckpt.mid_file:kill@1":
        assert before, "no whole checkpoint is left"
    assert lab.state_hash(ax.resume(folder, progress=None)) == lab.state_hash(whole)
    assert whole.folder is not None and lab.lines_of(folder) == lab.lines_of(whole.folder)
    assert lab.leftovers(folder) == []
    events = [line["event"] for line in read_lines(folder / "events.jsonl")]
    cut_off = failpoint.startswith(("ckpt.mid_file", "ckpt.before_manifest", "ckpt.before_rename"))
    assert ("leftovers removed" in events) == cut_off


def test_a_full_disk_is_survived_and_told(whole, tmp_path):
    folder = tmp_path / "run"
    for place in ("before_tmp", "mid_file", "before_manifest", "before_rename"):
        ended = lab.broken(folder / place, f"ckpt.{place}:full@3")
        assert ended.returncode == 0, ended.stderr
        assert "No space left on device; the last one is of meta-step 2; the next is tried in its turn" in ended.stderr
        run = ax.open_run(folder / place)
        assert lab.state_hash(run) == lab.state_hash(whole) and lab.leftovers(folder / place) == []
        events = [line["event"] for line in read_lines(folder / place / "events.jsonl")]
        assert events.count("checkpoint failed") == 1 and events.count("checkpoint") == 6
