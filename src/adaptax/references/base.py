"""The scale on which learners are read: what there is to compare with in an environment."""

from functools import singledispatch
from typing import NamedTuple

from adaptax.core.env import AbstractEnvironment
from adaptax.core.types import Task


class Reference(NamedTuple):
    """Returns of a whole life, in the units of `total_return`."""

    optimal: float | None  # exact expectation over the family's training distribution; None where not computable
    values: dict[str, float]  # mean over the given tasks


@singledispatch
def references(
    env: AbstractEnvironment, tasks: Task, seed: int, episodes: int, split: str | None = "test"
) -> Reference:
    """What there is to compare with in an environment.

    Args:
        env: The family.
        tasks: The tasks that the learner was evaluated on (leading axis N).
        seed: Of the simulations.
        episodes: Episodes in a life.
        split: Where the tasks come from. The optimum holds for `train`, `validation` and `test`; on others, and on
            tasks given by hand (None), it is None.

    Returns:
        The exact optimum and the values of named algorithms; `oracle` knows the task. Nothing where nothing is known.
    """
    del env, tasks, seed, episodes, split
    return Reference(None, {})
