"""RL2 and MAML written by hand, without the library: batched arrays, plain functions, no contract.

The same mathematics, shapes and optimiser as `RL2` and `MAML`, and as many random numbers for actions, rewards, tasks
and shuffling. What the library takes longer for the same work is the price of its contract.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

Tree = Any
Step = Callable[[Tree, Array], tuple[Tree, dict[str, Array]]]
UPDATES = 40_000  # of the optimiser, until the step size is 0

ARMS, PULLS, HIDDEN, EPOCHS = 5, 10, 64, 4
GAMMA, LAMBDA, CLIP, ENTROPY, VALUE_WEIGHT = 0.99, 0.3, 0.2, 0.01, 0.5

TASKS, COPIES, STEPS, INNER_LR, SIZE, SPEED = 40, 20, 100, 0.5, 0.5, 0.1


def runner(state: Tree, step: Step, meta_steps: int) -> Callable[[], dict]:
    """A function that makes `meta_steps` more steps in one compiled program, waits, and returns mean metrics."""

    @partial(jax.jit, donate_argnums=0)
    def chunk(state: Tree, key: Array) -> tuple[Tree, dict]:
        def body(state: Tree, key: Array) -> tuple[Tree, dict]:
            return step(state, key)

        state, metrics = jax.lax.scan(body, state, jax.random.split(key, meta_steps))
        return state, jax.tree.map(jnp.mean, metrics)

    now = [state, 0]

    def run() -> dict:
        now[1] += 1
        now[0], metrics = chunk(now[0], jax.random.key(now[1]))
        return jax.block_until_ready(metrics)

    return run


def adam(rate: float) -> optax.GradientTransformation:
    return optax.chain(optax.clip_by_global_norm(0.5), optax.adam(optax.linear_schedule(rate, 0.0, UPDATES), eps=1e-5))


def apply_gradient(optimiser: optax.GradientTransformation, gradient: Tree, params: Tree, opt: Tree) -> tuple:
    with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an int32 power
        change, opt = optimiser.update(gradient, opt)
    return optax.apply_updates(params, change), opt


def layer(key: Array, inputs: int, outputs: int, gain: float) -> tuple[Array, Array]:
    return jax.nn.initializers.orthogonal(gain)(key, (inputs, outputs), jnp.float32), jnp.zeros((1, outputs))


def normalise(x: Array) -> Array:
    return (x - x.mean()) / jnp.sqrt(x.var() + 1e-8)


# --- RL2 on bandits: arrays are [pulls, tasks, ...] -------------------------------------------------------------------


def rl2(tasks: int, minibatches: int) -> tuple[Tree, Step]:
    """First state, and one meta-step, of RL2."""
    optimiser = adam(3e-3)
    keys = jax.random.split(jax.random.key(0), 6)
    recurrent = [jax.nn.initializers.orthogonal(1.0)(k, (HIDDEN, HIDDEN), jnp.float32) for k in keys[:3]]
    params = {
        "in": layer(keys[3], 1 + ARMS + 2, 3 * HIDDEN, 1.0),
        "recurrent": jnp.concatenate(recurrent, 1),
        "bias": jnp.zeros((1, HIDDEN)),
        "policy": layer(keys[4], HIDDEN, ARMS, 0.01),
        "value": layer(keys[5], HIDDEN, 1, 1.0),
    }

    def meta_step(state: tuple, key: Array) -> tuple[tuple, dict]:
        params, opt = state
        key_live, key_learn = jax.random.split(key)
        inputs, action, reward, log_prob, value = live(params, key_live, tasks)
        advantage = backwards(reward + GAMMA * jnp.concatenate([value[1:], jnp.zeros((1, tasks))]) - value)
        batch = (inputs, action, log_prob, normalise(advantage), advantage + value)

        def learn(state: tuple, rows: Array) -> tuple[tuple, dict]:
            part = jax.tree.map(lambda x: x[:, rows], batch)
            gradient, metrics = jax.grad(ppo_loss, has_aux=True)(state[0], *part)
            return apply_gradient(optimiser, gradient, *state), metrics

        orders = jax.vmap(lambda k: jax.random.permutation(k, tasks))(jax.random.split(key_learn, EPOCHS))
        state, metrics = jax.lax.scan(learn, (params, opt), orders.reshape(EPOCHS * minibatches, -1))
        return state, jax.tree.map(jnp.mean, metrics) | {"life_return": reward.sum(0).mean()}

    return (params, optimiser.init(params)), meta_step


def gru(params: Tree, h: Array, x: Array) -> Array:
    """New state from the old one and the input's part of the gates; batched."""
    s = h @ params["recurrent"]
    gates = jax.nn.sigmoid(x[:, : 2 * HIDDEN] + s[:, : 2 * HIDDEN])
    reset, keep = gates[:, :HIDDEN], gates[:, HIDDEN:]
    new = jnp.tanh(x[:, 2 * HIDDEN :] + reset * (s[:, 2 * HIDDEN :] + params["bias"]))
    return new + keep * (h - new)


def affine(weights: tuple[Array, Array], x: Array) -> Array:
    return x @ weights[0] + jnp.squeeze(weights[1], 0)[(None,) * (x.ndim - 1)]


def log_prob_of(logits: Array, action: Array) -> Array:
    return jnp.sum(jax.nn.log_softmax(logits) * jax.nn.one_hot(action, ARMS), -1)


def live(params: Tree, key: Array, tasks: int) -> tuple[Array, ...]:
    """Lives of ten pulls, recorded."""
    key_task, key_act, key_pay = jax.random.split(key, 3)
    chance = jax.random.uniform(key_task, (tasks, ARMS))
    draws = jax.random.uniform(key_act, (PULLS, tasks)), jax.random.uniform(key_pay, (PULLS, tasks))

    def pull(now: tuple, draw: tuple) -> tuple[tuple, tuple]:
        h, last, paid = now
        nothing, first = jnp.zeros((tasks, 1)), jnp.ones((tasks, 1))
        inputs = jnp.concatenate([nothing, jax.nn.one_hot(last, ARMS), paid[:, None], first], 1)
        h = gru(params, h, affine(params["in"], inputs))
        logits, value = affine(params["policy"], h), affine(params["value"], h)[:, 0]
        up_to = jnp.cumsum(jax.nn.softmax(logits), 1)
        action = jnp.sum(up_to[:, :-1] <= draw[0][:, None] * up_to[:, -1:], 1, dtype=jnp.int32)
        paid = (draw[1] < jnp.take_along_axis(chance, action[:, None], 1)[:, 0]).astype(jnp.float32)
        return (h, action, paid), (inputs, action, paid, log_prob_of(logits, action), value)

    start = (jnp.zeros((tasks, HIDDEN)), jnp.full(tasks, -1, jnp.int32), jnp.zeros(tasks))
    return jax.lax.scan(pull, start, draws)[1]


def backwards(delta: Array) -> Array:
    """Generalised advantages from temporal differences, in a life that never stops before its end."""

    def back(following: Array, now: Array) -> tuple[Array, Array]:
        value = now + GAMMA * LAMBDA * following
        return value, value

    return jax.lax.scan(back, jnp.zeros_like(delta[0]), delta, reverse=True)[1]


def ppo_loss(params: Tree, inputs: Array, action: Array, old: Array, advantage: Array, target: Array) -> tuple:
    def forward(h: Array, x: Array) -> tuple[Array, Array]:
        h = gru(params, h, affine(params["in"], x))
        return h, h

    start = jnp.zeros((inputs.shape[1], HIDDEN))
    outputs = jax.lax.scan(forward, start, inputs, unroll=True)[1]
    logits, value = affine(params["policy"], outputs), affine(params["value"], outputs)[..., 0]
    ratio = jnp.exp(log_prob_of(logits, action) - old)
    gain = jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - CLIP, 1 + CLIP) * advantage).mean()
    log_p = jax.nn.log_softmax(logits)
    entropy = -jnp.sum(jnp.exp(log_p) * log_p, -1).mean()
    error = jnp.mean((value - target) ** 2)
    return -gain - ENTROPY * entropy + VALUE_WEIGHT * error, {"entropy": entropy, "value_error": error}


# --- MAML on point navigation: arrays are [tasks, steps, copies, ...] -------------------------------------------------


def maml() -> tuple[Tree, Step]:
    """First state, and one meta-step, of second-order MAML with one inner step."""
    optimiser = adam(3e-3)
    keys = jax.random.split(jax.random.key(0), 3)
    sizes, gains = (2, HIDDEN, HIDDEN, 2), (2.0**0.5, 2.0**0.5, 0.01)
    layers = [layer(k, n, m, g) for k, n, m, g in zip(keys, sizes, sizes[1:], gains, strict=False)]
    params = {"layers": layers, "log_std": jnp.zeros(2)}

    def meta_step(state: tuple, key: Array) -> tuple[tuple, dict]:
        params, opt = state
        key_goal, *key_phase = jax.random.split(key, 3)
        goals = jax.random.uniform(key_goal, (TASKS, 2), minval=-SIZE, maxval=SIZE)
        noise = [jax.random.normal(k, (TASKS, STEPS, COPIES, 2)) for k in key_phase]
        before = jax.vmap(walk, (None, 0, 0))(params, goals, noise[0])
        before["advantage"] = jax.vmap(normalise)(before["advantage"])
        adapted = jax.vmap(inner_step, (None, 0))(params, before)
        after = jax.vmap(walk)(adapted, goals, noise[1])
        after["advantage"] = normalise(after["advantage"] - after["advantage"].mean((1, 2), keepdims=True))

        def outer(params: Tree, before: dict, after: dict) -> Array:
            return surrogate(inner_step(params, before), after)

        # one task after the other: what one task needs stays in the cache
        each = jax.lax.map(lambda data: jax.value_and_grad(outer)(params, *data), (before, after))
        loss, gradient = jax.tree.map(lambda x: x.mean(0), each)
        state = apply_gradient(optimiser, gradient, params, opt)
        returns = [first_returns(phase).mean() for phase in (before, after)]
        return state, {"loss": loss, "return_first_phase": returns[0], "return_last_phase": returns[1]}

    return (params, optimiser.init(params)), meta_step


def mean_action(params: Tree, position: Array) -> Array:
    x = position
    for weights in params["layers"][:-1]:
        x = jnp.tanh(affine(weights, x))
    return SPEED * affine(params["layers"][-1], x)


def log_density(params: Tree, position: Array, action: Array) -> Array:
    log_std = (jnp.log(SPEED) + params["log_std"])[(None,) * (action.ndim - 1)]
    z = (action - mean_action(params, position)) * jnp.exp(-log_std)
    return -jnp.sum(0.5 * z**2 + log_std + 0.5 * jnp.log(2 * jnp.pi), -1)


def walk(params: Tree, goal: Array, noise: Array) -> dict[str, Array]:
    """One task's phase: all copies step together; who arrives starts anew."""
    std = jnp.exp(jnp.log(SPEED) + params["log_std"])[None]

    def step(now: tuple, noise: Array) -> tuple[tuple, dict]:
        position, time, first = now
        action = mean_action(params, position) + std * noise
        successor = position + jnp.clip(action, -SPEED, SPEED)
        away = successor - goal[None]
        over = jnp.all(jnp.abs(away) < 0.01, 1) | (time + 1 >= STEPS)
        record = {"position": position, "action": action, "first": first, "over": over}
        record |= {"reward": -jnp.linalg.norm(away, axis=1), "old": log_density(params, position, action)}
        return (jnp.where(over[:, None], 0.0, successor), jnp.where(over, 0, time + 1), over), record

    start = (jnp.zeros((COPIES, 2)), jnp.zeros(COPIES, jnp.int32), jnp.ones(COPIES, bool))
    data = jax.lax.scan(step, start, noise)[1]
    return data | {"advantage": advantages(data)}


def advantages(data: dict[str, Array]) -> Array:
    """Returns less a linear baseline (lambda is 1)."""

    def back(following: Array, now: tuple) -> tuple[Array, Array]:
        value = now[0] + now[1] * following
        return value, value

    goes_on = GAMMA * (1.0 - data["over"].astype(jnp.float32))
    target = jax.lax.scan(back, jnp.zeros(COPIES), (data["reward"], goes_on), reverse=True)[1]
    now = jnp.broadcast_to(jnp.arange(STEPS, dtype=jnp.float32)[:, None] / STEPS, (STEPS, COPIES))
    clock = now - jax.lax.cummax(jnp.where(data["first"], now, 0.0))
    times = jnp.stack([jnp.ones_like(now), now, now**2, clock, clock**2, clock**3], -1)
    x = jnp.concatenate([data["position"], data["position"] ** 2, times], -1).reshape(STEPS * COPIES, -1)
    gram = x.T @ x + 1e-3 * x.shape[0] * jnp.eye(x.shape[1])
    value = x @ jax.scipy.linalg.solve(gram, x.T @ target.reshape(-1), assume_a="pos")
    value = value.reshape(STEPS, COPIES)
    delta = data["reward"] + goes_on * jnp.concatenate([value[1:], jnp.zeros((1, COPIES))]) - value
    return jax.lax.scan(back, jnp.zeros(COPIES), (delta, goes_on), reverse=True)[1]


def first_returns(data: dict[str, Array]) -> Array:
    """Return of the first episode of each copy."""
    over = data["over"].astype(jnp.int32)
    return jnp.sum(jnp.where(jnp.cumsum(over, 1) == over, data["reward"], 0.0), 1)


def surrogate(params: Tree, data: dict[str, Array]) -> Array:
    ratio = jnp.exp(log_density(params, data["position"], data["action"]) - data["old"])
    return -jnp.mean(ratio * data["advantage"])


def inner_step(params: Tree, data: dict[str, Array]) -> Tree:
    return jax.tree.map(lambda p, g: p - INNER_LR * g, params, jax.grad(surrogate)(params, data))
