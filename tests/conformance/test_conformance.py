"""Every registered learner and environment keeps the contract."""

import pytest

from adaptax import testing
from adaptax.adapters.on_host import OnHost
from adaptax.envs.bandits import BernoulliBandit
from adaptax.envs.point import PointNavigation
from adaptax.registry import ENVIRONMENTS, LEARNERS


pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.mark.parametrize("name", LEARNERS)
def test_learner(name):
    testing.check_learner(testing.small(LEARNERS[name]()), BernoulliBandit(arms=3, pulls=4))


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_environment(name):
    testing.check_environment(ENVIRONMENTS[name]())


def test_host_environment():
    testing.check_environment(OnHost(PointNavigation(horizon=4)))
