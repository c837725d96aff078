"""The contract as public tests: run your own learner and environment through them.

Example:
    >>> from adaptax.envs.bandits import BernoulliBandit
    >>> check_environment(BernoulliBandit(arms=2, pulls=3))
"""

from adaptax.testing.environments import (
    check_descriptors,
    check_environment,
    check_episodes,
    check_purity,
    check_simulators,
    check_tasks,
    check_types,
)
from adaptax.testing.learners import (
    Bench,
    bench,
    check_checkpoint,
    check_finite,
    check_host,
    check_learner,
    check_privilege,
    check_replay,
    check_seeds_and_devices,
    check_traces,
    check_trained,
    small,
)

__all__ = [
    "Bench",
    "bench",
    "check_checkpoint",
    "check_descriptors",
    "check_environment",
    "check_episodes",
    "check_finite",
    "check_host",
    "check_learner",
    "check_privilege",
    "check_purity",
    "check_replay",
    "check_seeds_and_devices",
    "check_simulators",
    "check_tasks",
    "check_traces",
    "check_trained",
    "check_types",
    "small",
]
