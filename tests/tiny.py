"""The learners and environments that tests share. Compiling is what costs: the same shapes are the same programs."""

import jax

import adaptax as ax
from adaptax.deploy import Agent

BANDIT = ax.make("bernoulli-bandit", arms=3, pulls=4)
GRID = ax.make("grid-navigation", size=3, horizon=5, tries=2)
POINT = ax.make("point-navigation", horizon=5)

RL2 = ax.RL2(tasks=4, minibatches=2, hidden=8)
MAML = ax.MAML(tasks=2, copies=2, hidden=8)
SCRATCH = ax.Scratch(tasks=2, copies=2, hidden=8)
ORACLE = ax.Oracle(tasks=2, copies=2, minibatches=1, hidden=8)
RANDOM = ax.Random(tasks=2)


def newborn(learner: ax.Learner, env: ax.Environment, copies: int = 1) -> Agent:
    """An agent that nothing was learned for: what it knows does not matter to what it is asked here."""
    learner = learner.bind(env.spec())
    return Agent(learner, learner.init(jax.random.key(0)), learner.schedule()._replace(copies=copies))
