"""What the learners share that adapt a Q-network by deep Q-learning within a life."""

import math
from abc import abstractmethod
from typing import ClassVar

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from adaptax.core.learner import Learner
from adaptax.core.types import Metrics, PRNGKey, PyTree, Schedule, Step, Transition
from adaptax.fields import Count, Fraction, NonNegative, Positive, Whole
from adaptax.inner.by_gradient import life_of
from adaptax.inner.td import TD, Learning
from adaptax.nn.net import PureNet
from adaptax.nn.q_network import q_network
from adaptax.ops.optimise import lenient
from adaptax.ops.returns import sequence_returns, sequences
from adaptax.ops.spaces import Discrete

LEAST_STEPS = 100  # of a phase: each is judged by a whole episode


class ByTD(Learner):
    r"""A life of deep Q-learning: the network acts, what was lived is kept, and every few steps an update is made.

    Where the network comes from that a life begins with, $\phi_0$, and what the outer loop does, is for the learner to
    say.

    Attributes:
        tasks: Tasks in a meta-step.
        copies: Environment copies in one task.
        phases: Phases of a training life.
        steps: Steps in a phase, a multiple of `update_every`; None is so many longest episodes as make a hundred.
        update_every: Steps in each copy between two updates.
        hidden: Units in each of the two layers of the network.
        dueling: Value and advantages apart (Wang et al., 2015, arXiv:1511.06581).
        inner_lr: Step size of Adam within a life.
        discount: Discount of rewards.
        n_step: Rewards that a target counts before it asks the network.
        double: Let the network choose the action that its target judges.
        batch: Experiences behind one update.
        replay: Steps of each copy that are kept.
        warm_up: Steps lived, in all copies, before the first update.
        target_every: Updates between two moves of the target network.
        polyak: Fraction of the way to the network that the target moves; 1 goes all the way.
        huber: TD error from which on the loss grows linearly (Huber's loss); above all errors, the loss is squared.
            Where returns are far above 1, set it about as high (`dqn` says why).
        epsilon: Share of random actions at birth.
        last_epsilon: Share of random actions in the end.
        epsilon_steps: Steps, in all copies, over which it falls from the one to the other.
        prioritised: Draw more often what was surprising.
        priority: Exponent of the error in how often it is drawn, where `prioritised`.
        correction: How far weights make up for that: 0 not at all, 1 wholly.
    """

    tasks: Count = 40
    copies: Count = 1
    phases: Count = 10
    steps: Count | None = None
    update_every: Count = 4
    hidden: Count = 64
    dueling: bool = False
    inner_lr: Positive = 1e-3
    discount: Fraction = 0.99
    n_step: Count = 1
    double: bool = True
    batch: Count = 32
    replay: Count = 10_000
    warm_up: Whole = 500
    target_every: Count = 100
    polyak: Fraction = 1.0
    huber: Positive = 1.0
    epsilon: Fraction = 1.0
    last_epsilon: Fraction = 0.05
    epsilon_steps: Positive = 2000.0
    prioritised: bool = False
    priority: NonNegative = 0.6
    correction: Fraction = 0.4

    objective = "phase_return"

    random_steps: ClassVar[int] = 0  # at birth, before anything is learned
    learns_in_training: ClassVar[bool] = True  # whether training lives are there to make updates in

    @abstractmethod
    def start(self, meta: PyTree, key: PRNGKey, descriptor: Array | None) -> PyTree:
        r"""The parameters that a life begins with, $\phi_0$."""

    @property
    def network(self) -> PureNet:
        r"""$Q_\phi(s, \cdot)$ of encoded observations."""
        spec = self.bound
        return q_network(spec.observation.size, spec.action.size, self.hidden, self.dueling)

    def learns_every(self, schedule: Schedule) -> int:
        """Steps between two updates; who does not live longer than the warm-up makes none, and saves the time.

        Nor does a life of the training that is not there to learn in.
        """
        if not (self.learns_in_training or schedule.in_use):
            return 0
        return self.update_every if schedule.length * self.lifespan > self.warm_up else 0

    def rule(self, meta: PyTree) -> TD:
        """The inner loop's rule where the outer loop has a say in it; by default it has none."""
        del meta
        return self.inner

    @property
    def inner(self) -> TD:
        """The inner loop's rule, and the network it moves."""
        spec = self.bound
        return TD(
            network=self.network,
            observation=spec.observation,
            action=spec.action,
            optimiser=lenient(optax.adam(self.inner_lr, eps_root=1e-16)),  # so that meta-gradients are no NaN
            discount=self.discount,
            n_step=self.n_step,
            double=self.double,
            batch=self.batch,
            capacity=self.replay,
            warm_up=self.warm_up,
            target_every=self.target_every,
            polyak=self.polyak,
            huber=self.huber,
            random_steps=self.random_steps,
            epsilon=(self.epsilon, self.last_epsilon),
            epsilon_steps=self.epsilon_steps,
            prioritised=self.prioritised,
            priorities=(self.priority, self.correction),
        )

    def schedule(self, episodes: int | None = None) -> Schedule:
        """The usual number of phases, or as many as hold so many episodes."""
        return life_of(self.bound.episode_steps, episodes, self.phases, self.phase_steps, self.copies)

    @property
    def phase_steps(self) -> int:
        """Steps in a phase; by default so many longest episodes as make a hundred steps, and whole updates."""
        least = math.lcm(self.bound.episode_steps, self.update_every)
        return self.steps or least * math.ceil(LEAST_STEPS / least)

    def problems(self) -> list[str]:
        """Actions must be countable, a replay must hold what is drawn from it, and a life outlast its warm-up."""
        wrong, least = [], max(-(-self.batch // self.copies), self.update_every, self.n_step)
        if self.spec is not None and not isinstance(self.spec.action, Discrete):
            wrong.append("deep Q-learning chooses among discrete actions, and this environment's are continuous")
        if self.steps and self.steps % self.update_every:
            wrong.append(f"steps is {self.steps}; it must be a multiple of update_every, {self.update_every}")
        if self.replay < least:
            wrong.append(f"replay is {self.replay}; a batch, n_step and update_every need {least} steps of each copy")
        if self.spec is None:
            return wrong
        schedule = self.schedule()
        lived, most = schedule.length * self.lifespan, schedule.phases * schedule.steps * self.lifespan
        if self.learns_in_training and not self.learns_every(schedule):
            wrong.append(
                f"warm_up is {self.warm_up}, and a training life has {lived} steps: nothing would be learned; give it "
                "more phases, or a shorter warm_up"
            )
        if self.n_step > most:
            wrong.append(f"n_step is {self.n_step}, and a copy lives {most} steps: give it fewer, or more phases")
        return wrong

    def begin(self, meta: PyTree, key: PRNGKey, descriptor: Array | None) -> tuple[Learning, Int[Array, ""]]:
        """Every life begins at `start`, with nothing in its replay. The carry counts a copy's steps."""
        return self.rule(meta).begin(self.start(meta, key, descriptor), self.copies), jnp.zeros((), jnp.int32)

    def act(
        self, meta: PyTree, inner: Learning, carry: Int[Array, ""], step: Step, key: PRNGKey, explore: bool
    ) -> tuple[Array, Int[Array, ""], Int[Array, ""]]:
        """The best action as the network has it, or sometimes any; records the copy's steps before it."""
        share = self.explored_share(meta, carry * self.copies) if explore else None
        return self.inner.act(inner.params, step, key, share), carry + 1, carry

    def explored_share(self, meta: PyTree, lived: Int[Array, ""]) -> Float[Array, ""]:
        """Share of random actions after so many steps of a life."""
        del meta
        return self.inner.explored(lived)

    def learn(self, meta: PyTree, inner: Learning, data: Transition, key: PRNGKey) -> Learning:
        """One update of the network."""
        if self.reset_each_phase:  # the end of a phase cuts its episode off: what follows in the replay is another one
            cut = (data.extras + 1) % self.phase_steps == 0
            data = data._replace(truncated=data.truncated | cut)
        return self.rule(meta).learn(inner, data, key)

    def adapt(self, meta: PyTree, inner: PyTree, data: Transition, key: PRNGKey) -> PyTree:
        """Nothing more happens at the end of a phase."""
        del meta, data, key
        return inner


def more_at_first(
    share: Float[Array, ""], updates: Int[Array, ""], until: Float[Array, ""] | float
) -> Float[Array, ""]:
    """A share of random actions that is 1 when a training begins, and falls no lower than its line to 0 at `until`."""
    return jnp.maximum(share, 1.0 - updates.astype(float) / jnp.maximum(until, 1.0))


def life_returns(data: Transition) -> Metrics:
    """Mean return of lives `[B, K, T, E, ...]` as lived, and of their episodes."""
    return sequence_returns(sequences(data.reward), sequences(data.terminated | data.truncated))
