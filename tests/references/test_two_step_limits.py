import jax.numpy as jnp
import pytest

from adaptax.envs.two_step import TwoStep, TwoStepTask
from adaptax.errors import ConfigError
from adaptax.references import references
from adaptax.references.bandit_limits import dependent_optimal
from adaptax.references.two_step import two_step_optimal
from adaptax.registry import make


@pytest.mark.parametrize(("trials", "value"), [(100, "69.6875"), (50, "34.6875"), (10, "6.6882")])
def test_known_values(trials, value):
    assert f"{two_step_optimal(trials):.4f}" == value


def test_the_drifting_task_too():
    assert f"{two_step_optimal(100, common=0.8, flip=0.025):.2f}" in ("70.58", "70.59")


def test_equals_the_dependent_bandit_whose_arms_tell_the_same():
    """A visit tells as much as a pull of arms with 0.9 and 0.1; a wrong choice costs half as much."""
    regret = 90 - dependent_optimal("easy", 100)
    assert two_step_optimal(100) == pytest.approx(70 - regret / 2, abs=1e-5)


def test_certain_states_are_known_after_one_trial():
    assert two_step_optimal(5, common=1.0, good=1.0, poor=0.0) == pytest.approx(0.5 + 4, abs=1e-5)


def test_the_common_transition_may_be_the_rare_one():
    """Whoever knows that an action seldom leads to its state takes the other one."""
    tasks = TwoStepTask(jnp.zeros((3, 100), jnp.int32), jnp.tile(jnp.array([0.1, 0.9]), (3, 1)))
    usual, turned = (references(TwoStep(common=common), tasks, seed=0, episodes=1) for common in (0.8, 0.2))
    assert turned.values == pytest.approx(usual.values) and turned.optimal == pytest.approx(usual.optimal)


def test_states_that_pay_alike_are_no_task():
    for pays in (0.0, 0.5, 1.0):
        with pytest.raises(ConfigError, match="good must be greater than poor"):
            make("two-step", good=pays, poor=pays)


def test_references():
    tasks = TwoStepTask(jnp.zeros((3, 100), jnp.int32), jnp.tile(jnp.array([0.1, 0.9]), (3, 1)))
    found = references(TwoStep(), tasks, seed=0, episodes=1)
    assert found.values == {"oracle": pytest.approx(70.0), "random": pytest.approx(50.0)}
    assert found.optimal == pytest.approx(69.6875, abs=1e-4)
    assert references(TwoStep(), tasks, seed=0, episodes=1, split="ood").optimal is None
    assert references(TwoStep(), tasks, seed=0, episodes=2).optimal is None
