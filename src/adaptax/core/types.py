"""The words of the contract. Axis letters are global: B tasks, K phases, T steps, E environment copies."""

from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float, Int, Key

from adaptax.ops.spaces import ActionSpace, Space

PyTree = Any
Task = PyTree  # arrays that tell one task of a family from another
PRNGKey = Key[Array, ""]
PRNGKeys = Key[Array, "..."]  # any number of them
Metrics = dict[str, Float[Array, "..."]]


class Spec(NamedTuple):
    """What a learner must know of an environment before it can be built."""

    observation: Space
    action: ActionSpace
    descriptor: int  # number of features of `describe(task)`
    episode_steps: int  # longest episode
    episodes: int  # episodes in a life, as the family's protocol has it


class Schedule(NamedTuple):
    """The length of a life: K phases of T steps in E copies of the task."""

    phases: int
    steps: int
    copies: int
    in_use: bool = False  # not to train or to validate: some learn on the way only then

    @property
    def length(self) -> int:
        """Environment steps of the life, in all copies."""
        return self.phases * self.steps * self.copies


class Step(NamedTuple):
    """What an agent sees before it acts in one environment copy."""

    observation: Array
    previous_action: Array
    previous_reward: Float[Array, ""]
    first: Bool[Array, ""]  # an episode begins here


class Transition(NamedTuple):
    """What is recorded of one environment step; leaves are `[T, E, ...]` inside a phase."""

    step: Step
    action: Array
    reward: Float[Array, "..."]
    next_observation: Array  # the true successor, never the observation after a reset
    terminated: Bool[Array, "..."]  # the world ended the episode: nothing was to come
    truncated: Bool[Array, "..."]  # a time limit did: a critic may still say what was to come
    extras: PyTree  # whatever `act` wants `adapt` and `update` to see


class Agent(NamedTuple):
    """A learner at work: `inner` changes every phase or every few steps, `carry` (leaves `[E, ...]`) every step."""

    inner: PyTree
    carry: PyTree


class Lifetime(NamedTuple):
    """All that `update` gets to see of one life, or of one segment of a persistent life."""

    data: Transition  # [K, T, E, ...]
    first: Agent  # before the first phase
    last: Agent  # after the last one
    fresh: Bool[Array, ""]  # born in this segment: `first` came from `begin`
    record: PyTree  # what the learner's `record` returns
    descriptor: Float[Array, " F"] | None  # None where the learner may not see it
    key: PRNGKey
    age: Int[Array, ""]  # phases lived before the first one here
