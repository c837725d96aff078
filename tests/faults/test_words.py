"""Misspelt words (F49), and code where names and values belong (F41)."""

import json
from pathlib import Path

import lab
import pytest

import adaptax as ax
from adaptax.cli import main
from adaptax.errors import AdaptaxError

RL2, MAML = ("train", "rl2", "bernoulli-bandit"), ("train", "maml", "point-navigation")
COMMANDS = {
    "trian": "train",
    "evalute": "evaluate",
    "resum": "resume",
    "reprot": "report",
    "lst": "list",
    "chek": "check",
    "checkrun": "check-run",
    "docter": "doctor",
}
LEARNERS = {"ml2": "rl2", "mmal": "maml", "reptil": "reptile", "multitask": "multi-task", "orcale": "oracle"}
LEARNERS |= {"metasgd": "meta-sgd", "fomam": "fomaml", "scrach": "scratch"}
ENVIRONMENTS = {"bernouli-bandit": "bernoulli-bandit", "cartpol": "cartpole", "CartPole": "cartpole", "mazes": "maze"}
ENVIRONMENTS |= {"two_step": "two-step", "pendulumn": "pendulum", "darkroom": "dark-room", "frozenlake": "frozen-lake"}
ENVIRONMENTS |= {"tabular_mdp": "tabular-mdp", "gridnavigation": "grid-navigation", "bernoulli": "bernoulli-bandit"}
OPTIONS = {
    RL2: {
        "--learner.learning_rat": "--learner.learning-rate",
        "--learner.learningrate": "--learner.learning-rate",
        "--learner.lr": "--learner.learning-rate",
        "--learner.hiden": "--learner.hidden",
        "--learner.task": "--learner.tasks",
        "--learner.entrop": "--learner.entropy",
        "--learner.entropy-ends": "--learner.entropy-end",
        "--learner.gae": "--learner.gae-lambda",
        "--learner.minibatch": "--learner.minibatches",
        "--learner.discont": "--learner.discount",
        "--learner.cliping": "--learner.clip",
        "--learner.value-wieght": "--learner.value-weight",
        "--learner.memroy": "--learner.memory",
        "--learner.epoch": "--learner.epochs",
        "--learner.copy": "--learner.copies",
        "--learner.episode": "--learner.episodes",
        "--learner.normalize": "--learner.normalise",
        "--env.arm": "--env.arms",
        "--env.pull": "--env.pulls",
        "--arms": "--env.arms",
        "--lr": "--learner.learning-rate",
        "--sed": "--seed",
        "--seds": "--seeds",
        "--metasteps": "--meta-steps",
        "--meta-step": "--meta-steps",
        "--output": "--out",
        "--presets": "--preset",
        "--jsno": "--json",
    },
    MAML: {
        "--learner.inner-learning-rate": "--learner.inner-lr",
        "--learner.inner_step": "--learner.inner-steps",
        "--learner.firstorder": "--learner.first-order",
        "--learner.outer-los": "--learner.outer-loss",
        "--learner.logstd": "--learner.log-std",
        "--env.sped": "--env.speed",
        "--env.horizn": "--env.horizon",
    },
}
CASES = [((word,), meant) for word, meant in COMMANDS.items()]
CASES += [(("train", word, "maze"), meant) for word, meant in LEARNERS.items()]
CASES += [(("train", "rl2", word), meant) for word, meant in ENVIRONMENTS.items()]
CASES += [((*words, option, "1"), meant) for words, options in OPTIONS.items() for option, meant in options.items()]


@pytest.mark.fault("F49")
def test_what_was_meant_is_suggested(capsys, record_property):
    """All are refused; of 19 in 20 the right name is suggested."""
    wrong = []
    for words, meant in CASES:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        said = capsys.readouterr().err
        assert ended.value.code == 2 and "Traceback" not in said, words
        wrong += [] if f"did you mean '{meant}'" in said else [f"{' '.join(words)}: {said}"]
    record_property("misspelt words, all refused; rightly suggested of them", [len(CASES), len(CASES) - len(wrong)])
    assert len(CASES) >= 60
    assert len(wrong) <= len(CASES) / 20, wrong


@pytest.mark.fault("F41")
@pytest.mark.parametrize(
    "code",
    [
        "os:system",
        "os.system",
        "__import__('os').system('touch CANARY')",
        "!!python/object/apply:os.system",
        "${CANARY}",
    ],
)
@pytest.mark.parametrize("place", ["learner", "environment", "field", "value"])
def test_a_configuration_names_no_code(tmp_path, monkeypatch, code, place):
    monkeypatch.chdir(tmp_path)
    folder = Path("run")
    lab.train(folder)
    config = json.loads((folder / "config.json").read_text())
    if place in ("learner", "environment"):
        config[place]["name"] = code
    elif place == "field":
        config["learner"]["fields"] |= {"_target_": code, code: 1}
    else:
        config["learner"]["fields"]["hidden"] = code
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(AdaptaxError):
        ax.open_run(folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


@pytest.mark.fault("F49")
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b"{" * 100_000,
        b"[" * 100_000,
        b"[]",
        b"null",
        b'{"schema": "1"}',
        b"\x00" * 10_000_000,
    ],
)
def test_a_configuration_that_is_none_is_said_to_be(tmp_path, content):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_bytes(content)
    with pytest.raises(AdaptaxError, match=r"no readable config\.json"):
        ax.open_run(tmp_path / "run")
