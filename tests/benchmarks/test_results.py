"""The results that are committed are those of the presets and environments as they are."""

import importlib
import json
from pathlib import Path

import pytest

from adaptax.presets import preset
from adaptax.registry import make, make_learner
from adaptax.runs import values_of

FOLDER = Path(__file__).parents[2] / "benchmarks"
RESULTS = {path.stem: json.loads(path.read_text()) for path in (FOLDER / "results").glob("*.json")}
TRAINED = [name for name, data in RESULTS.items() if "runs" in data]
TUNED = [name for name in RESULTS if name.startswith("tuning-")]


@pytest.fixture
def pairs(benchmarks):
    return importlib.import_module("learning").PAIRS


@pytest.mark.parametrize("name", TRAINED)
def test_a_result_is_of_the_preset_and_its_seeds_differ(name, pairs):
    data, pair = RESULTS[name], pairs[name.removesuffix("-one-copy")]
    learner, usual = preset(pair.learner, pair.env, pair.preset)
    fields, plain = values_of(learner), values_of(make_learner(pair.learner))
    assert data["fields"].items() <= fields.items()
    added = fields.keys() - data["fields"].keys()  # fields that came later change nothing unless they are set
    assert {name: fields[name] for name in added} == {name: plain[name] for name in added}
    assert data["environment_fields"] == values_of(make(pair.env, **pair.env_fields))
    assert {run["meta_steps"] for run in data["runs"]} == {pair.meta_steps or usual}
    curves = [[run["phase_return"], *(value for *_, value in run["validation_curve"])] for run in data["runs"]]
    assert len({str(curve) for curve in curves}) == len(curves)  # seeds that all end at the maximum came there apart
    assert data["bar"] == ("none: what one robot would get" if name.endswith("-one-copy") else pair.bar)


@pytest.fixture
def tuning(benchmarks):
    return importlib.import_module("tuning")


@pytest.mark.parametrize("name", TUNED)
def test_trials_are_those_of_the_grids(name, tuning):
    env = name.removeprefix("tuning-")
    for starts, grids in ((False, tuning.GRIDS), (True, tuning.STARTS)):
        for learner in grids.get(env, {}).keys() & RESULTS[name].keys():
            tried = [trial["fields"] for trial in RESULTS[name][learner]["trials"]]
            asked = tuning.trials(learner, env, starts)
            assert len(tried) == len(asked) and all(fields in tried for fields in asked), learner


@pytest.mark.parametrize("name", TUNED)
def test_presets_are_the_best_that_tuning_found(name, tuning):
    found = {learner: entry for learner, entry in RESULTS[name].items() if isinstance(entry, dict) and "best" in entry}
    assert found
    for learner, entry in found.items():
        scores = [(trial["score"], trial["fields"]) for trial in entry["trials"] if trial["score"] is not None]
        assert entry["best"] == max(scores, key=lambda pair: pair[0])[1]
        env, asked = name.removeprefix("tuning-"), "default"
        if learner in tuning.STARTS.get(env, {}):
            asked = tuning.ARENAS[env].preset(tuning.Entry(learner))
        chosen = values_of(preset(learner, env, asked)[0])
        assert entry["best"].items() <= chosen.items(), learner


@pytest.mark.parametrize("name", [name for name in RESULTS if name.startswith("optimizers-")])
def test_optimisers_were_compared_as_is_asked_for_and_the_best_rate_was_tested(name, benchmarks):
    optimizers, found = importlib.import_module("optimizers"), RESULTS[name]
    arena = name.removeprefix("optimizers-")
    steps = optimizers.ARENAS[arena].steps
    asked = {cell: (width, budgets * steps) for cell, (width, budgets) in optimizers.CELLS.items()}
    assert {cell: (of["width"], of["steps"]) for cell, of in found["cells"].items()} == asked
    assert tuple(part["width"] for part in found["widths"]) == optimizers.WIDTHS[arena]
    assert found["tasks"] == optimizers.TASKS
    for of in found["cells"].values():
        for optimiser, tried in of["rates"].items():
            rates = {float(rate): area for rate, area in tried.items()}
            assert rates.keys() == set(optimizers.RATES)
            assert of[optimiser]["inner_lr"] == max(rates, key=rates.__getitem__)
