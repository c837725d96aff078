"""F10 and F11: what earlier versions wrote is read, or it is said why not; what later ones write is refused."""

import hashlib
import json
import shutil
from pathlib import Path

import lab
import numpy as np
import pytest

import adaptax as ax
from adaptax import checkpoint
from adaptax.errors import CheckpointError

GOLDEN = Path(__file__).parent / "golden"
FORMATS = {1: "the first: a run of `make_golden` on 2026-11-22"}


def make_golden(folder: Path) -> ax.Run:
    """The run that is kept of each format: when the format changes, make one anew and keep the old."""
    learner = ax.RL2(tasks=4, minibatches=2, hidden=4)
    return ax.train(learner, lab.BANDIT, meta_steps=6, checkpoint_every=3, out=folder, progress=None)


def test_there_is_a_golden_run_of_every_format():
    assert sorted(int(path.name) for path in GOLDEN.iterdir()) == sorted(FORMATS) == [*range(1, checkpoint.FORMAT + 1)]


@pytest.mark.fault("F11")
@pytest.mark.parametrize("number", FORMATS)
def test_a_run_of_every_format_opens_and_goes_on(tmp_path, number):
    folder = Path(shutil.copytree(GOLDEN / str(number), tmp_path / "run"))
    run, facts = ax.open_run(folder), json.loads((folder / "facts.json").read_text())
    meta = run.meta("last")
    assert run.step == 6 and int(meta.updates[0]) == 6
    assert hashlib.sha256(np.asarray(meta.params["policy"]["weight"]).tobytes()).hexdigest() == facts["policy"]
    assert float(run.saved.best_score[0]) == facts["best_score"]
    shutil.rmtree(folder / "checkpoints" / "6")
    gone_on = ax.resume(folder, progress=None)
    assert gone_on.step == 6 and [line["step"] for line in gone_on.history] == [1, 2, 3, 4, 5, 6]
    assert ax.evaluate(run, tasks=20, seed=3).samples.total_return.shape == (1, 20)


@pytest.mark.fault("F11")
def test_a_later_format_is_refused_with_what_it_needs(tmp_path):
    folder = Path(shutil.copytree(GOLDEN / "1", tmp_path / "run"))
    for manifest in folder.glob("checkpoints/*/manifest.json"):
        told = json.loads(manifest.read_text())
        manifest.write_text(json.dumps(told | {"format": checkpoint.FORMAT + 1}))
    with pytest.raises(CheckpointError, match=r"has format 2; this version reads up to 1: update adaptax"):
        checkpoint.verified(folder / "checkpoints" / "6")
    with pytest.raises(CheckpointError, match=r"no checkpoint in .* is whole\. Of the newest: .*update adaptax"):
        ax.resume(folder, progress=None)


@pytest.mark.fault("F10")
def test_a_run_whose_checkpoints_are_gone_is_not_begun_anew(tmp_path):
    make_golden(tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    (tmp_path / "run" / "checkpoints").mkdir()
    lines = (tmp_path / "run" / "metrics.jsonl").read_text()
    with pytest.raises(CheckpointError, match="has no checkpoint, though it was trained up to meta-step 6"):
        ax.resume(tmp_path / "run", progress=None)
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == lines


@pytest.mark.fault("F10")
@pytest.mark.parametrize("what", ["nothing", "an empty folder", "a file", "another folder"])
def test_what_is_no_run_is_never_begun_from_scratch(tmp_path, what):
    place = tmp_path / "it"
    if what == "a file":
        place.write_text("mine")
    elif what != "nothing":
        place.mkdir()
        (place / "notes.txt").write_text("mine") if what == "another folder" else None
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CheckpointError, match=f"{place} is not a run folder"):
        ax.resume(place)
    assert sorted(tmp_path.rglob("*")) == before
