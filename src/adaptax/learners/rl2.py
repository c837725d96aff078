r"""RL2: a recurrent policy whose hidden state is the learning algorithm."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from adaptax.core.learner import Learner
from adaptax.core.types import Lifetime, Metrics, PRNGKey, PyTree, Schedule, Step, Transition
from adaptax.fields import Count, Fraction, NonNegative, Positive
from adaptax.nn.net import linear, linear_init
from adaptax.nn.recurrent import Recurrent, gru
from adaptax.ops.distributions import Distribution, initial_log_std, policy_over
from adaptax.ops.optimise import clipped_adam
from adaptax.ops.policy_gradient import clipped_surrogate, standardise
from adaptax.ops.returns import gae


class Meta(NamedTuple):
    """Outer state."""

    params: PyTree
    optimiser: optax.OptState
    updates: Array


class Acted(NamedTuple):
    """What acting leaves for the update."""

    log_prob: Float[Array, "..."]
    value: Float[Array, "..."]


class RL2(Learner):
    """RL2."""

    hidden: Count = 64
    tasks: Count = 1024
    episodes: int | None = None
    copies: Count = 1
    epochs: Count = 4
    minibatches: Count = 4
    learning_rate: Positive = 3e-3
    discount: Fraction = 0.99
    lambda_: Fraction = 0.3
    clip: Positive = 0.2
    entropy: NonNegative = 0.01
    value_weight: NonNegative = 0.5
    max_gradient: Positive = 0.5
    network: Recurrent | None = None

    explores_by_noise = False

    def schedule(self, episodes: int | None = None) -> Schedule:
        spec = self.bound
        return Schedule(1, spec.episode_steps * (episodes or self.episodes or spec.episodes), self.copies)

    @property
    def memory(self) -> Recurrent:
        spec = self.bound
        return self.network or gru(spec.observation.size + spec.action.size + 2, self.hidden)

    def _features(self, step: Step) -> Array:
        spec = self.bound
        flags = jnp.stack([step.previous_reward, step.first.astype(step.previous_reward.dtype)])
        return jnp.concatenate([spec.observation.encode(step.observation), spec.action.encode(step.previous_action), flags])

    def _heads(self, params: PyTree, output: Array) -> tuple[Distribution, Array]:
        policy = policy_over(self.bound.action, linear(params["policy"], output), params["log_std"])
        return policy, linear(params["value"], output)[0]

    def _optimiser(self) -> optax.GradientTransformation:
        return clipped_adam(self.learning_rate, self.max_gradient, self.bound.meta_steps * self.epochs * self.minibatches)

    def init(self, key: PRNGKey) -> Meta:
        key_memory, key_policy, key_value = jax.random.split(key, 3)
        memory = self.memory.init(key_memory)
        width = jax.eval_shape(lambda p: self.memory.step(p, self.memory.begin(p), jnp.zeros(self._inputs()))[1], memory).shape[0]
        params = {
            "memory": memory,
            "policy": linear_init(key_policy, width, self.bound.action.size, 0.01),
            "value": linear_init(key_value, width, 1, 1.0),
            "log_std": initial_log_std(self.bound.action),
        }
        return Meta(params, self._optimiser().init(params), jnp.zeros((), jnp.int32))

    def _inputs(self):
        return self.bound.observation.size + self.bound.action.size + 2

    def begin(self, meta, key, descriptor):
        del key, descriptor
        return (), self.memory.begin(meta.params["memory"])

    def act(self, meta, inner, carry, step, key, explore):
        del inner
        carry, output = self.memory.step(meta.params["memory"], carry, self._features(step))
        policy, value = self._heads(meta.params, output)
        action = policy.sample(key) if explore else policy.mode()
        return action, carry, Acted(policy.log_prob(action), value)

    def adapt(self, meta, inner, data, key):
        return inner

    def update(self, meta, lifetimes, key):
        def sequences(x):  # [B, K, T, E, ...] -> [B * E, K * T, ...]
            x = jnp.moveaxis(x, 3, 1)
            return x.reshape(x.shape[0] * x.shape[1], x.shape[2] * x.shape[3], *x.shape[4:])

        data = jax.tree.map(sequences, lifetimes.data)
        advantage, target = jax.vmap(self._advantages)(data)
        inputs = jax.vmap(jax.vmap(self._features))(data.step)
        batch = (inputs, data.action, data.extras.log_prob, standardise(advantage), target)
        (params, optimiser), metrics = self._ppo(meta, batch, key)
        metrics |= {"train_return": data.reward.sum(1).mean()}
        return Meta(params, optimiser, meta.updates + 1), metrics

    def _advantages(self, data):
        value = data.extras.value
        following = jnp.append(value[1:], 0.0)
        discount = jnp.full_like(value, 1.0) * self.discount
        advantage = gae(data.reward, discount, value, following, self.lambda_)
        return advantage, advantage + value

    def _ppo(self, meta, batch, key):
        optimiser = self._optimiser()
        size = batch[0].shape[0]

        def learn(state, rows):
            params, opt_state = state
            part = jax.tree.map(lambda x: x[rows], batch)
            (_, metrics), gradient = jax.value_and_grad(self._loss, has_aux=True)(params, part)
            change, opt_state = optimiser.update(gradient, opt_state)
            return (optax.apply_updates(params, change), opt_state), metrics

        order = jax.vmap(lambda k: jax.random.permutation(k, size))(jax.random.split(key, self.epochs))
        order = order.reshape(self.epochs * self.minibatches, size // self.minibatches)
        state, metrics = jax.lax.scan(learn, (meta.params, meta.optimiser), order)
        return state, jax.tree.map(jnp.mean, metrics)

    def _loss(self, params, part):
        inputs, action, log_prob, advantage, target = part
        outputs = jax.vmap(self.memory.unroll, (None, 0))(params["memory"], inputs)
        policy, value = jax.vmap(jax.vmap(self._heads, (None, 0)), (None, 0))(params, outputs)
        gain = clipped_surrogate(jax.vmap(jax.vmap(type(policy).log_prob))(policy, action), log_prob, advantage, self.clip)
        entropy = jnp.mean(jax.vmap(jax.vmap(type(policy).entropy))(policy))
        error = jnp.mean((value - target) ** 2)
        loss = -gain - self.entropy * entropy + self.value_weight * error
        return loss, {"entropy": entropy, "value_error": error}
