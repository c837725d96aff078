"""Checkpoints: arrays in safetensors, everything else in a JSON manifest that is written last. No pickle, no code.

A checkpoint is a folder with `state.safetensors` (one tensor a leaf, named by its path in the tree; random keys as
their uint32 data) and `manifest.json` (format, step, and name, size and SHA-256 of each file). It is written beside its
place, flushed, and renamed into it, so a folder that stands there is whole. Loading compares names, shapes and types
with a template before any number is used.
"""

import hashlib
import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from adaptax.errors import CheckpointError

FORMAT = 1
PyTree = Any


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _named(tree: PyTree) -> dict[str, Any]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path) or "value": leaf for path, leaf in leaves}


def to_arrays(tree: PyTree) -> dict[str, np.ndarray]:
    """Leaves by their path, as host arrays; random keys as their data."""
    return {
        name: np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf, order="C")
        for name, leaf in _named(tree).items()
    }


def from_arrays(arrays: dict[str, np.ndarray], template: PyTree, where: Path) -> PyTree:
    """The tree that `to_arrays` took apart; `template` gives structure, shapes and types.

    Raises:
        CheckpointError: names, shapes or types differ; the message lists the first few.
    """
    wanted = _named(template)
    problems = [f"lacks {name}" for name in wanted.keys() - arrays.keys()]
    problems += [f"has {name}, which this learner does not" for name in arrays.keys() - wanted.keys()]
    leaves = []
    for name, like in wanted.items():
        if name not in arrays:
            continue
        data = jax.eval_shape(jax.random.key_data, like) if _is_key(like) else like
        array = arrays[name]
        if array.shape != data.shape or array.dtype != data.dtype:
            problems.append(f"has {name} as {array.dtype}{list(array.shape)}, needed {data.dtype}{list(data.shape)}")
        leaves.append(jax.random.wrap_key_data(jnp.asarray(array)) if _is_key(like) else jnp.asarray(array))
    if problems:
        shown = "; ".join(sorted(problems)[:3])
        raise CheckpointError(f"{where} does not fit this learner and environment: it {shown}. Was the code changed?")
    return jax.tree.unflatten(jax.tree.structure(template), leaves)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
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
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]


def write_atomically(path: Path, text: str) -> None:
    """Replaces a small file in one step: it is either the old one or the new one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    _flush(beside)
    beside.replace(path)


def save(folder: Path, tree: PyTree, step: int) -> None:
    """Writes a checkpoint so that `folder` appears whole or not at all."""
    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    state = beside / "state.safetensors"
    save_file(to_arrays(tree), state)
    _flush(state)
    files = {state.name: {"sha256": _digest(state), "bytes": state.stat().st_size}}
    write_atomically(beside / "manifest.json", json.dumps({"format": FORMAT, "step": step, "files": files}, indent=1))
    _flush(beside)
    if folder.exists():
        shutil.rmtree(folder)
    beside.rename(folder)
    _flush(folder.parent)


def verified(folder: Path) -> dict[str, Any]:
    """The manifest of a checkpoint whose files are all whole.

    Raises:
        CheckpointError: what is missing or damaged.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        files = {name: (entry["bytes"], entry["sha256"]) for name, entry in manifest["files"].items()}
        number = int(manifest["format"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{folder} is not a checkpoint: its manifest.json is missing or unreadable") from error
    if number > FORMAT:
        raise CheckpointError(f"{folder} has format {number}; this version reads up to {FORMAT}: update adaptax")
    for name, (size, digest) in files.items():
        path = folder / name
        if path.name != name or not path.is_file() or path.is_symlink():
            raise CheckpointError(f"{folder} is damaged: {name} is missing")
        if path.stat().st_size != size or _digest(path) != digest:
            raise CheckpointError(f"{folder} is damaged: {name} is not the file that was written")
    return manifest


def load(folder: Path, template: PyTree) -> PyTree:
    """Reads a checkpoint into the structure of `template` (arrays or shapes).

    Raises:
        CheckpointError: it is damaged, or it does not fit.
    """
    verified(folder)
    path = folder / "state.safetensors"
    return from_arrays(read(path), template, path)


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file.

    Raises:
        CheckpointError: it is none.
    """
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged, or no file of adaptax: {error}") from error


def numbers(folder: Path) -> list[int]:
    """The steps that have a checkpoint, whole or damaged, oldest first; half-written leftovers are passed over."""
    return sorted(int(path.name) for path in folder.glob("*") if path.name.isdigit())


def steps(folder: Path) -> list[int]:
    """The steps whose checkpoints are whole, oldest first."""
    return [number for number in numbers(folder) if _whole(folder / str(number))]


def _whole(folder: Path) -> bool:
    try:
        verified(folder)
    except CheckpointError:
        return False
    return True


def prune(home: Path, keep: int) -> None:
    """Removes the oldest checkpoints beyond `keep`, and leftovers of writes that were cut off."""
    for number in steps(home)[:-keep]:
        shutil.rmtree(home / str(number))
    for path in home.iterdir():
        if path.name.startswith("."):
            shutil.rmtree(path, ignore_errors=True)
