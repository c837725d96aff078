"""Learning from scratch: the inner loop of MAML from an untrained start. What meta-learning must beat."""

from typing import NamedTuple

from jaxtyping import Array

from adaptax.core.learner import Learner
from adaptax.core.types import Lifetime, Metrics, PRNGKey, Schedule, Step, Transition
from adaptax.fields import Count, Fraction, NonNegative, Real
from adaptax.inner.policy_gradient import Adapting, PolicyGradient, phase_returns
from adaptax.nn.net import PureNet
from adaptax.nn.policy import feed_forward


class Meta(NamedTuple):
    """Outer state: nothing is learned across tasks."""

    params: tuple


class Scratch(Learner):
    r"""Policy gradient from fresh random weights in every task.

    $\phi_0 \sim p_{init}$, $\phi_{k+1} = \phi_k - \alpha \nabla_\phi L(\phi_k, D_k)$ with $\alpha$ = `inner_lr`.

    Attributes:
        tasks: Tasks in a meta-step.
        copies: Environment copies in one task.
        steps: Steps in a phase; None is one longest episode.
        inner_steps: Phases in a life, less one, so that it counts as in MAML.
        inner_lr: Step size.
        inner_decay: How fast the step size falls along a life: step k has inner_lr / (1 + k inner_decay).
        hidden: Units in each of the two layers of the policy.
        discount: Discount of rewards.
        gae_lambda: Lambda of generalised advantage estimation.
        log_std: First log standard deviation of actions, relative to half the width of a bounded action space.
        network: Another policy network in place of the two layers.

    References:
        The baseline "random init" of Finn, Abbeel & Levine, 2017, arXiv:1703.03400.

    Differences from the paper: none known.
    """

    tasks: Count = 40
    copies: Count = 20
    steps: Count | None = None
    inner_steps: Count = 1
    inner_lr: Real = 0.5
    inner_decay: NonNegative = 0.0
    hidden: Count = 64
    discount: Fraction = 0.99
    gae_lambda: Fraction = 1.0
    log_std: Real = 0.0
    network: PureNet | None = None

    objective = "phase_return"
    reset_each_phase = True

    @property
    def inner(self) -> PolicyGradient:
        """The inner loop's rule, and the policy it moves."""
        spec = self.bound
        policy = feed_forward(spec.observation, spec.action, self.hidden, net=self.network, log_std=self.log_std)
        return PolicyGradient(policy, self.discount, self.gae_lambda, self.inner_decay)

    def schedule(self, episodes: int | None = None) -> Schedule:
        """K phases of one longest episode each."""
        return Schedule(episodes or self.inner_steps + 1, self.steps or self.bound.episode_steps, self.copies)

    def init(self, key: PRNGKey) -> Meta:
        """Nothing."""
        del key
        return Meta(())

    def begin(self, meta: Meta, key: PRNGKey, descriptor: Array | None) -> tuple[Adapting, tuple]:
        """Fresh random weights."""
        del meta, descriptor
        return self.inner.begin(self.inner.policy.init(key)), ()

    def act(
        self, meta: Meta, inner: Adapting, carry: tuple, step: Step, key: PRNGKey, explore: bool
    ) -> tuple[Array, tuple, Array]:
        """The policy as it stands; records the log-probability."""
        del meta
        action, log_prob = self.inner.act(inner.params, step, key, explore)
        return action, carry, log_prob

    def adapt(self, meta: Meta, inner: Adapting, data: Transition, key: PRNGKey) -> Adapting:
        """One gradient step."""
        del meta, key
        return self.inner.step(inner, data, self.inner_lr)

    def update(self, meta: Meta, lifetimes: Lifetime, key: PRNGKey) -> tuple[Meta, Metrics]:
        """Nothing changes; the returns are reported."""
        del key
        return meta, phase_returns(lifetimes.data)
