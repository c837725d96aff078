"""Damaged files, copied folders, disks that are full or gone; and hostile files."""

import json
import pickle
import random
import resource
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import jax.numpy as jnp
import lab
import numpy as np
import pytest
from safetensors.numpy import save_file

import adaptax as ax
from adaptax import checkpoint
from adaptax.checkpoint import MIB
from adaptax.cli import exit_code_of
from adaptax.errors import CheckpointError, StorageError

SEED = 20_251
FLIPS = 180  # in each of the three files of a checkpoint


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run whose newest checkpoint has all three files."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    lab.train(folder)
    newest = folder / "checkpoints" / "12"
    saved = ax.open_run(folder).saved
    checkpoint.save(newest, saved, 12, {"life_return": np.ones((1, 40), np.float32)})
    return folder


def mutations(folder: Path) -> Iterator[str]:
    """Damages the files of a checkpoint one way after another, and mends them in between; says how."""
    rng, files = random.Random(SEED), sorted(folder.iterdir())
    assert [path.name for path in files] == ["manifest.json", "state.safetensors", "waiting.safetensors"]
    for path in files:
        whole = path.read_bytes()
        for part in (0.0, 0.5, 0.999):
            path.write_bytes(whole[: int(part * len(whole))])
            yield f"{path.name} cut to {part:.1%}"
        for _ in range(FLIPS):
            place, bit = rng.randrange(len(whole)), rng.randrange(8)
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            yield f"bit {bit} of byte {place} of {path.name} flipped (seed {SEED})"
        path.unlink()
        yield f"{path.name} deleted"
        path.mkdir()
        yield f"{path.name} a folder"
        path.rmdir()
        path.write_bytes(whole)
    one, other = files[1:]
    for told in (True, False):  # there and back
        aside = one.rename(folder / "aside")
        other.rename(one)
        aside.rename(other)
        if told:
            yield "tensor files swapped"
    checkpoint.verified(folder)  # whole again


@pytest.mark.fault("F12")
def test_every_damage_is_found_before_a_leaf_is_used(run, record_property):
    newest, count = run / "checkpoints" / "12", 0
    for what in mutations(newest):
        count += 1
        with pytest.raises(CheckpointError, match=r"is damaged|is not a checkpoint|update adaptax"):
            checkpoint.load(newest, {})  # were it read, it would not fit: other words
            pytest.fail(what)
    record_property(f"damages made, all of them found (seed {SEED})", count)
    assert count >= 500


@pytest.mark.fault("F12")
def test_what_is_damaged_is_passed_over_or_refused(run, tmp_path, capsys):
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    state = copy / "checkpoints" / "12" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-1])
    found = ax.open_run(copy)
    assert found.step == 10 and "checkpoints/12 is damaged: what follows is of meta-step 10" in capsys.readouterr().err
    with pytest.raises(CheckpointError, match="no checkpoint '12'"):
        found.meta(12)
    with pytest.raises(CheckpointError, match=r"state.safetensors has [\d,]+ bytes, and [\d,]+ were written"):
        checkpoint.verified(state.parent)


@pytest.mark.fault("F18")
@pytest.mark.parametrize("place", ["ein Ort mit Leerzeichen/läuft", "运行", "linked"])
def test_a_run_may_be_anywhere(run, tmp_path, place):
    copy = tmp_path / place
    if place == "linked":
        real = shutil.copytree(run, tmp_path / "real")
        copy.symlink_to(real)
    else:
        copy.parent.mkdir(exist_ok=True)
        packed = shutil.make_archive(str(tmp_path / "packed"), "zip", run)
        shutil.unpack_archive(packed, copy)
    shutil.rmtree(copy / "checkpoints" / "12")
    assert ax.resume(copy, progress=None).step == 12
    for path in copy.rglob("*.json*"):
        assert str(run.parent) not in path.read_text(encoding="utf-8")


@pytest.mark.fault("F14")
def test_too_little_room_is_told_before_the_first_meta_step(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000))
    with pytest.raises(StorageError, match=r"has 0\.0 MiB left on its disk, and 3 more checkpoint\(s\) need") as told:
        lab.train(tmp_path / "run")
    assert told.value.exit_code == 6
    assert checkpoint.steps(tmp_path / "run" / "checkpoints") == [0]
    monkeypatch.undo()
    lab.goes_on_unbroken(tmp_path / "run")


@pytest.mark.fault("F15")
def test_a_folder_that_cannot_be_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="Not a directory") as told:
        lab.train(tmp_path / "file" / "run")
    assert exit_code_of(told.value)[0] == 6 and (tmp_path / "file").read_text() == "mine"


@pytest.mark.fault("F15")
@pytest.mark.parametrize("left", ["nothing", "a file"])
def test_a_folder_that_vanishes_is_written_nowhere_else(tmp_path, left, capsys):
    folder = tmp_path / "run"

    def vanish(now: ax.Now) -> None:
        if now.step == 4:
            folder.rename(tmp_path / "gone")
            if left == "a file":
                folder.write_text("not ours")

    with pytest.raises(StorageError, match="the last one is of meta-step 2"):
        ax.train(lab.RL2, lab.BANDIT, out=folder, progress=None, callbacks=[vanish], **lab.STEPS)
    assert folder.read_text() == "not ours" if left == "a file" else not folder.exists()
    assert "the last lines of" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == (["gone", "run"] if left == "a file" else ["gone"])
    lab.goes_on_unbroken(tmp_path / "gone")


@pytest.mark.fault("F17")
@pytest.mark.parametrize("failing", ["", "ckpt.mid_prune:kill@4", "ckpt.mid_file:full@5"])
def test_at_every_instant_a_whole_checkpoint_is_there(tmp_path, failing, record_property):
    """Looked at a hundred times a second, while old checkpoints are removed and a save fails."""
    folder, looks, over = tmp_path / "run", [], threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            if (folder / "checkpoints" / "0").exists() or looks:
                looks.append(bool(whole_now(folder / "checkpoints")))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        ended = lab.process("train", folder, failpoint=failing)
    finally:
        over.set()
        watcher.join()
    assert ended.returncode == (-9 if "kill" in failing else 0), ended.stderr
    record_property(f"looks ({failing or 'nothing fails'})", len(looks))
    assert len(looks) > 3 and all(looks)


def whole_now(home: Path) -> bool:
    """Whether one is whole; one that is removed while it is read was not the last."""
    for _ in range(3):
        try:
            return bool(checkpoint.steps(home))
        except FileNotFoundError:
            continue
    return False


@pytest.mark.fault("F19")
def test_saving_copies_one_leaf_at_most(tmp_path, record_property):
    leaf = 48 * MIB
    tree = {str(i): jnp.full((leaf // 4,), float(i)) for i in range(4)}
    checkpoint.save(tmp_path / "before", tree, 0)
    before = lab.memory()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    checkpoint.save(tmp_path / "after", tree, 0)
    more = lab.memory("VmHWM") - before
    record_property("memory taken while saving, in units of the largest leaf", round(more / leaf, 3))
    assert more < 1.1 * leaf


@pytest.mark.fault("F13")
@pytest.mark.full
def test_a_small_disk_that_fills_up(tmp_path, record_property):
    """A real one, of 256 KiB, where this machine lets one be mounted."""
    home = tmp_path / "small"
    home.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(home)], check=False).returncode
    record_property("a small disk could be mounted", mounted == 0)
    if mounted:
        return
    try:
        ended = lab.process("train", home / "run")
        assert ended.returncode == 0, ended.stderr
        filler = home / "filler"
        filler.write_bytes(bytes(shutil.disk_usage(home).free))
        with pytest.raises(OSError, match="No space left"):
            lab.train(home / "other")
        filler.unlink()
        run = ax.open_run(home / "run")
        assert lab.state_hash(run) == lab.state_hash(lab.whole())
    finally:
        subprocess.run(["umount", str(home)], check=True)


# Hostile files: they come with a manifest that agrees with them, so digests say nothing.


class Canary:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def agreeing(folder: Path, name: str = "state.safetensors") -> None:
    """Writes the manifest that fits what lies in a folder."""
    path = folder / name
    entry = {"bytes": path.stat().st_size, "sha256": checkpoint._digest(path)}  # pyright: ignore[reportPrivateUsage]
    manifest = {"format": 1, "step": 1, "files": {name: entry}}
    manifest |= {"sha256": checkpoint._mark_of(manifest)}  # pyright: ignore[reportPrivateUsage]
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.fault("F40")
def test_a_pickle_is_never_opened(tmp_path):
    folder, mark = tmp_path / "1", tmp_path / "touched"
    folder.mkdir()
    np.savez(tmp_path / "objects.npz", x=np.array([Canary(mark)], object))
    for poison in (pickle.dumps(Canary(mark)), (tmp_path / "objects.npz").read_bytes()):
        (folder / "state.safetensors").write_bytes(poison)
        agreeing(folder)
        with pytest.raises(CheckpointError, match="no file of adaptax"):
            checkpoint.load(folder, {})
        (folder / "manifest.json").write_bytes(pickle.dumps(Canary(mark)))
        with pytest.raises(CheckpointError, match="not a checkpoint"):
            checkpoint.load(folder, {})
    assert not mark.exists()


@pytest.mark.fault("F43")
@pytest.mark.parametrize(
    "name", ["../outside", "/etc/hostname", "C:\\x", "a\0b", "x" * 4096, "waiting.safetensors/../../x"]
)
def test_a_manifest_names_no_file_elsewhere(tmp_path, name):
    folder = tmp_path / "1"
    checkpoint.save(folder, {"x": np.zeros(3)}, 1)
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["sha256"]
    manifest["files"][name] = manifest["files"]["state.safetensors"]
    (folder / "manifest.json").write_text(
        json.dumps(manifest | {"sha256": checkpoint._mark_of(manifest)})  # pyright: ignore[reportPrivateUsage]
    )
    with pytest.raises(CheckpointError, match="names other files"):
        checkpoint.load(folder, {"x": np.zeros(3)})


@pytest.mark.fault("F43")
def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    folder = tmp_path / "1"
    checkpoint.save(folder, {"x": np.zeros(3)}, 1)
    outside = (folder / "state.safetensors").rename(tmp_path / "outside")
    (folder / "state.safetensors").symlink_to(outside)
    with pytest.raises(CheckpointError, match="missing"):
        checkpoint.load(folder, {"x": np.zeros(3)})


def bombs(folder: Path) -> Iterator[str]:
    """Files that are small on disk and would be large in memory."""
    state, manifest = folder / "state.safetensors", folder / "manifest.json"

    def header(entries: dict, claimed: int | None = None) -> None:
        text = json.dumps(entries).encode()
        state.write_bytes((claimed or len(text)).to_bytes(8, "little") + text)
        agreeing(folder)

    header({f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(100_000)})
    yield "a hundred thousand tensors"
    header({"x": {"dtype": "F32", "shape": [10**6] * 3, "data_offsets": [0, 4 * 10**18]}})
    yield "a shape of 10^18"
    header({"x": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}}, claimed=2**62)
    yield "a header of 2^62 bytes"
    save_file({"x": np.zeros(3, np.float64)}, state)
    agreeing(folder)
    yield "another type"
    with manifest.open("wb") as file:
        file.truncate(2**30)
    yield "a manifest of a gigabyte"
    manifest.write_text("[" * 100_000)
    yield "a manifest nested deeply"


@pytest.mark.fault("F44")
def test_bombs_are_refused_at_once(tmp_path):
    folder = tmp_path / "1"
    folder.mkdir()
    for what in bombs(folder):
        begun, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(CheckpointError):
            checkpoint.load(folder, {"x": np.zeros(3, np.float32)})
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert time.process_time() - begun < 1 and grown < 100 * 1024, what
