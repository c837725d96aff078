"""One policy for all tasks, trained by PPO: blind and then fine-tuned (`multi-task`), or told the task (`oracle`)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from adaptax.core.learner import Learner, Privilege
from adaptax.core.types import Lifetime, Metrics, PRNGKey, PyTree, Schedule, Step, Transition
from adaptax.fields import Count, Fraction, NonNegative, Positive, Real
from adaptax.inner.by_gradient import life_of
from adaptax.inner.policy_gradient import Adapting, PolicyGradient, phase_returns
from adaptax.nn.net import PureNet, mlp
from adaptax.nn.policy import feed_forward
from adaptax.ops.optimise import clipped_adam, minibatch_epochs
from adaptax.ops.policy_gradient import clipped_surrogate, standardise
from adaptax.ops.returns import gae


class Meta(NamedTuple):
    """Outer state."""

    params: PyTree  # {"policy", "value"}
    optimiser: optax.OptState


class Inner(NamedTuple):
    """The policy in one task."""

    policy: Adapting
    told: Float[Array, " F"]  # the descriptor; empty for a blind policy


class Batch(NamedTuple):
    """What PPO learns from, one row a step."""

    features: Array
    action: Array
    log_prob: Array
    advantage: Array
    target: Array


class MultiTask(Learner):
    r"""One policy trained by PPO over all tasks, without adaptation; in a new task it is fine-tuned by gradient steps.

    Training maximises $E_T E_{\pi_\theta} \sum_t \gamma^t r_t$ with PPO and a critic; a life then takes
    $\phi_{k+1} = \phi_k - \alpha \nabla_\phi L(\phi_k, D_k)$ from $\phi_0 = \theta$, exactly as MAML does.

    Attributes:
        tasks: Tasks in a meta-step.
        copies: Environment copies in one task.
        steps: Steps in a phase; None is one longest episode.
        inner_lr: Step size of fine-tuning.
        inner_decay: How fast that falls along a life: step k has inner_lr / (1 + k inner_decay).
        hidden: Units in each of the two layers of policy and critic.
        told: Whether the policy sees the task's descriptor (the oracle).
        epochs: Passes over a batch.
        minibatches: Parts of a pass.
        learning_rate: Step size of Adam, falling linearly to zero over the training.
        discount: Discount of rewards.
        gae_lambda: Lambda of generalised advantage estimation, in training and in fine-tuning.
        clip: Clipping range of PPO.
        entropy: Weight of the entropy bonus.
        value_weight: Weight of the critic's squared error.
        log_std: First log standard deviation of actions, relative to half the width of a bounded action space.
        max_gradient: Global norm that gradients are clipped to.

    References:
        PPO: Schulman et al., 2017, arXiv:1707.06347; the baseline "pretrained" of Finn, Abbeel & Levine, 2017,
        arXiv:1703.03400.

    Differences from the paper: none known.
    """

    tasks: Count = 40
    copies: Count = 20
    steps: Count | None = None
    inner_lr: Real = 0.1
    inner_decay: NonNegative = 0.0
    hidden: Count = 64
    told: bool = False
    epochs: Count = 4
    minibatches: Count = 8
    learning_rate: Positive = 1e-3
    discount: Fraction = 0.99
    gae_lambda: Fraction = 0.95
    clip: Positive = 0.2
    entropy: NonNegative = 0.0
    value_weight: NonNegative = 0.5
    log_std: Real = 0.0
    max_gradient: Positive = 0.5

    objective = "phase_return"
    reset_each_phase = True

    variant = property(lambda self: self.told)  # the oracle or the blind policy

    @property
    def privileged(self) -> Privilege:  # type: ignore[override]
        """The oracle alone sees the descriptor."""
        return "always" if self.told else "never"

    @property
    def inner(self) -> PolicyGradient:
        """The rule of fine-tuning, and the policy it moves."""
        spec = self.bound
        policy = feed_forward(spec.observation, spec.action, self.hidden, context=self._told_size, log_std=self.log_std)
        return PolicyGradient(policy, self.discount, self.gae_lambda, self.inner_decay)

    @property
    def _told_size(self) -> int:
        return self.bound.descriptor if self.told else 0

    @property
    def critic(self) -> PureNet:
        """V(s), or V(s, d(T)) where the task is told."""
        return mlp((self.bound.observation.size + self._told_size, self.hidden, self.hidden, 1), last_gain=1.0)

    def _optimiser(self) -> optax.GradientTransformation:
        updates = self.meta_steps * self.epochs * self.minibatches
        return clipped_adam(self.learning_rate, self.max_gradient, updates)

    def schedule(self, episodes: int | None = None) -> Schedule:
        """Training needs one phase; a life has as many as it has episodes."""
        return life_of(self.bound.episode_steps, episodes, 1, self.steps, self.copies)

    def init(self, key: PRNGKey) -> Meta:
        """Fresh parameters."""
        key_policy, key_value = jax.random.split(key)
        params = {"policy": self.inner.policy.init(key_policy), "value": self.critic.init(key_value)}
        return Meta(params, self._optimiser().init(params))

    def begin(self, meta: Meta, key: PRNGKey, descriptor: Array | None) -> tuple[Inner, tuple]:
        """Every life starts at theta; the oracle keeps what it is told."""
        del key
        told = descriptor if self.told and descriptor is not None else jnp.zeros(0)
        return Inner(self.inner.begin(meta.params["policy"]), told), ()

    def act(
        self, meta: Meta, inner: Inner, carry: tuple, step: Step, key: PRNGKey, explore: bool
    ) -> tuple[Array, tuple, Array]:
        """The policy as it stands; records the log-probability."""
        del meta
        policy = self.inner.policy(inner.policy.params, step.observation, inner.told)
        action = policy.sample(key) if explore else policy.mode()
        return action, carry, policy.log_prob(action)

    def adapt(self, meta: Meta, inner: Inner, data: Transition, key: PRNGKey) -> Inner:
        """One step of fine-tuning; the oracle needs none."""
        del meta, key
        if self.told:
            return inner
        return inner._replace(policy=self.inner.step(inner.policy, data, self.inner_lr))

    def update(self, meta: Meta, lifetimes: Lifetime, key: PRNGKey) -> tuple[Meta, Metrics]:
        """PPO on the first phase, which the unadapted policy lived."""
        data = jax.tree.map(lambda x: x[:, 0], lifetimes.data)  # [B, T, E, ...]
        batch = jax.vmap(self.batch, (None, 0, 0))(meta.params, data, lifetimes.first.inner.told)
        batch = jax.tree.map(lambda x: x.reshape(-1, *x.shape[3:]), batch)
        batch = batch._replace(advantage=standardise(batch.advantage))
        state, metrics = minibatch_epochs(
            self._loss, self._optimiser(), meta[:2], batch, key, epochs=self.epochs, minibatches=self.minibatches
        )
        return Meta(*state), metrics | phase_returns(lifetimes.data)

    def problems(self) -> list[str]:
        """Minibatches must divide the batch."""
        if self.spec is None:
            return []
        size = self.tasks * self.copies * self.schedule().steps
        wrong = size % self.minibatches != 0
        return [f"minibatches is {self.minibatches}; it must divide the {size} steps of a meta-step"] if wrong else []

    def _features(self, observation: Array, told: Array) -> Array:
        return jnp.concatenate([self.bound.observation.encode(observation), told])

    def batch(self, params: PyTree, data: Transition, told: Array) -> Batch:
        """One task's phase `[T, E, ...]` with advantages under the critic; truncated episodes are bootstrapped."""
        features = jax.vmap(jax.vmap(lambda o: self._features(o, told)))
        critic = jax.vmap(jax.vmap(lambda x: self.critic.apply(params["value"], x)[0]))
        now = features(data.step.observation)
        value, following = critic(now), critic(features(data.next_observation))
        discount = self.discount * (1.0 - data.terminated.astype(value.dtype))
        follow = 1.0 - (data.terminated | data.truncated).astype(value.dtype)
        advantage = gae(data.reward, discount, value, following, self.gae_lambda, follow)
        return Batch(now, data.action, data.extras, advantage, advantage + value)

    def _loss(self, params: PyTree, part: Batch) -> tuple[Array, Metrics]:
        def one(features: Array, action: Array) -> tuple[Array, Array, Array]:
            policy = self.inner.policy.at_features(params["policy"], features)
            value = self.critic.apply(params["value"], features)[0]
            return policy.log_prob(action), policy.entropy(), value

        log_prob, entropy, value = jax.vmap(one)(part.features, part.action)
        gain = clipped_surrogate(log_prob, part.log_prob, part.advantage, self.clip)
        error = jnp.mean((value - part.target) ** 2)
        loss = -gain - self.entropy * jnp.mean(entropy) + self.value_weight * error
        return loss, {"entropy": jnp.mean(entropy), "value_error": error}


def Oracle(**fields: Any) -> MultiTask:
    r"""The policy that is told the task: an upper reference for every blind learner.

    $\pi_\theta(a \mid s, d(T))$ with the task's descriptor d(T), trained by PPO over all tasks; it does not adapt.
    It has no memory: of what changes within a life it knows only what is observed, so where a key in hand or the number
    of the trial is not, a learner that remembers can do better.

    References:
        The baseline "oracle" of Finn, Abbeel & Levine, 2017, arXiv:1703.03400.

    Differences from the paper: none known.
    """
    return MultiTask(**{"told": True, "inner_lr": 0.0, **fields})
