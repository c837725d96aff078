"""What the learners share that adapt a policy by gradient steps on what it lived: MAML, Reptile, scratch."""

import math
from abc import abstractmethod

from jaxtyping import Array

from adaptax.core.learner import Learner
from adaptax.core.types import PRNGKey, PyTree, Schedule, Step, Transition
from adaptax.fields import Count, Fraction, NonNegative, Real
from adaptax.inner.policy_gradient import Adapting, PolicyGradient
from adaptax.nn.net import PureNet, misfits
from adaptax.nn.policy import feed_forward


def life_of(longest: int, episodes: int | None, usual: int, steps: int | None, copies: int) -> Schedule:
    """Phases of `steps` (None: of one longest episode): the usual number, or as many as hold so many episodes."""
    steps = steps or longest
    return Schedule(math.ceil(episodes * longest / steps) if episodes else usual, steps, copies)


class ByGradient(Learner):
    r"""A life of phases, each of which ends with $\phi_{k+1} = \phi_k - \alpha_k \nabla_\phi L(\phi_k, D_k)$.

    Where $\phi_0$ comes from, and what the outer loop does, is for the learner to say.

    Attributes:
        tasks: Tasks in a meta-step.
        copies: Environment copies in one task: episodes behind one inner gradient.
        steps: Steps in a phase; None is one longest episode.
        inner_steps: Phases in a training life before the last.
        inner_lr: Step size of the inner loop; where step sizes are learned, their first value.
        inner_decay: How fast the step size falls along a life: step k has inner_lr / (1 + k inner_decay).
        hidden: Units in each of the two layers of the policy.
        discount: Discount of rewards.
        gae_lambda: Lambda of generalised advantage estimation.
        log_std: First log standard deviation of actions, relative to half the width of a bounded action space.
        standardised: Divide the inner loop's advantages by their standard deviation.
        normalise: Read observations in deviations from their mean in the phases of the life before.
        network: Another policy network in place of the two layers.
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
    standardised: bool = True
    normalise: bool = False
    network: PureNet | None = None

    objective = "phase_return"
    reset_each_phase = True

    @abstractmethod
    def start(self, meta: PyTree, key: PRNGKey) -> PyTree:
        r"""The parameters that a life begins with, $\phi_0$."""

    @property
    def inner(self) -> PolicyGradient:
        """The inner loop's rule, and the policy it moves."""
        spec = self.bound
        policy = feed_forward(spec.observation, spec.action, self.hidden, net=self.network, log_std=self.log_std)
        rule = PolicyGradient(policy, self.discount, self.gae_lambda, self.inner_decay, self.standardised)
        return rule._replace(normalise=self.normalise)

    def schedule(self, episodes: int | None = None) -> Schedule:
        """K phases of one longest episode each: `episodes`, or enough for the inner steps and a last look."""
        return life_of(self.bound.episode_steps, episodes, self.inner_steps + 1, self.steps, self.copies)

    def problems(self) -> list[str]:
        """A network of one's own must read an observation and give what the actions need."""
        if self.network is None or self.spec is None:
            return []
        return misfits(self.network, self.spec.observation.size, self.spec.action.size)

    def begin(self, meta: PyTree, key: PRNGKey, descriptor: Array | None) -> tuple[Adapting, tuple]:
        """Every life begins at `start`; nothing is carried from step to step."""
        del descriptor
        return self.inner.begin(self.start(meta, key)), ()

    def act(
        self, meta: PyTree, inner: Adapting, carry: tuple, step: Step, key: PRNGKey, explore: bool
    ) -> tuple[Array, tuple, Array]:
        """The policy as it stands; records the log-probability."""
        del meta
        action, log_prob = self.inner.reading(inner).act(inner.params, step, key, explore)
        return action, carry, log_prob

    def adapt(self, meta: PyTree, inner: Adapting, data: Transition, key: PRNGKey) -> Adapting:
        """One gradient step."""
        del meta, key
        return self.inner.step(inner, data, self.inner_lr)
