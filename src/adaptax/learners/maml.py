r"""MAML: an initialisation from which one gradient step in a new task goes far."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from adaptax.core.learner import Learner
from adaptax.core.lifetime import replay
from adaptax.core.types import Lifetime, Metrics, PRNGKey, PyTree, Schedule, Step, Transition
from adaptax.fields import Count, Fraction, NonNegative, Positive, Real
from adaptax.inner.gradient import Loss, advantages, sgd_step
from adaptax.nn.net import PureNet
from adaptax.nn.policy import Policy, feed_forward
from adaptax.ops.optimise import clipped_adam
from adaptax.ops.policy_gradient import clipped_surrogate


class Meta(NamedTuple):
    """Outer state."""

    params: PyTree
    optimiser: optax.OptState


class MAML(Learner):
    """MAML."""

    tasks: Count = 40
    copies: Count = 20
    steps: int | None = None
    inner_steps: Count = 1
    inner_lr: Real = 0.1
    hidden: Count = 64
    first_order: bool = False
    learn_step_sizes: bool = False
    outer_phases: Literal["last", "all", "adapted"] = "last"
    outer_loss: Literal["policy_gradient", "ppo"] = "policy_gradient"
    epochs: Count = 1
    learning_rate: Positive = 1e-3
    discount: Fraction = 0.99
    lambda_: Fraction = 1.0
    clip: Positive = 0.2
    log_std: Real = 0.0
    max_gradient: Positive = 0.5
    network: PureNet | None = None
    inner_loss: Loss | None = None

    objective = "phase_return"
    reset_each_phase = True

    def schedule(self, episodes: int | None = None) -> Schedule:
        return Schedule(episodes or self.inner_steps + 1, self.steps or self.bound.episode_steps, self.copies)

    @property
    def policy(self) -> Policy:
        spec = self.bound
        return feed_forward(spec.observation, spec.action, self.hidden, net=self.network)._replace(log_std=self.log_std)

    def init(self, key):
        policy = self.policy.init(key)
        step_size = jax.tree.map(lambda _: jnp.asarray(self.inner_lr, float), policy) if self.learn_step_sizes else ()
        params = {"policy": policy, "step_size": step_size}
        return Meta(params, self._optimiser().init(params))

    def begin(self, meta, key, descriptor):
        return meta.params["policy"], ()

    def act(self, meta, inner, carry, step, key, explore):
        policy = self.policy(inner, step.observation)
        action = policy.sample(key) if explore else policy.mode()
        return action, carry, policy.log_prob(action)

    def adapt(self, meta, inner, data, key):
        step_size = meta.params["step_size"] if self.learn_step_sizes else self.inner_lr
        return sgd_step(self.inner_loss or self.surrogate, inner, data, step_size, self.first_order)

    def surrogate(self, phi, data):
        log_prob, advantage = self._judge(phi, data)
        return -jnp.mean(jnp.exp(log_prob - data.extras) * advantage)

    def _judge(self, phi, data):
        encode = jax.vmap(jax.vmap(self.bound.observation.encode))
        advantage = advantages(data, encode(data.step.observation), self.discount, self.lambda_)
        log_prob = jax.vmap(jax.vmap(lambda o, a: self.policy(phi, o).log_prob(a)))(data.step.observation, data.action)
        return log_prob, advantage

    def _outer(self, phi, data):
        log_prob, advantage = self._judge(phi, data)
        if self.outer_loss == "ppo":
            return -clipped_surrogate(log_prob, data.extras, advantage, self.clip)
        return -jnp.mean(log_prob * advantage)

    def update(self, meta, lifetimes, key):
        phases = lifetimes.data.reward.shape[1]
        weights = {"last": [0.0] * (phases - 1) + [1.0], "all": [1.0] * phases, "adapted": [0.0] + [1.0] * (phases - 1)}[self.outer_phases]

        def loss(params):
            judged = jax.vmap(lambda life: replay(self, meta._replace(params=params), life, self._outer, weights))(lifetimes)
            return jnp.mean(judged)

        def epoch(state, _):
            params, opt_state = state
            value, gradient = jax.value_and_grad(loss)(params)
            change, opt_state = self._optimiser().update(gradient, opt_state)
            return (optax.apply_updates(params, change), opt_state), {"loss": value, "gradient_norm": optax.global_norm(gradient)}

        state, metrics = jax.lax.scan(epoch, tuple(meta), length=self.epochs)
        returns = lifetimes.data.reward.sum(2).mean((0, 2))
        metrics = jax.tree.map(jnp.mean, metrics) | {"return_first_phase": returns[0], "return_last_phase": returns[-1]}
        return Meta(*state), metrics

    def _optimiser(self):
        return clipped_adam(self.learning_rate, self.max_gradient, self.bound.meta_steps * self.epochs)
