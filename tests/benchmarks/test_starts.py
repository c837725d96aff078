"""The comparison of starts: its measures on curves and programs whose answer is known."""

import importlib
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adaptax as ax
from adaptax.config import replaced
from adaptax.measure import draw_tasks
from adaptax.presets import preset
from adaptax.registry import make_learner
from adaptax.runs import values_of
from adaptax.testing import small
from adaptax.testing.toys import Corridor

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


@pytest.fixture
def starts(benchmarks):
    return importlib.import_module("starts")


@pytest.fixture
def flops(benchmarks):
    return importlib.import_module("flops").flops


def test_matrix_products_count_wherever_they_stand(flops):
    a, b = jnp.zeros((3, 4)), jnp.zeros((4, 5))
    once = 2 * 3 * 4 * 5
    assert flops(lambda a, b: jnp.tanh(a @ b).sum(), a, b) == once
    assert flops(jax.vmap(lambda a: a @ b), jnp.zeros((7, 3, 4))) == 7 * once
    turns = lambda a: jax.lax.scan(lambda c, _: (c, jax.jit(lambda a: a @ b)(c)), a, length=10)
    assert flops(turns, a) == 10 * once
    dearer = lambda a: jax.lax.cond(a[0, 0] > 0, lambda a: (a @ b).sum(), lambda a: (a @ b @ b.T).sum(), a)
    assert flops(dearer, a) == once + 2 * 3 * 5 * 4 and flops(dearer, a, branch=min) == once
    gradient = jax.grad(lambda b: (a @ b).sum())  # the product itself, and the one that its gradient is
    assert flops(gradient, b) == 2 * once


def test_an_area_goes_on_as_the_curve_ended(starts):
    steps = np.array([0, 100, 200])
    assert starts.areas(np.array([0.0, 1.0, 1.0]), steps, 400) == pytest.approx(0.75, abs=0.01)
    assert starts.areas(np.array([[0.0, 0.0, 2.0]]), steps, 200)[0] == pytest.approx(0.0, abs=0.01)


def test_what_is_enough_is_found_within_the_budget_only(starts):
    steps, curve = np.array([0, 100, 200]), np.array([0.2, 0.5, 0.9])
    assert [starts.steps_to(curve, steps, x, 200) for x in (0.1, 0.5, 0.9, 0.95)] == [0, 100, 200, None]
    assert starts.steps_to(curve, steps, 0.9, 150) is None


@pytest.mark.usefixtures("unvalidated")
@pytest.mark.parametrize(("name", "steps"), [("multi-task", [*range(0, 101, 10)]), ("rl2", [0, 10, 20, 50, 100])])
def test_a_life_of_one_phase_is_judged_at_several_lengths(starts, name, steps):
    learner = replaced(small(make_learner(name)), {"copies": 1}, "learner")
    run = ax.train(learner, Corridor(), meta_steps=1)
    curves, at, _ = starts.lives(starts.ARENAS["maze"]._replace(steps=100), [run], "validation", 1, None, 5)
    assert at.tolist() == steps and curves.shape == (1, 5, len(steps))


@pytest.mark.parametrize("name", ["maze", "maze-4", "cartpole"])
def test_all_entries_of_an_arena_can_be_trained_there(name, starts):
    arena = starts.ARENAS[name]
    assert len(set(arena.entries)) == len(arena.entries) > 10
    spec = ax.make(arena.env, **arena.fields).spec()
    for entry in (starts.ENTRIES[each] for each in arena.entries):
        learner, meta_steps = preset(entry.learner, arena.env, arena.preset(entry))
        for fields in ({}, entry.tested or {}):
            changed = replaced(learner, (entry.changed or {}) | fields, "learner").bind(spec, meta_steps)
            assert changed.problems() == [], entry


@pytest.mark.parametrize("path", sorted(RESULTS.glob("starts-*.json")), ids=lambda path: path.stem)
def test_what_was_measured_is_what_is_asked_for(path, starts):
    data = json.loads(path.read_text())
    arena = starts.ARENAS[path.stem.removeprefix("starts-")]
    assert (data["environment"], data["environment_fields"], data["budget"]) == (arena.env, arena.fields, arena.steps)
    assert data["entries"].keys() <= set(arena.entries)
    for name, found in data["entries"].items():
        asked = starts.ENTRIES[name]
        assert {field: found.get(field) for field in asked._fields} == asked._asdict(), name
        learner, meta_steps = preset(asked.learner, arena.env, arena.preset(asked))
        fields, plain = values_of(replaced(learner, asked.changed or {}, "learner")), found["fields"]
        idle = {"starts", "search_steps"} if plain.get("search") == "none" and not asked.tested else set()
        assert found["meta_steps"] == meta_steps, name
        assert all((np.diff(found[split]["steps"]) > 0).all() for split in ("test", "ood")), name
        assert {x: fields[x] for x in fields.keys() - idle} == {x: plain[x] for x in plain.keys() - idle}, name


@pytest.mark.parametrize("name", ["maze", "cartpole"])
def test_shuffled_tasks_are_described_as_others_and_always_alike(benchmarks, starts, name):
    shuffled = importlib.import_module("shuffled").Shuffled
    arena = starts.ARENAS[name]
    env = ax.make(arena.env, **arena.fields)
    tasks = draw_tasks(env, "test", 40, 1)[0]
    told, other = (np.asarray(jax.vmap(x.describe)(tasks)) for x in (env, shuffled(env)))
    assert np.array_equal(other, np.asarray(jax.vmap(shuffled(env).describe)(tasks)))
    assert (told != other).any(1).mean() > 0.9
    assert len(np.unique(other, axis=0)) > 20
    away = np.corrcoef(told[:, -1], other[:, -1])[0, 1]  # the goal's place; the force
    assert abs(away) < 0.5
