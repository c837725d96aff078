"""RL2: a recurrent policy whose hidden state is the learning algorithm."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from adaptax.core.learner import Learner
from adaptax.core.types import Lifetime, Metrics, PRNGKey, PyTree, Schedule, Step, Transition
from adaptax.fields import Count, Fraction, NonNegative, Positive
from adaptax.nn.memories import Memory, memory
from adaptax.nn.net import linear, linear_init
from adaptax.nn.recurrent import Recurrent, memory_misfits, normalising
from adaptax.ops.distributions import Distribution, initial_log_std, policy_over
from adaptax.ops.optimise import clipped_adam, minibatch_epochs
from adaptax.ops.policy_gradient import clipped_surrogate, standardise
from adaptax.ops.returns import gae, sequence_returns, sequences


class Meta(NamedTuple):
    """Outer state."""

    params: PyTree  # {"memory", "policy", "value", "log_std"}
    optimiser: optax.OptState
    updates: Array  # meta-steps made


class Acted(NamedTuple):
    """What acting leaves for the update."""

    log_prob: Float[Array, "..."]
    value: Float[Array, "..."]


class Batch(NamedTuple):
    """What PPO learns from: one row a life (and copy), each a sequence over the whole life."""

    inputs: Float[Array, "N L D"]
    action: Array
    log_prob: Float[Array, "N L"]
    advantage: Float[Array, "N L"]
    target: Float[Array, "N L"]


class RL2(Learner):
    r"""Fast reinforcement learning via slow reinforcement learning: a memory that learns to learn.

    A GRU reads observation, last action and reward, and whether an episode begins; its state lasts the whole life:
    $h_t = \mathrm{GRU}(h_{t-1}, [s_t, a_{t-1}, r_{t-1}, first_t])$, $a_t \sim \pi_\theta(\cdot \mid h_t)$.
    The outer loop is PPO on the return of the whole life, across episodes:
    $\max_\theta E\, \min(\rho_t A_t, \mathrm{clip}(\rho_t, 1 \pm \epsilon) A_t)$ with $\epsilon$ = `clip`.
    The life's end ends the return. On unseen tasks it acts greedily: to explore is part of what it has learned.

    Attributes:
        hidden: Units of the memory.
        memory: A GRU; or attention to all steps of a training life, quicker to learn with where much must be kept; or
            a GRU with linear attention to all that was, as quick in lives of hundreds of steps.
        tasks: Tasks in a meta-step.
        copies: Environment copies in one task, each with a memory of its own.
        episodes: Episodes in a training life; None is as many as the environment's protocol has.
        across_episodes: Whether returns run on across episodes; if not, as in balancing, an episode's end ends them.
        epochs: Passes over a batch of lives.
        minibatches: Parts of a pass.
        learning_rate: Step size of Adam, falling linearly to zero over the training.
        discount: Discount of rewards.
        gae_lambda: Lambda of generalised advantage estimation.
        clip: Clipping range of PPO.
        entropy: Weight of the entropy bonus.
        entropy_end: What that weight falls to, linearly over the training.
        value_weight: Weight of the critic's squared error.
        value_scale: Size of a life's return: the critic predicts returns in this unit.
        max_gradient: Global norm that gradients are clipped to.
        sample: Draw actions on unseen tasks too, instead of taking the likeliest.
        normalise: Read observations and rewards in deviations from their running mean within the life.
        network: Another memory in place of the GRU.

    References:
        Duan et al., 2016, arXiv:1611.02779 (bandits: table 1); Wang et al., 2016, arXiv:1611.05763; attention
        as memory: Mishra et al., 2018, arXiv:1707.03141; linear: Katharopoulos et al., 2020, arXiv:2006.16236.

    Differences from the paper: PPO in place of TRPO; no weight normalisation; 64 units in place of 256 by default.
    """

    hidden: Count = 64
    memory: Memory = "gru"
    tasks: Count = 1024
    copies: Count = 1
    episodes: Count | None = None
    across_episodes: bool = True
    epochs: Count = 4
    minibatches: Count = 4
    learning_rate: Positive = 3e-3
    discount: Fraction = 0.99
    gae_lambda: Fraction = 0.3
    clip: Positive = 0.2
    entropy: NonNegative = 0.01
    entropy_end: NonNegative = 0.0
    value_weight: NonNegative = 0.5
    value_scale: Positive = 1.0
    max_gradient: Positive = 0.5
    sample: bool = False
    normalise: bool = False
    network: Recurrent | None = None

    explores_by_noise = property(lambda self: self.sample)  # type: ignore[assignment]
    objective = property(lambda self: "total_return" if self.across_episodes else "phase_return")  # type: ignore
    _reads = property(lambda self: self.bound.observation.size + self.bound.action.size + 2)  # numbers of a step

    def schedule(self, episodes: int | None = None) -> Schedule:
        """One phase that holds all episodes."""
        return Schedule(1, self.bound.episode_steps * (episodes or self.episodes or self.bound.episodes), self.copies)

    @property
    def model(self) -> Recurrent:
        """The sequence model."""
        model = self.network or memory(self.memory, self._reads, self.hidden, self.schedule().steps)
        return normalising(model, self._reads) if self.normalise else model

    def init(self, key: PRNGKey) -> Meta:
        """Fresh parameters."""
        key_memory, key_policy, key_value = jax.random.split(key, 3)
        params = {
            "memory": self.model.init(key_memory),
            "policy": linear_init(key_policy, self.model.outputs, self.bound.action.size, 0.01),
            "value": linear_init(key_value, self.model.outputs, 1, 1.0),
            "log_std": initial_log_std(self.bound.action),
        }
        return Meta(params, self._optimiser().init(params), jnp.zeros((), jnp.int32))

    def begin(self, meta: Meta, key: PRNGKey, descriptor: Array | None) -> tuple[tuple, PyTree]:
        """An empty memory."""
        del key, descriptor
        return (), self.model.begin(meta.params["memory"])

    def act(
        self, meta: Meta, inner: tuple, carry: PyTree, step: Step, key: PRNGKey, explore: bool
    ) -> tuple[Array, PyTree, Acted]:
        """One step of the memory, then an action; records log-probability and value."""
        del inner
        carry, output = self.model.step(meta.params["memory"], carry, self._inputs(step))
        policy, value = self._heads(meta.params, output)
        action = policy.sample(key) if explore else policy.mode()
        return action, carry, Acted(policy.log_prob(action), value)

    def adapt(self, meta: Meta, inner: tuple, data: Transition, key: PRNGKey) -> tuple:
        """Nothing: the memory is the adaptation."""
        return inner

    def update(self, meta: Meta, lifetimes: Lifetime, key: PRNGKey) -> tuple[Meta, Metrics]:
        """PPO over whole lives."""
        data = jax.tree.map(sequences, lifetimes.data)
        advantage = jax.vmap(self._advantages)(data)
        inputs = jax.vmap(jax.vmap(self._inputs))(data.step)
        batch = Batch(inputs, data.action, data.extras.log_prob, standardise(advantage), advantage + data.extras.value)
        entropy = self.entropy + (self.entropy_end - self.entropy) * meta.updates.astype(float) / self.meta_steps
        loss = lambda params, part: self._loss(params, part, entropy)
        state, metrics = minibatch_epochs(
            loss, self._optimiser(), meta[:2], batch, key, epochs=self.epochs, minibatches=self.minibatches
        )
        return Meta(*state, meta.updates + 1), metrics | sequence_returns(data.reward, data.terminated | data.truncated)

    def problems(self) -> list[str]:
        """Minibatches must divide the lives, and a memory of one's own must read what a step tells."""
        lives, parts, own = self.tasks * self.copies, self.minibatches, self.network and self.spec
        wrong = [f"minibatches is {parts}; it must divide tasks x copies = {lives}"] if lives % parts else []
        return wrong + (memory_misfits(self.network, self._reads) if own else [])

    def _inputs(self, step: Step) -> Float[Array, " D"]:
        observation = self.bound.observation.encode(step.observation)
        flags = jnp.stack([step.previous_reward, step.first.astype(step.previous_reward.dtype)])
        return jnp.concatenate([observation, self.bound.action.encode(step.previous_action), flags])

    def _heads(self, params: PyTree, output: Array) -> tuple[Distribution, Float[Array, ""]]:
        policy = policy_over(self.bound.action, linear(params["policy"], output), params["log_std"])
        return policy, self.value_scale * linear(params["value"], output)[0]

    def _advantages(self, data: Transition) -> Float[Array, " L"]:
        following = jnp.append(data.extras.value[1:], 0.0)  # the life's end ends the return
        follow = 1.0 - (data.terminated | data.truncated).astype(float) * float(not self.across_episodes)
        return gae(data.reward, self.discount * follow, data.extras.value, following, self.gae_lambda)

    def _loss(self, params: PyTree, part: Batch, entropy_weight: Array) -> tuple[Array, Metrics]:
        def one(output: Array, action: Array) -> tuple[Array, Array, Array]:
            policy, value = self._heads(params, output)
            return policy.log_prob(action), policy.entropy(), value

        part = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), part)  # [L, N]: as the memory computes, no copies between
        outputs = jax.vmap(self.model.unroll, (None, 1), 1)(params["memory"], part.inputs)
        log_prob, entropy, value = jax.vmap(jax.vmap(one))(outputs, part.action)
        gain = clipped_surrogate(log_prob, part.log_prob, part.advantage, self.clip)
        error = jnp.mean(((value - part.target) / self.value_scale) ** 2)
        loss = -gain - entropy_weight * jnp.mean(entropy) + self.value_weight * error
        return loss, {"entropy": jnp.mean(entropy), "value_error": error}

    def _optimiser(self) -> optax.GradientTransformation:
        return clipped_adam(self.learning_rate, self.max_gradient, self.meta_steps * self.epochs * self.minibatches)
