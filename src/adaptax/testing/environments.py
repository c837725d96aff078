"""What every environment must keep to. Each check raises AssertionError with a sentence about the environment."""

import re
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from adaptax.core.env import AbstractEnvironment, Environment, HostEnvironment
from adaptax.core.host import host_draw
from adaptax.core.lifetime import where
from adaptax.core.types import PRNGKey, PRNGKeys, PyTree, Step, Task, Transition
from adaptax.ops.spaces import Discrete, Space
from adaptax.testing.compare import arrays, require, require_finite, require_same

DRAWS = 64  # tasks drawn from each split


def check_environment(env: AbstractEnvironment) -> None:
    """Runs every check that applies; an environment that passes can be given to any learner.

    Args:
        env: A compiled or a host environment.

    Raises:
        AssertionError: the first broken rule, in words.
    """
    check_tasks(env)
    check_descriptors(env)
    if isinstance(env, HostEnvironment):
        check_simulators(env)
    elif isinstance(env, Environment):
        check_types(env)
        check_purity(env)
        check_episodes(env)


def check_tasks(env: AbstractEnvironment) -> None:
    """Samplers depend on their key alone, give tasks of one type, and the splits are what they say they are."""
    keys = jax.random.split(jax.random.key(0), DRAWS)
    draws = {split: _draw(env, split, keys) for split in env.tasks.names}
    for split in draws:
        require_same(draws[split], _draw(env, split, keys), f"two draws from '{split}' with the same keys differ")
        require_finite(draws[split], f"a task of '{split}'")
        kinds = [{path: (x.shape, x.dtype) for path, x in arrays(draws[s]).items()} for s in ("train", split)]
        require(kinds[0] == kinds[1], f"tasks of '{split}' have other shapes or types than tasks of 'train'")
        wrong = env.task_problems(jax.tree.map(lambda x: np.asarray(x[0]), draws[split]))
        require(not wrong, f"a task of '{split}' is wrong by the family's own rules: {'; '.join(wrong)}")
    train, test, validation = (_rows(draws[split]) for split in ("train", "test", "validation"))
    if env.tasks.kind == "disjoint":
        for split, rows in (("test", test), ("validation", validation)):
            both = set(train) & set(rows)
            require(not both, f"the family says 'disjoint', but {len(both)} '{split}' tasks are training tasks too")
    elif len(set(train)) > 1:
        for split, rows in (("test", test), ("validation", validation)):
            require(train != rows, f"'train' and '{split}' draw the very same tasks from the same keys")


def _draw(env: AbstractEnvironment, split: str, keys: PRNGKeys) -> Task:
    if isinstance(env, HostEnvironment):
        return host_draw(env, split, keys)
    return jax.vmap(env.tasks.sampler(split))(keys)


def _rows(tasks: Task) -> list[bytes]:
    """Each task as bytes, to compare exactly."""
    columns = [x.reshape(DRAWS, -1) for x in arrays(tasks).values()]
    return [b"".join(column[i].tobytes() for column in columns) for i in range(DRAWS)]


def check_descriptors(env: AbstractEnvironment) -> None:
    """`describe` gives one finite vector of floats, as long as the spec says, in every split."""
    wanted = env.spec().descriptor
    for split in env.tasks.names:
        found = env.describe(env.tasks.sampler(split)(jax.random.key(1)))
        require(found.ndim == 1, f"describe must return a vector, not an array of shape {found.shape}")
        require(jnp.issubdtype(found.dtype, jnp.floating), f"describe must return floats, not {found.dtype}")
        require(len(found) == wanted, f"describe gives {len(found)} features on '{split}' and {wanted} on 'train'")
        require_finite(found, f"the descriptor of a task of '{split}'")


def check_types(env: Environment) -> None:
    """Shapes and types of `reset`, `step` and `score`, found without running anything."""
    key, task = jax.random.key(0), jax.eval_shape(env.tasks.train, jax.random.key(0))
    state, observation = jax.eval_shape(env.reset, task, key)
    action = jax.eval_shape(lambda: _random_action(env.action_space, jax.random.key(0)))
    stepped = jax.eval_shape(env.step, task, state, action, key)
    after, successor, reward, terminated, truncated = stepped
    _require_like(env.observation_space, observation, "reset")
    _require_like(env.observation_space, successor, "step")
    require(_kinds(state) == _kinds(after), "step returns a state of another structure, shape or type than reset")
    require(
        reward.shape == () and jnp.issubdtype(reward.dtype, jnp.floating),
        f"the reward must be one float, not {reward.dtype}{list(reward.shape)}",
    )
    for name, flag in (("terminated", terminated), ("truncated", truncated)):
        require(flag.shape == () and flag.dtype == bool, f"{name} must be one bool, not {flag.dtype}{list(flag.shape)}")
    moment = Step(observation, action, reward, terminated)
    record = Transition(moment, action, reward, successor, terminated, truncated, ())
    score = jax.eval_shape(lambda task, record: env.score(task, record, "test"), task, record)
    require(score.shape == (), f"the score must be one number, not {score.dtype}{list(score.shape)}")
    require(env.episode_steps >= 1 and env.episodes >= 1, "episode_steps and episodes must be at least 1")


def _kinds(tree: object) -> tuple:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(x.shape, x.dtype) for x in leaves]


def _require_like(space: Space, observation: jax.ShapeDtypeStruct, where_from: str) -> None:
    wanted = jax.eval_shape(space.none)
    require(
        (observation.shape, observation.dtype) == (wanted.shape, wanted.dtype),
        f"{where_from} gives an observation {observation.dtype}{list(observation.shape)}, "
        f"but {space} holds {wanted.dtype}{list(wanted.shape)}",
    )


def check_purity(env: Environment) -> None:
    """Tracing `reset` and `step` a second time gives the same program: nothing outside the arguments is read."""
    key, task = jax.random.key(0), jax.eval_shape(env.tasks.train, jax.random.key(0))

    def episode(task: Task, key: PRNGKey) -> tuple:
        state, _ = env.reset(task, key)
        return env.step(task, state, _random_action(env.action_space, key), key)

    # a fresh lambda each time, for JAX remembers what it traced
    programs = [re.sub("0x[0-9a-f]+", "", str(jax.make_jaxpr(lambda *x: episode(*x))(task, key))) for _ in range(2)]
    require(programs[0] == programs[1], "reset or step reads or changes something that is not among its arguments")


@eqx.filter_jit
def _rollouts(env: Environment, tasks: Task, keys: PRNGKeys) -> tuple[Array, Array, Array, Array]:
    return jax.vmap(partial(_rollout, env))(tasks, keys)


def _rollout(env: Environment, task: Task, key: PRNGKey) -> tuple[Array, Array, Array, Array]:
    """Random actions for one step longer than the longest episode: first and later observations, rewards, ends."""
    key_reset, key_steps = jax.random.split(key)

    def act_and_step(now: PyTree, key: PRNGKey) -> tuple[PyTree, tuple]:
        key_act, key_step, key_reset = jax.random.split(key, 3)
        action = _random_action(env.action_space, key_act)
        state, successor, reward, terminated, truncated = env.step(task, now, action, key_step)
        over = terminated | truncated
        state, observation = where(over, env.reset(task, key_reset), (state, successor))
        return state, (jnp.stack([successor, observation]), reward, over)

    state, first = env.reset(task, key_reset)
    _, (observations, reward, over) = jax.lax.scan(
        act_and_step, state, jax.random.split(key_steps, env.episode_steps + 1)
    )
    return first, observations, reward, over


def check_episodes(env: Environment) -> None:
    """Random episodes end in time, stay finite and inside the spaces, and are the same for the same key."""
    keys = jax.random.split(jax.random.key(2), 4)
    tasks = jax.vmap(env.tasks.train)(keys)
    lived = _rollouts(env, tasks, keys)
    require_same(lived, _rollouts(env, tasks, keys), "the same task, actions and keys gave two different episodes")
    first, observations, reward, over = lived
    require_finite({"observation": (first, observations), "reward": reward}, "an episode under random actions")
    require(
        np.all(np.any(np.asarray(over)[:, : env.episode_steps], axis=1)),
        f"an episode was still going on after episode_steps = {env.episode_steps} steps",
    )
    for observation in (first, observations):
        _require_inside(env.observation_space, np.asarray(observation))


def _require_inside(space: Space, observation: np.ndarray) -> None:
    if isinstance(space, Discrete):
        low, high = np.asarray(0), np.asarray(space.n - 1)
    else:
        low, high = (np.asarray(bound).reshape(space.shape) for bound in space.bounds())
    slack = 1e-5 * np.maximum(1.0, np.abs(np.where(np.isfinite(high), high, 1.0)))  # float32 rounding
    require(
        np.all(observation >= low - slack) and np.all(observation <= high + slack),
        f"an observation lies outside {space}: from {observation.min()} to {observation.max()}",
    )


def _random_action(space: Space, key: PRNGKey) -> Array:
    if isinstance(space, Discrete):
        return jax.random.randint(key, (), 0, space.n, jnp.int32)
    low, high = (bound.reshape(space.shape) for bound in space.bounds())
    low, high = jnp.maximum(low, -1e3), jnp.minimum(high, 1e3)
    return low + (high - low) * jax.random.uniform(key, space.shape)


def check_simulators(env: HostEnvironment) -> None:
    """Two simulators of one task, given the same seeds and actions, live the same episode, and it ends in time."""
    rng = np.random.default_rng(0)
    seed = lambda: rng.integers(0, 2**32, 2, dtype=np.uint32)
    task = env.tasks.train(jax.random.key(3))
    pair = [env.simulator(task) for _ in range(2)]
    start = seed()
    observations = [sim.reset(start) for sim in pair]
    for time in range(1, env.episode_steps + 1):
        action = np.asarray(_random_action(env.action_space, jax.random.key(time)))
        number = seed()
        outcomes = [sim.step(action, number) for sim in pair]
        one, other = ((observation, *outcome) for observation, outcome in zip(observations, outcomes, strict=True))
        require_same(one, other, "two simulators with the same task, seeds and actions live different episodes")
        observations = [outcome[0] for outcome in outcomes]
        _require_host(env, observations[0], outcomes[0])
        if outcomes[0][2] or outcomes[0][3]:
            break
    else:
        require(False, f"an episode was still going on after episode_steps = {env.episode_steps} steps")
    for sim in pair:
        sim.close()


def _require_host(env: HostEnvironment, observation: np.ndarray, outcome: tuple) -> None:
    wanted = env.observation_space.none().shape
    require(np.shape(observation) == wanted, f"an observation has shape {np.shape(observation)}, not {wanted}")
    require(np.all(np.isfinite(observation)) and np.isfinite(outcome[1]), "an observation or reward is not finite")
    _require_inside(env.observation_space, np.asarray(observation))
    require(
        all(isinstance(flag, bool | np.bool_) for flag in outcome[2:]), "terminated and truncated must be True or False"
    )
