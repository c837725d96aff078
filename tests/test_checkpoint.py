"""The checkpoint format."""

import json
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax import checkpoint
from adaptax.errors import CheckpointError


class Tree(NamedTuple):
    """Every kind of leaf that training states have."""

    numbers: jax.Array
    nested: dict
    key: jax.Array
    empty: jax.Array
    flag: jax.Array
    nothing: tuple = ()


def tree() -> Tree:
    nested = {"a": [jnp.arange(3), jnp.array(2.5)], "b": jnp.ones((2, 2), jnp.bfloat16)}
    return Tree(jnp.linspace(0, 1, 5), nested, jax.random.key(7), jnp.zeros((0, 3)), jnp.array(True))


def test_round_trip_is_exact(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "12", tree(), 12)
    shapes = jax.eval_shape(tree)
    back = checkpoint.load(tmp_path / "12", shapes)
    assert jax.tree.structure(back) == jax.tree.structure(tree())
    ours, theirs = checkpoint.to_arrays(tree()), checkpoint.to_arrays(back)
    for name, value in ours.items():
        assert value.dtype == theirs[name].dtype
        np.testing.assert_array_equal(value, theirs[name])
    assert jax.random.uniform(back.key) == jax.random.uniform(tree().key)


def test_json_gets_none_where_it_has_no_number() -> None:
    value = {"a": [1.0, float("nan"), [np.float64("inf")]], "b": -float("inf"), "c": "nan", "d": 3}
    assert checkpoint.plain(value) == {"a": [1.0, None, [None]], "b": None, "c": "nan", "d": 3}


def test_every_damage_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "1"
    checkpoint.save(folder, tree(), 1)
    state, manifest = folder / "state.safetensors", folder / "manifest.json"
    whole, text = state.read_bytes(), manifest.read_text()
    for position in range(0, len(whole), 37):
        state.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
        with pytest.raises(CheckpointError, match="damaged"):
            checkpoint.verified(folder)
    for length in (0, len(whole) // 2, len(whole) - 1):
        state.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="damaged"):
            checkpoint.verified(folder)
    state.write_bytes(whole)
    listed = json.dumps({"format": 1, "files": {"state.safetensors": []}})
    for broken in ("", "{", "[]", json.dumps({"format": 1}), json.dumps({"format": 1, "files": 3}), listed, text[:-9]):
        manifest.write_text(broken)
        with pytest.raises(CheckpointError):
            checkpoint.verified(folder)
    manifest.write_text(json.dumps(json.loads(text) | {"format": 99}))
    with pytest.raises(CheckpointError, match="update adaptax"):
        checkpoint.verified(folder)
    manifest.write_text(text.replace("state.safetensors", "../state.safetensors"))
    with pytest.raises(CheckpointError, match="not what was written"):
        checkpoint.verified(folder)
    manifest.write_text(text)
    state.unlink()
    with pytest.raises(CheckpointError, match="missing"):
        checkpoint.verified(folder)


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "1", tree(), 1)
    other = tree()._replace(numbers=jnp.zeros(6), nested={"a": [jnp.arange(3), jnp.array(2.5)]})
    with pytest.raises(CheckpointError, match=r"numbers as float32\[5\], needed float32\[6\]"):
        checkpoint.load(tmp_path / "1", other)


def test_leftovers_are_no_checkpoints_and_old_ones_go(tmp_path: Path) -> None:
    for step in (1, 2, 3, 10):
        checkpoint.save(tmp_path / str(step), tree(), step)
    (tmp_path / ".11.999").mkdir()
    (tmp_path / "12").mkdir()
    assert checkpoint.steps(tmp_path) == [1, 2, 3, 10]
    assert checkpoint.prune(tmp_path, keep=[3, 10]) == 1
    assert checkpoint.steps(tmp_path) == [3, 10] and not (tmp_path / ".11.999").exists()
