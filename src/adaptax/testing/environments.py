"""What every environment must keep to. Each check raises `Broken`: a sentence about the environment, and a remedy."""

import re
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from adaptax.adapters.watched import Judge, Unfit
from adaptax.core.env import AbstractEnvironment, Environment, HostEnvironment, TaskSplit
from adaptax.core.host import host_draw
from adaptax.core.lifetime import where
from adaptax.core.types import PRNGKey, PRNGKeys, PyTree, Step, Task, Transition
from adaptax.ops.spaces import ActionSpace, Box, Discrete, MultiDiscrete, Space
from adaptax.testing.compare import Broken, arrays, differences, require, require_finite, require_same
from adaptax.testing.explain import explained

DRAWS = 64  # tasks drawn from each split
DISJOINT_DRAWS = 1_000  # the same where splits are disjoint: enough to meet one task of 100,000 in two splits
MAX_STEPS = 100_000  # of an episode that is lived; longer ones are not awaited

Check = Callable[[Any], None]


def check_environment(env: AbstractEnvironment) -> None:
    """Runs every check that applies; an environment that passes can be given to any learner.

    Args:
        env: A compiled or a host environment.

    Raises:
        Broken: the first broken rule, in words, with a remedy; it is an AssertionError.
    """
    for broken in broken_rules(env):
        raise broken


def broken_rules(env: AbstractEnvironment) -> list[Broken]:
    """Everything that is wrong with an environment; what its code raises is among it, in words.

    Episodes are lived only where single steps are right: what is wrong with these would only be told once more.
    """
    if found := broken_among(SPACE_CHECKS, env):
        return found
    found = broken_among(TASK_CHECKS, env)
    if isinstance(env, HostEnvironment):
        found += broken_among(HOST_CHECKS, env)
    elif isinstance(env, Environment):
        steps = broken_among(STEP_CHECKS, env)
        found += steps or broken_among(EPISODE_CHECKS, env)
    return list({str(broken): broken for broken in found}.values())  # a sampler that fails does so for many checks


def broken_among(checks: Iterable[Check], env: AbstractEnvironment) -> list[Broken]:
    """Which of these rules the environment breaks."""
    found = []
    for check in checks:
        try:
            check(env)
        except Broken as broken:
            found.append(broken)
        except Exception as error:  # whatever the user's code may raise
            broken = Broken(*explained(error))
            broken.__cause__ = error
            found.append(broken)
    return found


def check_spaces(env: AbstractEnvironment) -> None:
    """The spaces and the splits are ours, and a life has an end."""
    for name in ("observation_space", "action_space"):
        space = getattr(env, name)
        require(
            isinstance(space, Space if name == "observation_space" else ActionSpace),
            f"{name} is a {type(space).__name__}, not a Discrete or a Box of adaptax.ops.spaces",
            "return Discrete(n) for the numbers 0 .. n - 1, Box(low, high, shape) for real ones; observations may also "
            "be MultiDiscrete((n, m)), several such numbers",
        )
        if isinstance(space, Box):
            space.bounds()
    require(
        isinstance(env.tasks, TaskSplit),
        f"tasks is a {type(env.tasks).__name__}, not a TaskSplit",
        "return TaskSplit.iid(sample, None), where sample(key) draws one task",
    )
    for name in ("episode_steps", "episodes"):
        number = getattr(env, name)
        require(
            isinstance(number, int) and number >= 1,
            f"{name} is {number!r}, not a whole number of at least 1",
            "a life must have an end: say how many steps an episode may last, and how many episodes a life",
        )


def check_samplers(env: AbstractEnvironment) -> None:
    """The same key gives the same task."""
    for split in env.tasks.names:
        require_same(
            _draw(env, split),
            _draw(env, split),
            f"two draws from '{split}' with the same keys differ",
            remedy="draw tasks with jax.random from the key alone, not with numpy, Python's random or a clock",
        )


def check_tasks(env: AbstractEnvironment) -> None:
    """Tasks are finite, right by the family's own rules, and of the same shapes and types in all splits."""
    train = _kinds(_draw(env, "train"))
    for split in env.tasks.names:
        drawn = _draw(env, split)
        require_finite(drawn, f"a task of '{split}'", "mind divisions by zero, logarithms, and roots in the sampler")
        other = _unlike(train, _kinds(drawn), "'train'", f"'{split}'")
        require(
            not other,
            f"tasks of '{split}' have other shapes or types than tasks of 'train': {other}",
            "pad tasks to one shape, and give their numbers one type in all splits",
        )
        wrong = env.task_problems(jax.tree.map(lambda x: np.asarray(x[0]), drawn))
        require(
            not wrong,
            f"a task of '{split}' is wrong by the family's own rules: {'; '.join(wrong)}",
            "mend the sampler, or task_problems",
        )


def check_splits(env: AbstractEnvironment) -> None:
    """Disjoint splits share no task; others draw from streams of their own."""
    disjoint = env.tasks.kind == "disjoint"
    count = DISJOINT_DRAWS if disjoint and isinstance(env, Environment) else DRAWS
    rows = {split: _rows(_draw(env, split, count)) for split in ("train", "test", "validation")}
    train = rows.pop("train")
    both = {split: len(set(train) & set(found)) for split, found in rows.items()}
    shared = " and ".join(f"{number} '{split}' tasks" for split, number in both.items() if number)
    require(
        not (disjoint and shared),
        f"the family says 'disjoint', but {shared} of {count} are training tasks too",
        "give each split a part of the tasks (number them and divide the numbers, or draw again until a hash of "
        "the task falls into the split's part), or say kind='iid' where a test task may be a training task",
    )
    same = " and ".join(f"'{split}'" for split, found in rows.items() if found == train)
    require(
        disjoint or not same or len(set(train)) == 1,
        f"'train' and {same} draw the very same tasks from the same keys",
        "give each split a stream of its own: TaskSplit.iid(sample, ood) does",
    )


def _draw(env: AbstractEnvironment, split: str, count: int = DRAWS) -> Task:
    keys = jax.random.split(jax.random.key(0), count)
    try:
        if isinstance(env, HostEnvironment):
            return host_draw(env, split, keys)
        return jax.vmap(env.tasks.sampler(split))(keys)
    except Exception as error:
        raise Broken(*explained(error, f"the sampler of '{split}'")) from error


def _rows(tasks: Task) -> list[bytes]:
    """Each task as bytes, to compare exactly."""
    columns = [x.reshape(len(x), -1) for x in arrays(tasks).values()]
    return [b"".join(entries.tobytes() for entries in row) for row in zip(*columns, strict=True)]


def check_descriptors(env: AbstractEnvironment) -> None:
    """`describe` gives one finite vector of floats, as long as the spec says, in every split."""
    if isinstance(env, Environment):
        _traced(env, "describe", _shape_of_task(env))
    lengths = {}
    for split in env.tasks.names:
        found = env.describe(jax.tree.map(lambda x: x[0], _draw(env, split)))
        require(
            np.ndim(found) == 1,
            f"describe must return a vector, not {'one number' if np.ndim(found) == 0 else f'shape {np.shape(found)}'}",
            "join all features with jnp.concatenate, or x[None] for a single one",
        )
        require(
            hasattr(found, "dtype") and jnp.issubdtype(found.dtype, jnp.floating),
            f"describe must return floats, not {getattr(found, 'dtype', type(found).__name__)}",
            "end with .astype(float)",
        )
        lengths[split] = len(found)
        require_finite(found, f"the descriptor of a task of '{split}'", "mind divisions by zero and logarithms")
    told = [f"{length} features on '{split}'" for split, length in lengths.items()]
    require(
        len({*lengths.values()}) == 1,
        f"describe gives {', '.join(told)}",
        "describe every task by the same features",
    )


def check_observations(env: Environment) -> None:
    """`reset` and `step` give observations of the declared type and shape."""
    _, first, stepped = _shapes(env)
    for method, observation in (("reset", first), ("step", stepped[1])):
        wanted = jax.eval_shape(env.observation_space.none)
        require(
            _kind(observation) == _kind(wanted),
            f"{method} gives an observation {_kind(observation)}, but {env.observation_space} holds {_kind(wanted)}",
            f"convert it, .astype(jnp.{wanted.dtype}), and give it shape {wanted.shape}; or declare another space",
        )


def check_state(env: Environment) -> None:
    """`step` returns a state of the same structure, shapes and types as `reset`."""
    before, _, stepped = _shapes(env)
    other = _unlike(_kinds(before), _kinds(stepped[0]), "from reset", "from step")
    require(
        not other and jax.tree.structure(before) == jax.tree.structure(stepped[0]),
        f"step returns a state of another structure, shape or type than reset: {other}".removesuffix(": "),
        "a state keeps its types (1 + an integer, not 1.0 +; .astype(x.dtype) where one drifts) and its entries",
    )


def check_outcomes(env: Environment) -> None:
    """The reward is one float, and an episode ends by two bools."""
    _, _, (_, _, reward, terminated, truncated) = _shapes(env)
    require(
        reward.shape == () and jnp.issubdtype(reward.dtype, jnp.floating),
        f"the reward must be one float, not {_kind(reward)}",
        "end with .astype(float), and index or sum what has entries",
    )
    for name, flag in (("terminated", terminated), ("truncated", truncated)):
        require(
            flag.shape == () and flag.dtype == bool,
            f"{name} must be one bool, not {_kind(flag)}",
            "return a comparison, or jnp.array(False)",
        )


def check_score(env: Environment) -> None:
    """The score of a step is one number."""
    action = jax.eval_shape(lambda: _random_action(env.action_space, jax.random.key(0)))
    _, observation, (_, successor, reward, terminated, truncated) = _shapes(env)
    moment = Step(observation, action, reward, terminated)
    record = Transition(moment, action, reward, successor, terminated, truncated, ())
    score = _traced(env, "score", _shape_of_task(env), record, split="test")
    require(score.shape == (), f"the score must be one number, not {_kind(score)}", "return transition.reward, say")


def check_purity(env: Environment) -> None:
    """Tracing a method a second time gives the same program: nothing outside the arguments is read or changed."""
    task, key, (state, _, _) = _shape_of_task(env), jax.random.key(0), _shapes(env)
    act = lambda task, state, key: env.step(task, state, _random_action(env.action_space, key), key)
    for name, method, arguments in (
        ("reset", env.reset, (task, key)),
        ("step", act, (task, state, key)),
        ("describe", env.describe, (task,)),
    ):
        # a fresh lambda each time, for JAX remembers what it traced
        one, other = (jax.make_jaxpr(lambda *x: method(*x))(*arguments) for _ in range(2))  # noqa: B023 (used at once)
        if any(isinstance(const, Tracer) for const in (*one.consts, *other.consts)):
            raise Broken(*explained(jax.errors.UnexpectedTracerError("kept"), name))
        same = len({re.sub("0x[0-9a-f]+", "", str(program)) for program in (one, other)}) == 1
        require(
            same and not differences(one.consts, other.consts),
            f"{name} reads or changes something that is not among its arguments",
            "draw random numbers with jax.random from the key (numpy's are drawn once and compiled in), "
            "return what must last as a part of the state, and keep what differs between tasks in the task",
        )


def _shape_of_task(env: Environment) -> Task:
    try:
        return jax.eval_shape(env.tasks.train, jax.random.key(0))
    except Exception as error:
        raise Broken(*explained(error, "the sampler of 'train'")) from error


def _shapes(env: Environment) -> tuple[PyTree, Any, tuple]:
    """State, observation and all that a step returns, found without running anything."""
    task, key = _shape_of_task(env), jax.random.key(0)
    state, observation = _traced(env, "reset", task, key)
    action = jax.eval_shape(lambda: _random_action(env.action_space, jax.random.key(0)))
    stepped = _traced(env, "step", task, state, action, key)
    require(
        isinstance(stepped, tuple) and len(stepped) == 5,
        "step does not return five values",
        "return state, observation, reward, terminated, truncated",
    )
    return state, observation, stepped


def _traced(env: Environment, method: str, *arguments: Any, **fixed: Any) -> Any:
    """The shapes that a method returns.

    Raises:
        Broken: it fails; said is what that means.
    """
    try:
        return jax.eval_shape(partial(getattr(env, method), **fixed), *arguments)
    except Exception as error:  # whatever the user's code may raise
        raise Broken(*explained(error, method)) from error


def _kind(x: Any) -> str:
    return f"{x.dtype}{list(x.shape)}"


def _kinds(tree: PyTree) -> dict[str, str]:
    """Type and shape of every leaf by its path."""
    return {jax.tree_util.keystr(path): _kind(x) for path, x in jax.tree_util.tree_leaves_with_path(tree)}


def _unlike(ones: dict[str, str], others: dict[str, str], one: str, other: str) -> str:
    """Where two trees are of different types, in words."""
    kinds = [(path or "it", ones.get(path, "not there"), others.get(path, "not there")) for path in {**ones, **others}]
    return ", ".join(f"{path} is {x} {one} and {y} {other}" for path, x, y in kinds if x != y)


class Episodes(NamedTuple):
    """What random actions meet: leading axis tasks, then steps."""

    first: Array
    observation: Array
    reward: Array
    over: Array


@eqx.filter_jit
def _rollouts(env: Environment, keys: PRNGKeys, steps: int) -> Episodes:
    return jax.vmap(partial(_rollout, env, steps))(jax.vmap(env.tasks.train)(keys), keys)


def _rollout(env: Environment, steps: int, task: Task, key: PRNGKey) -> Episodes:
    key_reset, key_steps = jax.random.split(key)

    def act_and_step(now: PyTree, key: PRNGKey) -> tuple[PyTree, tuple]:
        key_act, key_step, key_reset = jax.random.split(key, 3)
        action = _random_action(env.action_space, key_act)
        state, successor, reward, terminated, truncated = env.step(task, now, action, key_step)
        over = terminated | truncated
        state, observation = where(over, env.reset(task, key_reset), (state, successor))
        return state, (jnp.stack([successor, observation]), reward, over)

    state, first = env.reset(task, key_reset)
    _, (observations, reward, over) = jax.lax.scan(act_and_step, state, jax.random.split(key_steps, steps))
    return Episodes(first, observations, reward, over)


def _lived(env: Environment) -> Episodes:
    """Four tasks under random actions, for one step longer than the longest episode."""
    return _rollouts(env, jax.random.split(jax.random.key(2), 4), min(env.episode_steps, MAX_STEPS) + 1)


def check_repeats(env: Environment) -> None:
    """The same task, actions and keys give the same episode."""
    require_same(
        _lived(env),
        _lived(env),
        "the same task, actions and keys gave two different episodes",
        remedy="call nothing that keeps a state of its own, as callbacks to Python may",
    )


def check_finite_episodes(env: Environment) -> None:
    """Observations and rewards stay finite under random actions."""
    lived = _lived(env)
    numbers = {"observation": (lived.first, lived.observation), "reward": lived.reward}
    remedy = "mind divisions by zero, roots and logarithms, and clip what may grow without end"
    require_finite(numbers, "an episode under random actions", remedy)


def check_ends(env: Environment) -> None:
    """Every episode ends in time."""
    over = np.asarray(_lived(env).over)[:, : env.episode_steps]
    require(
        np.all(np.any(over, axis=1)) or env.episode_steps > MAX_STEPS,
        f"an episode was still going on after episode_steps = {env.episode_steps} steps",
        "count steps in the state, and return truncated = time >= self.episode_steps",
    )


def check_inside(env: Environment) -> None:
    """Observations lie in their space."""
    lived = _lived(env)
    for observation in (lived.first, lived.observation):
        _require_inside(env.observation_space, np.asarray(observation))


def _require_inside(space: Space, observation: np.ndarray) -> None:
    if isinstance(space, Discrete):
        low, high = np.asarray(0), np.asarray(space.n - 1)
    elif isinstance(space, MultiDiscrete):
        low, high = np.asarray(0), np.asarray(space.ns) - 1
    else:
        low, high = (np.asarray(bound).reshape(space.shape) for bound in space.bounds())
    slack = 1e-5 * np.maximum(1.0, np.abs(np.where(np.isfinite(high), high, 1.0)))  # float32 rounding
    require(
        np.all(observation >= low - slack) and np.all(observation <= high + slack),
        f"an observation lies outside {space}: from {observation.min()} to {observation.max()}",
        "declare the space that it really has, or clip what leaves it",
    )


def _random_action(space: ActionSpace, key: PRNGKey) -> Array:
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
    pair, judge = [env.simulator(task) for _ in range(2)], Judge(env.observation_space)
    start = seed()
    observations = [sim.reset(start) for sim in pair]
    _require_fit(judge.observation, observations[0])
    for moment in range(1, env.episode_steps + 1):
        action = np.asarray(_random_action(env.action_space, jax.random.key(moment)))
        number = seed()
        outcomes = [sim.step(action, number) for sim in pair]
        _require_fit(judge.outcome, outcomes[0])
        one, other = ((observation, *outcome) for observation, outcome in zip(observations, outcomes, strict=True))
        require_same(
            one,
            other,
            "two simulators with the same task, seeds and actions live different episodes",
            remedy="draw all random numbers from the seeds that reset and step are given, and share nothing",
        )
        observations = [outcome[0] for outcome in outcomes]
        _require_inside(env.observation_space, np.asarray(observations[0]))
        if outcomes[0][2] or outcomes[0][3]:
            break
    else:
        require(
            False,
            f"an episode was still going on after episode_steps = {env.episode_steps} steps",
            "end it in time, or declare a longer episode_steps",
        )
    for sim in pair:
        sim.close()


def _require_fit(judge: Callable[[Any], Any], answer: Any) -> None:
    try:
        judge(answer)
    except Unfit as unfit:
        raise Broken(unfit.problem, unfit.remedy) from None


def steps_per_second(env: Environment | HostEnvironment, copies: int = 1024, steps: int = 100) -> float:
    """Environment steps a second under random actions: of so many compiled copies at once, or of one simulator."""
    if isinstance(env, HostEnvironment):
        return _simulated_per_second(env, steps)
    run = eqx.filter_jit(lambda keys: jnp.sum(_rollouts(env, keys, steps)[2]))  # observations are not kept
    keys = jax.random.split(jax.random.key(0), copies)
    jax.block_until_ready(run(keys))  # compiles
    begun = time.perf_counter()
    jax.block_until_ready(run(keys))
    return copies * steps / (time.perf_counter() - begun)


def _simulated_per_second(env: HostEnvironment, steps: int) -> float:
    simulator, seed = env.simulator(env.tasks.train(jax.random.key(0))), np.zeros(2, np.uint32)
    actions = [np.asarray(_random_action(env.action_space, key)) for key in jax.random.split(jax.random.key(1), steps)]
    over, begun = True, time.perf_counter()
    for action in actions:
        if over:
            simulator.reset(seed)
        _, _, terminated, truncated = simulator.step(action, seed)
        over = terminated or truncated
    taken = time.perf_counter() - begun
    simulator.close()
    return steps / taken


SPACE_CHECKS: tuple[Check, ...] = (check_spaces,)
TASK_CHECKS: tuple[Check, ...] = (check_samplers, check_tasks, check_splits, check_descriptors)
STEP_CHECKS: tuple[Check, ...] = (check_observations, check_state, check_outcomes, check_score, check_purity)
EPISODE_CHECKS: tuple[Check, ...] = (check_repeats, check_finite_episodes, check_ends, check_inside)
HOST_CHECKS: tuple[Check, ...] = (check_simulators,)
