"""Every registered learner and environment keeps the contract."""

import pytest

from adaptax import testing
from adaptax.adapters.on_host import OnHost
from adaptax.envs.point import PointNavigation
from adaptax.inner.by_td import ByTD
from adaptax.registry import ENVIRONMENTS, LEARNERS
from adaptax.testing.probes import CueRecall, GoalOnLine, IdentityTask
from adaptax.testing.toys import Clock, Corridor, Target

PROBES = (CueRecall, GoalOnLine, IdentityTask, Clock, Corridor, Target)


@pytest.mark.parametrize("name", LEARNERS)
def test_learner(name):
    testing.check_learner(testing.small(LEARNERS[name]()), Clock(horizon=4))  # of its episodes some end, some are cut


@pytest.mark.parametrize("name", [name for name in LEARNERS if name not in ("fomaml", "meta-sgd")])  # they are MAML
def test_learner_with_continuous_actions(name):
    learner, env = testing.small(LEARNERS[name]()), PointNavigation(horizon=4)
    if isinstance(learner, ByTD):
        (problem,) = learner.bind(env.spec()).problems()
        assert "discrete actions, and this environment's are continuous" in problem
        return
    tested = testing.bench(learner, env)
    testing.check_finite(tested)
    testing.check_traces(tested)
    testing.check_trained(tested)


@pytest.mark.parametrize("name", ["rl2", "maml"])
def test_learner_that_normalises(name):
    tested = testing.bench(testing.small(LEARNERS[name](normalise=True)), PointNavigation(horizon=4))
    testing.check_trained(tested)
    testing.check_replay(tested)
    testing.check_host(tested)


@pytest.mark.parametrize("memory", ["attention", "linear-attention"])
def test_learner_that_attends(memory):
    testing.check_learner(testing.small(LEARNERS["rl2"](memory=memory)), Clock(horizon=4))


@pytest.mark.parametrize("name", ["meta-dqn", "hyper-dqn", "metric-dqn"])
@pytest.mark.parametrize("features", ["statistics", "encoder"])
def test_learner_that_is_not_told(name, features):
    testing.check_learner(testing.small(LEARNERS[name](features=features)), Clock(horizon=4))


@pytest.mark.parametrize("features", ["descriptor", "statistics"])
def test_learner_that_attempts_what_others_learned(features):
    testing.check_learner(testing.small(LEARNERS["metric-dqn"](features=features, attempts=1)), Clock(horizon=4))


@pytest.mark.parametrize("options", [{"search": "td"}, {"condition": "film"}])
def test_learner_that_reads_or_searches_a_description(options):
    testing.check_learner(testing.small(LEARNERS["meta-dqn"](**options)), Clock(horizon=4))


@pytest.mark.parametrize("method", ["fomaml", "reptile"])
def test_learner_of_an_initialisation(method):
    testing.check_learner(testing.small(LEARNERS["q-init"](method=method)), Clock(horizon=4))


def test_learner_that_evolves():
    learner = LEARNERS["learned-optimizer"](gradient="pes", sigma=1.0, epsilon=0.0, last_epsilon=0.0, inner_lr=0.1)
    testing.check_learner(testing.small(learner), Corridor(cells=3))  # where what is done is paid


@pytest.mark.parametrize("options", [{"dueling": True}, {"prioritised": True, "n_step": 3}])
def test_learner_with_options(options):
    testing.check_learner(testing.small(LEARNERS["dqn"](**options)), Clock(horizon=4))


@pytest.mark.parametrize("fields", [{"pool": "policies"}, {"loss": "td"}])
def test_learner_with_another_pool(fields):
    testing.check_learner(testing.small(LEARNERS["selector"](**fields)), Clock(horizon=4))


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_environment(name):
    testing.check_environment(ENVIRONMENTS[name]())


@pytest.mark.parametrize("probe", PROBES)
def test_probe(probe):
    testing.check_environment(probe())


def test_host_environment():
    testing.check_environment(OnHost(PointNavigation(horizon=4)))
