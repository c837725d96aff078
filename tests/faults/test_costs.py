"""What it costs to be careful: progress, lines, the guard against NaN, and checkpoints, as users start a training."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

BOUND = 0.02  # of the wall time
KEPT = ("PATH", "HOME", "TMPDIR")  # without the flags of the tests: those make the training itself slower


@pytest.mark.fault("costs")
@pytest.mark.full
def test_care_costs_next_to_nothing(tmp_path, record_property):
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    words = [sys.executable, __file__, str(tmp_path / "run")]
    process = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert process.returncode == 0, process.stderr
    shares = json.loads(process.stdout)
    record_property("seconds of that training", shares.pop("seconds"))
    for name, share in shares.items():
        record_property(name, share)
        assert share < BOUND, f"{name}: {share:.1%}"


def main(folder: Path) -> None:
    """Prints shares of the wall time, of RL2's preset on five arms."""
    import adaptax as ax
    from adaptax.progress import Lines
    from adaptax.runs import training
    from adaptax.runs.log import RunLog

    spent: dict[str, float] = {}

    def timed(what: str, function: Callable) -> Callable:
        def call(*arguments, **named):
            begun = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                spent[what] = spent.get(what, 0.0) + time.perf_counter() - begun

        return call

    learner, _ = ax.preset("rl2", "bernoulli-bandit")
    training.advance_by = timed("computing", training.advance_by)
    training.validate = timed("validating", training.validate)
    RunLog.checkpoint = timed("checkpoints", RunLog.checkpoint)
    training.train_on = timed("training", training.train_on)
    ax.train(learner, ax.make("bernoulli-bandit"), meta_steps=500, out=folder, progress=Lines(seconds=2.0))
    whole = spent.pop("training")
    shares = {
        "share of the wall time: checkpoints": spent["checkpoints"] / whole,
        "share of the wall time: progress, lines and the guard between chunks": 1.0 - sum(spent.values()) / whole,
        "share of a meta-step: looking for NaN in what was lived": looking(learner),
    }
    print(json.dumps({name: round(share, 4) for name, share in shares.items()} | {"seconds": round(whole, 1)}))


def looking(learner) -> float:
    """How much longer a meta-step takes that looks at all its numbers; the quickest of many of each."""
    import equinox as eqx
    import jax

    import adaptax as ax
    from adaptax.core import trainer

    env = ax.make("bernoulli-bandit")
    learner = learner.bind(env.spec(), 500)
    state = trainer.initial_state(learner, env, jax.random.key(0))
    with_it = eqx.filter_jit(lambda s: trainer.meta_step(learner, env, s))

    def bare(s):
        _, lifetimes, key = trainer.lived(learner, env, s)
        meta, metrics = learner.update(s.meta, lifetimes, key)
        return s._replace(meta=meta, step=s.step + 1), metrics

    programs, best = (with_it, eqx.filter_jit(bare)), [float("inf")] * 2
    for _ in range(40):
        for i, program in enumerate(programs):
            begun = time.perf_counter()
            jax.block_until_ready(program(state))
            best[i] = min(best[i], time.perf_counter() - begun)
    return max(0.0, best[0] / best[1] - 1.0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
