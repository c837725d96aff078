"""The contract: six pure functions, of which only who learns on the way needs `learn`.

A learner *is* its configuration; its fields are the hyper-parameters.
"""

import dataclasses
from abc import abstractmethod
from typing import ClassVar, Literal, TypeVar

import equinox as eqx
import jax
from jaxtyping import Array, Float

from adaptax.core.types import Lifetime, Metrics, PRNGKey, PyTree, Schedule, Spec, Step, Transition

Privilege = Literal["never", "training", "always"]
AnyLearner = TypeVar("AnyLearner", bound="Learner")
BINDING = ("spec", "meta_steps")  # what `bind` sets; every other field is a hyper-parameter


class Learner(eqx.Module):
    """A meta-learning method. Everything is written for ONE task, `act` for one environment copy; callers `vmap`.

    Float fields are traced when compiled (so a sweep over them compiles once); all other fields are static.
    """

    tasks: eqx.AbstractVar[int]  # B: tasks in a meta-step
    spec: Spec | None = eqx.field(default=None, static=True, kw_only=True)
    # Length of the training, for schedules: a number like the float fields, so that longer ones compile to the same.
    meta_steps: Float[Array, ""] | float = eqx.field(default=1.0, kw_only=True)

    # Who sees the task's descriptor: nobody, `update` alone, or `begin` as well.
    privileged: ClassVar[Privilege] = "never"
    # What training is for, and so what picks the best checkpoint: the whole life, or the skill after its phases.
    objective: ClassVar[Literal["total_return", "phase_return"]] = "total_return"
    # Whether every phase begins with new episodes.
    reset_each_phase: ClassVar[bool] = False
    # Whether a life on unseen tasks needs random actions (memory agents explore by what they have learned).
    explores_by_noise: ClassVar[bool] = True
    # Meta-steps that one life lasts; above one, lives persist across meta-steps.
    lifespan: ClassVar[int] = 1
    # Population learners: this many neighbours in a batch share task and key (2 for antithetic pairs).
    twins: ClassVar[int] = 1

    def bind(self: AnyLearner, spec: Spec, meta_steps: int = 1) -> AnyLearner:
        """This learner, built for the spaces of an environment and a training of `meta_steps`."""
        return dataclasses.replace(self, spec=spec, meta_steps=float(meta_steps))

    @property
    def bound(self) -> Spec:
        """The spec; learners read it through here.

        Raises:
            ValueError: `bind` was not called.
        """
        if self.spec is None:
            raise ValueError(f"{type(self).__name__} is not bound: call learner.bind(env.spec()) first")
        return self.spec

    @abstractmethod
    def schedule(self, episodes: int | None = None) -> Schedule:
        """The length of a training life, or of a life that must hold `episodes` episodes."""

    @abstractmethod
    def init(self, key: PRNGKey) -> PyTree:
        """The outer state `meta`: parameters, optimiser, library, ..."""

    @abstractmethod
    def begin(self, meta: PyTree, key: PRNGKey, descriptor: Float[Array, " F"] | None) -> tuple[PyTree, PyTree]:
        """Birth in a new task: `inner`, and the `carry` of one copy."""

    @abstractmethod
    def act(
        self, meta: PyTree, inner: PyTree, carry: PyTree, step: Step, key: PRNGKey, explore: bool
    ) -> tuple[Array, PyTree, PyTree]:
        """One action in one copy: action, new carry, extras to record. Fast memory lives in `carry`."""

    @abstractmethod
    def adapt(self, meta: PyTree, inner: PyTree, data: Transition, key: PRNGKey) -> PyTree:
        """The new `inner` after a phase; `data` has leaves `[T, E, ...]`. Slow adaptation lives here."""

    def learns_every(self, schedule: Schedule) -> int:
        """Steps between two calls of `learn` inside the phases of a life of this length; 0 is never."""
        del schedule
        return 0

    def learn(self, meta: PyTree, inner: PyTree, data: Transition, key: PRNGKey) -> PyTree:
        """The new `inner` after every `learns_every` steps of a phase; `data` is of these steps, `[t, E, ...]`."""
        del meta, data, key
        return inner

    @abstractmethod
    def update(self, meta: PyTree, lifetimes: Lifetime, key: PRNGKey) -> tuple[PyTree, Metrics]:
        """One step of the outer loop from B lifetimes with leaves `[B, K, T, E, ...]`; `key` is that of `propose`."""

    def problems(self) -> list[str]:
        """What is wrong with the fields taken together, in words; each field alone is checked by its type."""
        return []

    def propose(self, meta: PyTree, key: PRNGKey, n: int) -> PyTree | None:
        """Population learners: the `meta` that each of n lifetimes runs under (leading axis n); else None.

        `update` gets the same key, so that it can draw the same noise again instead of storing it.
        """
        del meta, key, n
        return None

    def deployed(self, meta: PyTree) -> PyTree:
        """What of `meta` lives on unseen tasks are given; a replay or noise that only training needs is left out here.

        Leaves may have leading axes.
        """
        return meta

    def record(self, agent: PyTree) -> PyTree:
        """What `Lifetime.record` keeps of the agent at the end of a life."""
        del agent
        return ()

    def trainable(self, meta: PyTree) -> PyTree:
        """The leaves of `meta` that training must move; conformance checks that every one gets a gradient."""
        return meta.params


def traced(learner: AnyLearner) -> AnyLearner:
    """The learner with its float fields as arrays, so that a new value needs no new compilation."""
    return jax.tree.map(lambda x: jax.numpy.asarray(x, float) if isinstance(x, float) else x, learner)
