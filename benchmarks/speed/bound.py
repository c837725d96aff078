"""Bounds on the speed of training: a learner's own network passes and nothing else."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from adaptax.learners.dqn import DQN
from adaptax.learners.rl2 import RL2
from adaptax.nn.net import Params, linear
from adaptax.ops.optimise import clipped_adam


def bare_passes(learner: RL2, meta_steps: int) -> Callable[[], jax.Array]:
    """A function that runs, compiled, what the network alone costs in `meta_steps` meta-steps.

    A meta-step is one rollout's forward pass (T steps of B agents, their inputs given) and, for each epoch and
    minibatch, forward and backward through memory and heads and one step of the optimiser, in the shapes that the
    learner uses. There is no environment, no sampling, no random number, no shuffling, no advantage, no PPO loss.
    """
    size, steps = learner.tasks * learner.copies, learner.schedule().steps
    key_meta, key_inputs = jax.random.split(jax.random.key(0))
    params = learner.init(key_meta).params
    width = params["memory"]["input"]["weight"].shape[0]
    shape = (learner.minibatches, steps, size // learner.minibatches, width)
    inputs = jax.random.normal(key_inputs, shape)
    optimiser = clipped_adam(learner.learning_rate, learner.max_gradient, 10**6)

    def heads(params: Params, output: jax.Array) -> tuple[jax.Array, jax.Array]:
        return linear(params["policy"], output), linear(params["value"], output)

    def rollout(params: Params) -> jax.Array:
        def step(carry: Params, x: jax.Array) -> tuple[Params, jax.Array]:
            carry, output = jax.vmap(learner.model.step, (None, 0, 0))(params["memory"], carry, x)
            return carry, sum_of(jax.vmap(heads, (None, 0))(params, output))

        carry = jax.tree.map(lambda x: jnp.broadcast_to(x, (size, *x.shape)), learner.model.begin(params["memory"]))
        return jnp.sum(jax.lax.scan(step, carry, inputs.reshape(steps, size, width))[1])

    def loss(params: Params, part: jax.Array) -> jax.Array:
        outputs = jax.vmap(learner.model.unroll, (None, 1), 1)(params["memory"], part)
        logits, value = jax.vmap(jax.vmap(heads, (None, 0)), (None, 0))(params, outputs)
        return jnp.mean(logits**2) + jnp.mean(value**2)

    def learn(state: tuple[Params, optax.OptState], part: jax.Array) -> tuple[tuple[Params, optax.OptState], None]:
        params, opt_state = state
        change, opt_state = optimiser.update(jax.grad(loss)(params, part), opt_state)
        return (optax.apply_updates(params, change), opt_state), None

    def meta_step(_: int, now: tuple[tuple, jax.Array]) -> tuple[tuple, jax.Array]:
        state, total = now
        total += rollout(state[0])
        epoch = lambda state, _: jax.lax.scan(learn, state, inputs)
        return jax.lax.scan(epoch, state, length=learner.epochs)[0], total

    run = jax.jit(lambda state: jax.lax.fori_loop(0, meta_steps, meta_step, (state, jnp.zeros(()))))
    state = (params, optimiser.init(params))
    return lambda: jax.block_until_ready(run(state))


def bare_q_passes(learner: DQN, updates: int) -> Callable[[], jax.Array]:
    """A function that runs, compiled, what the networks alone cost in so many updates of all tasks.

    An update is `update_every` forward passes of each life's network at its step; forward and backward through a batch;
    what network and target say of the successors of that batch; and one step of Adam. Inputs are given: there is no
    environment, no replay, no random number, no target value.
    """
    rule, lives = learner.inner, learner.tasks
    key_params, key_inputs = jax.random.split(jax.random.key(0))
    params = jax.vmap(rule.network.init)(jax.random.split(key_params, lives))
    shape = (lives, learner.update_every + 2 * learner.batch, learner.bound.observation.size)
    acting, now, following = jnp.split(
        jax.random.normal(key_inputs, shape), [learner.update_every, learner.update_every + learner.batch], 1
    )
    values = jax.vmap(jax.vmap(rule.network.apply, (None, 0)))
    loss = lambda phi, x: sum_of(values(phi, x) ** 2) / learner.batch

    def update(_: jax.Array, state: tuple[Params, Params, optax.OptState, jax.Array]) -> tuple:
        phi, target, opt_state, total = state
        for t in range(learner.update_every):
            total += sum_of(values(phi, acting[:, t : t + 1]))
        total += sum_of(jnp.max(values(phi, following), -1)) + sum_of(jnp.max(values(target, following), -1))
        change, opt_state = jax.vmap(rule.optimiser.update)(jax.grad(loss)(phi, now), opt_state)
        return optax.apply_updates(phi, change), phi, opt_state, total  # a target that stayed would be judged once

    run = jax.jit(lambda state: jax.lax.fori_loop(0, updates, update, state))
    state = (params, params, jax.vmap(rule.optimiser.init)(params), jnp.zeros(()))
    return lambda: jax.block_until_ready(run(state))


def sum_of(tree: Params) -> jax.Array:
    """The sum of all entries, so that nothing computed can be left out."""
    return sum((jnp.sum(x) for x in jax.tree.leaves(tree)), jnp.zeros(()))
