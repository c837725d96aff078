"""Checkpoints: arrays in safetensors, everything else in a JSON manifest that is written last. No pickle, no code.

A checkpoint is a folder with `state.safetensors` (one tensor a leaf, named by its path in the tree; random keys as
their uint32 data), `waiting.safetensors` (metrics that are not in a line yet) and `manifest.json` (format, step, and
size and SHA-256 of each file). It is written beside its place, flushed, and renamed into it, so a folder that stands
there is whole. Loading compares names, shapes and types with a template before any number is read.
"""

import hashlib
import json
import math
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open

from adaptax.errors import CheckpointError, ConfigError
from adaptax.failpoints import reach

FORMAT = 1
STATE, WAITING = "state.safetensors", "waiting.safetensors"
MIB = 2**20
LARGEST = MIB  # of a manifest, and of a header: some thousand leaves
TYPES = {"bool": "BOOL", "float16": "F16", "float32": "F32", "float64": "F64", "bfloat16": "BF16"}
TYPES |= {"complex64": "C64"} | {
    f"{sign}int{bits}": f"{sign.upper() or 'I'}{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}
NAMES = {kind: name for name, kind in TYPES.items()}
PyTree = Any


def is_key(leaf: Any) -> bool:
    """Whether an array holds random keys."""
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _named(tree: PyTree) -> dict[str, Any]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path) or "value": leaf for path, leaf in leaves}


def to_arrays(tree: PyTree) -> dict[str, np.ndarray]:
    """Leaves by their path, as host arrays; random keys as their data."""
    return {
        name: np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf, order="C")
        for name, leaf in _named(tree).items()
    }


def from_arrays(arrays: dict[str, np.ndarray], template: PyTree, where: Path) -> PyTree:
    """The tree that `to_arrays` took apart; `template` gives structure, shapes and types.

    Raises:
        CheckpointError: names, shapes or types differ; the message lists the first few.
    """
    require_fit({name: (array.dtype.name, array.shape) for name, array in arrays.items()}, template, where)
    leaves = []
    for name, like in _named(template).items():
        array = jnp.asarray(arrays[name])
        leaves.append(jax.random.wrap_key_data(array) if is_key(like) else array)
    return jax.tree.unflatten(jax.tree.structure(template), leaves)


def require_fit(found: dict[str, tuple[str, tuple[int, ...]]], template: PyTree, where: Path) -> None:
    """Compares types and shapes with those of a template.

    Raises:
        CheckpointError: names, shapes or types differ; the message lists the first few.
    """
    leaves = _named(template)
    problems = [f"lacks {name}" for name in leaves.keys() - found.keys()]
    problems += [f"has {name}, which this learner does not" for name in found.keys() - leaves.keys()]
    for name, like in leaves.items():
        data = jax.eval_shape(jax.random.key_data, like) if is_key(like) else like
        if name in found and found[name] != (wanted := (data.dtype.name, tuple(data.shape))):
            (kind, shape), (right, size) = found[name], wanted
            problems.append(f"has {name} as {kind}{list(shape)}, needed {right}{list(size)}")
    if problems:
        shown = "; ".join(sorted(problems)[:3])
        raise CheckpointError(f"{where} does not fit this learner and environment: it {shown}. Was the code changed?")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def plain(value: Any) -> Any:
    """The value without NaN and infinity, for which JSON has no number: they become None."""
    if isinstance(value, dict):
        return {name: plain(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def mark_of(asked: Any) -> str:
    """Eight hex digits for a file name: others wherever something else was asked."""
    return _mark_of(asked)[:8]


def _mark_of(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def write_atomically(path: Path, text: str) -> None:
    """Replaces a small file in one step: it is either the old one or the new one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    beside.write_text(text, encoding="utf-8")
    _flush(beside)
    beside.replace(path)


def save(
    folder: Path,
    tree: PyTree,
    step: int,
    waiting: dict[str, np.ndarray] | None = None,
    notes: dict[str, Any] | None = None,
) -> None:
    """Writes a checkpoint so that `folder` appears whole or not at all.

    Args:
        folder: The place, in a folder that exists; one that is there already is replaced.
        tree: The state.
        step: Its meta-step.
        waiting: Metrics that are in no line yet.
        notes: What else the manifest is to hold.

    Raises:
        ConfigError: a leaf has a type that the format does not know.
        OSError: it cannot be written; what stood there before still does.
    """
    mine = f".{folder.name}.{os.getpid()}.{threading.get_ident()}"
    beside, aside = folder.with_name(mine), folder.with_name(f"{mine}.old")
    shutil.rmtree(beside, ignore_errors=True)
    reach("ckpt.before_tmp")
    try:
        beside.mkdir()  # where the folder around it is gone, a disk may be: nothing is written in its place
        files = {STATE: write_tensors(beside / STATE, to_arrays(tree))}
        if waiting:
            files[WAITING] = write_tensors(beside / WAITING, waiting)
        reach("ckpt.before_manifest")
        manifest: dict[str, Any] = {"format": FORMAT, "step": step, "files": files, "notes": notes or {}}
        manifest |= {"sha256": _mark_of(manifest)}
        write_atomically(beside / "manifest.json", json.dumps(manifest, indent=1))
        _flush(beside)
        reach("ckpt.before_rename")
        if folder.exists():  # damaged, or training goes on from before it
            folder.rename(aside)
        beside.rename(folder)
    except (OSError, ConfigError):
        if aside.exists() and not folder.exists():
            aside.rename(folder)
        shutil.rmtree(beside, ignore_errors=True)
        raise
    _flush(folder.parent)
    reach("ckpt.after_rename")
    shutil.rmtree(aside, ignore_errors=True)


def write_tensors(path: Path, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """A safetensors file, written array by array: what is copied is one array at most. Returns its size and SHA-256.

    Raises:
        ConfigError: an array has a type that the format does not know.
        OSError: it cannot be written.
    """
    entries, end = {}, 0
    for name, array in arrays.items():
        if array.dtype.name not in TYPES:
            raise ConfigError(f"{name} is {array.dtype.name}, which a checkpoint cannot hold: keep it as another type")
        begin, end = end, end + array.nbytes
        entries[name] = {"dtype": TYPES[array.dtype.name], "shape": array.shape, "data_offsets": [begin, end]}
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % 8)
    if len(header) > LARGEST:
        raise ConfigError(f"the state has {len(arrays):,} arrays, more than a checkpoint can name: stack some of them")
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for part in (len(header).to_bytes(8, "little"), header, *arrays.values()):
            data = part if isinstance(part, bytes) else np.ascontiguousarray(part).reshape(-1).view(np.uint8).data
            digest.update(data)
            file.write(data)
        file.flush()
        reach("ckpt.mid_file", path)
        os.fsync(file.fileno())
    return {"bytes": 8 + len(header) + end, "sha256": digest.hexdigest()}


def verified(folder: Path) -> dict[str, Any]:
    """The manifest of a checkpoint whose files are all whole.

    Raises:
        CheckpointError: what is missing or damaged.
    """
    manifest = _manifest_of(folder)
    for name, entry in manifest["files"].items():
        _require_whole(folder, name, int(entry["bytes"]), str(entry["sha256"]))
    return manifest


def examined(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """The manifest of a checkpoint, and what is wrong with its files, a sentence for each; nothing if it is whole."""
    try:
        manifest = _manifest_of(folder)
    except CheckpointError as error:
        return {}, [str(error)]
    found = []
    for name, entry in manifest["files"].items():
        try:
            _require_whole(folder, name, int(entry["bytes"]), str(entry["sha256"]))
        except CheckpointError as error:
            found.append(str(error))
        except OSError as error:
            found.append(f"{folder} is damaged: {name} cannot be read: {error.strerror}")
    if WAITING not in manifest["files"] and (folder / WAITING).exists():
        found.append(f"{folder} is damaged: its manifest.json knows no {WAITING}")
    return manifest, found


def _manifest_of(folder: Path) -> dict[str, Any]:
    """The manifest of a checkpoint, itself whole; the files that it names are not looked at.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    path = folder / "manifest.json"
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError("no manifest is that large")
        manifest = json.loads(path.read_text(encoding="utf-8"))
        files = {name: (int(entry["bytes"]), str(entry["sha256"])) for name, entry in manifest["files"].items()}
        number, own = int(manifest["format"]), manifest.pop("sha256")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{folder} is not a checkpoint: its manifest.json is missing or unreadable") from error
    if number > FORMAT:
        raise CheckpointError(f"{folder} has format {number}; this version reads up to {FORMAT}: update adaptax")
    if _mark_of(manifest) != own:
        raise CheckpointError(f"{folder} is damaged: manifest.json is not what was written")
    if STATE not in files or files.keys() - {STATE, WAITING}:
        raise CheckpointError(f"{folder} is not a checkpoint: its manifest.json names other files than {STATE}")
    return manifest


def _require_whole(folder: Path, name: str, size: int, digest: str) -> None:
    """One file of a checkpoint is the one that was written."""
    path = folder / name
    if not path.is_file() or path.is_symlink():
        raise CheckpointError(f"{folder} is damaged: {name} is missing")
    if (there := path.stat().st_size) != size:
        raise CheckpointError(f"{folder} is damaged: {name} has {there:,} bytes, and {size:,} were written")
    if (found := _digest(path)) != digest:
        raise CheckpointError(f"{folder} is damaged: {name} has SHA-256 {found[:12]}, and {digest[:12]} was written")


def load(folder: Path, template: PyTree) -> PyTree:
    """Reads a checkpoint into the structure of `template` (arrays or shapes).

    Raises:
        CheckpointError: it is damaged, or it does not fit.
    """
    verified(folder)
    path = folder / STATE
    return from_arrays(read(path, template), template, path)


def waiting_of(folder: Path) -> dict[str, np.ndarray]:
    """The metrics `[S, n]` that were in no line yet when a checkpoint was written.

    Args:
        folder: A checkpoint that was found whole: its digests are not computed again.

    Raises:
        CheckpointError: it is none.
    """
    return read(folder / WAITING) if WAITING in _manifest_of(folder)["files"] else {}


def notes_of(folder: Path) -> dict[str, Any]:
    """The notes in the manifest of a checkpoint.

    Raises:
        CheckpointError: it is none.
    """
    return _manifest_of(folder).get("notes", {})


def read(path: Path, template: PyTree | None = None) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file; those of a template are compared with it before any is read.

    Raises:
        CheckpointError: it is none, or it does not fit.
    """
    reach("ckpt.read")
    with _opened(path) as file:
        if template is not None:
            require_fit(_kinds(file, template), template, path)
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)


def require_readable(path: Path, template: PyTree | None = None) -> None:
    """Looks at the header of a safetensors file alone: is the file as long as it says, and does it fit a template?

    Raises:
        CheckpointError: it is none, or it does not fit.
    """
    with _opened(path) as file:
        if template is not None:
            require_fit(_kinds(file, template), template, path)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A safetensors file.

    Raises:
        CheckpointError: it is none.
    """
    try:
        with path.open("rb") as file:
            if int.from_bytes(file.read(8), "little") > LARGEST:
                raise CheckpointError(f"{path} is damaged, or no file of adaptax: its header is too large")
        with safe_open(path, "numpy") as file:
            yield file
    except (SafetensorError, KeyError) as error:
        raise CheckpointError(f"{path} is damaged, or no file of adaptax: {error}") from error


def _kinds(file: Any, template: PyTree) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Types and shapes of the tensors that a template names; nothing of the others."""
    kinds: dict[str, tuple[str, tuple[int, ...]]] = dict.fromkeys(file.keys(), ("", ()))
    for name in kinds.keys() & _named(template).keys():
        part = file.get_slice(name)
        kinds[name] = NAMES[part.get_dtype()], tuple(part.get_shape())
    return kinds


def numbers(folder: Path) -> list[int]:
    """The steps that have a checkpoint, whole or damaged, oldest first; half-written leftovers are passed over."""
    return sorted(int(path.name) for path in folder.glob("*") if path.name.isascii() and path.name.isdigit())


def steps(folder: Path) -> list[int]:
    """The steps whose checkpoints are whole, oldest first."""
    return [number for number in numbers(folder) if _whole(folder / str(number))]


def _whole(folder: Path) -> bool:
    try:
        verified(folder)
    except (CheckpointError, OSError):
        return False
    return True


def prune(home: Path, keep: list[int]) -> int:
    """Removes the checkpoints that are older than all of `keep`, and leftovers of writes that were cut off.

    Returns:
        How many leftovers there were.
    """
    for number in numbers(home):
        if keep and number < min(keep):
            reach("ckpt.mid_prune")
            shutil.rmtree(home / str(number))
    leftovers = [path for path in home.iterdir() if path.name.startswith(".")]
    for path in leftovers:
        shutil.rmtree(path, ignore_errors=True)
    return len(leftovers)
