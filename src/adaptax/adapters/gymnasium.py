"""Gymnasium, in both directions: anybody's environment with tasks for us, one of our tasks for anybody.

Gymnasium is the optional extra `adaptax[gymnasium]`; it is imported when a function here is called, not before.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from adaptax.config import checked_arguments
from adaptax.core.env import Environment, HostEnvironment, Simulator, TaskSplit
from adaptax.core.types import PRNGKey, Task
from adaptax.errors import ConfigError, FaultyEnvironmentError
from adaptax.fields import Count
from adaptax.ops.spaces import ActionSpace, Box, Discrete, MultiDiscrete, Space

if TYPE_CHECKING:
    import gymnasium

UNBOUNDED = 1e30  # gymnasium writes "no bound" as infinity or as the largest float32
FINAL = ("final_observation", "final_obs")  # of environments that reset themselves: before Gymnasium 1.1, and since
MEMBERS = "Discrete that starts at 0, Box, and for observations MultiDiscrete that starts at 0"


def _gymnasium() -> Any:
    try:
        import gymnasium
    except ImportError as error:
        raise ImportError('this needs Gymnasium: pip install "adaptax[gymnasium]"') from error
    return gymnasium


def from_gymnasium(
    make: Callable[..., Any] | str,
    sample: Callable[[np.random.Generator], Task] | None = None,
    *,
    ood: Callable[[np.random.Generator], Task] | None = None,
    describe: Callable[[Task], Any] | None = None,
    episode_steps: int | None = None,
    episodes: int = 2,
    on_error: str = "fail",
) -> "GymnasiumEnvironment":
    """Any Gymnasium environment, with tasks, as a family that every learner can be trained on.

    Each episode begins with a `reset` of ours. An environment may also reset itself, in the step after an episode's
    end (Gymnasium's `Autoreset`) or in its last step, if `info` then has the last observation as `final_obs`.

    Args:
        make: Makes a new environment of a task; it is called as `make(**task)` where the task is a dict, else as
            `make(task)`, or `make()` without `sample`. A registered name such as "CartPole-v1" will do for `make()`.
        sample: Draws one task, a dict of numbers or of arrays, from a numpy generator; None for a family of one task.
        ood: The same out of distribution, for the split of that name; None where there is no such thing.
        describe: Features of a task for privileged learners; by default its numbers in a row, sorted by name.
        episode_steps: Longest episode, in steps; by default that of Gymnasium's TimeLimit.
        episodes: Episodes in a life.
        on_error: What to do where the environment raises: "fail", or "restart": its episode is truncated there, with
            reward 0, and a new environment takes its place, ten times in a life at most; that is counted and told.

    Returns:
        A host environment: the simulators run in Python, acting and adapting stay compiled.

    Raises:
        ImportError: Gymnasium is not installed.
        TypeError: `make` is no function or makes something else, or a task holds something that is no number.
        ConfigError: a space is not supported, a number is wrong, or no episode limit is known; the message names the
            remedy.

    Example:
        >>> import gymnasium as gym
        >>> def make(gravity):
        ...     env = gym.make("CartPole-v1")
        ...     env.unwrapped.gravity = gravity
        ...     return env
        >>> env = from_gymnasium(make, lambda rng: {"gravity": rng.uniform(5.0, 15.0)})
        >>> env.action_space, env.episode_steps
        (Discrete(n=2), 500)
    """
    gym = _gymnasium()
    episode_steps, episodes, on_error = checked_arguments(
        episode_steps=(episode_steps, Count | None),
        episodes=(episodes, Count),
        on_error=(on_error, Literal["fail", "restart"]),
    )
    if isinstance(make, str):
        registered, make = make, lambda: gym.make(registered)
    if not callable(make):
        raise TypeError(
            f"from_gymnasium needs a function that makes the environment, not {type(make).__name__}: "
            "every task and copy gets one of its own; for example lambda: gymnasium.make('CartPole-v1')"
        )
    maker = _Maker(make, sample is not None)
    draw = _numbers(sample or (lambda rng: {"task": 0.0}))
    example = maker(draw(jax.random.key(0)))
    if not isinstance(example, gym.Env):
        raise TypeError(
            f"what should make a Gymnasium environment makes something else: {type(example).__name__}; "
            "make a single environment: every task and copy gets one of its own"
        )
    limit = episode_steps or _time_limit(example)
    name = example.spec.id.replace("/", "-") if example.spec else type(example.unwrapped).__name__
    spaces = (to_space(example.observation_space), to_action_space(example.action_space))
    example.close()
    if limit is None:
        raise ConfigError(
            "the environment does not say how long an episode may be: wrap it in gymnasium.wrappers.TimeLimit, "
            "or give from_gymnasium(..., episode_steps=200)"
        )
    odd = _numbers(ood) if ood else None
    return GymnasiumEnvironment(maker, draw, odd, describe, spaces, limit, episodes, name, on_error)


def _time_limit(env: "gymnasium.Env") -> int | None:
    """The longest episode, as the registry or a TimeLimit around the environment has it."""
    if env.spec and env.spec.max_episode_steps:
        return env.spec.max_episode_steps
    limit = "_max_episode_steps"  # Gymnasium has no public name for it
    return env.get_wrapper_attr(limit) if env.has_wrapper_attr(limit) else None


class _Maker:
    """Calls the user's function with a task."""

    def __init__(self, make: Callable[..., "gymnasium.Env"], takes_task: bool):
        self.make, self.takes_task = make, takes_task

    def __call__(self, task: Task) -> "gymnasium.Env":
        if not self.takes_task:
            return self.make()
        task = jax.tree.map(lambda x: np.asarray(x).item() if np.ndim(x) == 0 else np.asarray(x), task)
        return self.make(**task) if isinstance(task, dict) else self.make(task)


def _numbers(sample: Callable[[np.random.Generator], Task]) -> Callable[[PRNGKey], Task]:
    """The user's sampler as a function of a key, its tasks checked to be numbers, in the same places in all of them."""
    first: dict[str, tuple[int, ...]] = {}

    def draw(key: PRNGKey) -> Task:
        task = sample(np.random.default_rng(np.asarray(jax.random.key_data(key))))
        leaves = jax.tree_util.tree_leaves_with_path(task)
        if not leaves:
            raise TypeError("a task must hold at least one number; for a single task leave `sample` out")
        for path, leaf in leaves:
            if not (np.issubdtype(np.asarray(leaf).dtype, np.number) or isinstance(leaf, bool | np.bool_)):
                raise TypeError(
                    f"task{jax.tree_util.keystr(path)} is {leaf!r}, and a task holds numbers only: "
                    "draw an index in `sample` and look it up in `make`"
                )
        shapes = {jax.tree_util.keystr(path): np.shape(leaf) for path, leaf in leaves}
        if first and shapes != first:
            one, other = (", ".join(f"task{k} of shape {v}" for k, v in parts.items()) for parts in (first, shapes))
            raise TypeError(f"tasks of a family must have the same parts; one has {one}, another {other}: pad them")
        first.update(shapes)
        return task

    return draw


def to_space(space: Any) -> Space:
    """The space in our words.

    Raises:
        ConfigError: it is none of these.
    """
    spaces = _gymnasium().spaces
    if isinstance(space, spaces.Discrete) and space.start == 0:
        return Discrete(int(space.n))
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1 and not space.start.any():
        return MultiDiscrete(tuple(int(n) for n in space.nvec))
    if isinstance(space, spaces.Box):
        return Box(_bound(space.low), _bound(space.high), tuple(space.shape))
    raise ConfigError(
        f"the space {space} is not supported; supported are {MEMBERS}. "
        "Wrap the environment in `make`: gymnasium.wrappers.FlattenObservation turns any observation into a Box, "
        "gymnasium.wrappers.TransformObservation and TransformAction do the rest"
    )


def _bound(values: np.ndarray) -> float | tuple[float, ...]:
    """One number where all are equal, else one for each entry."""
    flat = [float(v) if abs(v) < UNBOUNDED else float(np.sign(v)) * float("inf") for v in np.ravel(values)]
    return flat[0] if flat and len(set(flat)) == 1 else tuple(flat)


def to_action_space(space: Any) -> ActionSpace:
    """The same for actions. Policies speak vectors; the simulator gives an action its shape back.

    Raises:
        ConfigError: it is neither a Discrete nor a Box.
    """
    ours = to_space(space)
    if isinstance(ours, MultiDiscrete):
        raise ConfigError(
            f"the action space {space} is not supported: policies choose one number, or act in a Box. "
            "Wrap the environment in `make`: gymnasium.wrappers.TransformAction turns one number into several"
        )
    return ours._replace(shape=(ours.size,)) if isinstance(ours, Box) else ours


class GymnasiumSimulator(Simulator):
    """One Gymnasium environment. What it returns is judged where all simulators' answers are: in `adapters.watched`."""

    def __init__(self, env: "gymnasium.Env", observation: Space, action: ActionSpace, limit: int):
        self.env, self.limit, self.steps, self.action = env, limit, 0, action
        found = (to_space(env.observation_space), to_action_space(env.action_space))
        if found != (observation, action):
            raise FaultyEnvironmentError(
                f"all tasks of a family share their spaces: expected {(observation, action)}, this task has {found}"
            )

    def reset(self, seed: np.ndarray) -> Any:
        """A new episode; each is seeded anew, so that a life is the same whenever it is lived."""
        self.steps = 0
        # 31 bits: some simulators take a signed 32-bit seed and no more
        observation, _ = self._parts("reset", 2, self.env.reset(seed=int(seed[0] ^ seed[1]) & 0x7FFFFFFF))
        return observation

    def step(self, action: Any, seed: np.ndarray) -> tuple[Any, Any, Any, Any]:
        """One step; chance inside it comes from the environment's own generator, seeded by `reset`."""
        del seed
        answer = self._parts("step", 5, self.env.step(self._action(action)))
        observation, reward, terminated, truncated, info = answer
        for name in FINAL:  # it has begun another episode by itself, and what was seen last is in here
            observation = info.get(name, observation) if isinstance(info, dict) else observation
        self.steps += 1
        # Gymnasium's time limit also marks an episode that terminates in its last step; here it is one or the other
        out_of_time = self.steps >= self.limit or truncated
        return observation, reward, terminated, out_of_time and not terminated

    def close(self) -> None:
        """Closes the environment."""
        self.env.close()

    def _parts(self, name: str, parts: int, answer: Any) -> tuple:
        if not isinstance(answer, tuple) or len(answer) != parts:
            raise FaultyEnvironmentError(f"{self.env}: {name} must return {parts} values, as Gymnasium has them")
        return answer

    def _action(self, action: Any) -> Any:
        if isinstance(self.action, Discrete):
            return int(action)
        space: Any = self.env.action_space
        action = np.reshape(np.asarray(action), space.shape)
        return np.clip(action, space.low, space.high).astype(space.dtype)


class GymnasiumEnvironment(HostEnvironment):
    """A family of Gymnasium environments; `from_gymnasium` makes it."""

    make: Callable[[Task], Any]
    sample: Callable[[PRNGKey], Task]
    sample_ood: Callable[[PRNGKey], Task] | None
    features: Callable[[Task], Any] | None
    spaces: tuple[Space, ActionSpace]
    limit: int
    number: int
    called: str
    on_error: Any  # not `str`: no setting of the family, so that a run that failed may go on with the other one

    @property
    def observation_space(self) -> Space:
        """Space of one observation."""
        return self.spaces[0]

    @property
    def action_space(self) -> ActionSpace:
        """Space of one action."""
        return self.spaces[1]

    @property
    def episode_steps(self) -> int:
        """Longest episode, in steps."""
        return self.limit

    @property
    def episodes(self) -> int:
        """Episodes in a life."""
        return self.number

    @property
    def tasks(self) -> TaskSplit:
        """Fresh draws of the user's sampler for every split."""
        return TaskSplit.iid(self.sample, self.sample_ood)

    def describe(self, task: Task) -> Float[Array, " F"]:
        """The task's numbers in a row, or what the user's function says."""
        if self.features is not None:
            return jnp.asarray(self.features(task), float).reshape(-1)
        return jnp.asarray(np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(task)]), float)

    def simulator(self, task: Task) -> GymnasiumSimulator:
        """A new environment of that task."""
        return GymnasiumSimulator(self.make(task), *self.spaces, self.limit)


def to_gymnasium(env: Environment, task: Task, seed: int = 0) -> "gymnasium.Env":
    """One task of a compiled environment as a `gymnasium.Env`, for every other library.

    Args:
        env: The family.
        task: One of its tasks, for example `env.tasks.test(jax.random.key(0))`.
        seed: Seed of the episodes before `reset(seed=...)` is called with another.

    Raises:
        ImportError: Gymnasium is not installed.
    """
    gym = _gymnasium()
    reset, step = jax.jit(env.reset), jax.jit(env.step)

    class Compiled(gym.Env):
        """The task, seen through Gymnasium's interface."""

        metadata = {"render_modes": []}  # noqa: RUF012 (Gymnasium's name and type)
        observation_space = _from_space(env.observation_space, seed)
        action_space = _from_space(env.action_space, seed)

        def __init__(self) -> None:
            gym.Env.reset(self, seed=seed)
            self.state, self.key = None, jax.random.key(seed)

        def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict]:
            gym.Env.reset(self, seed=seed)
            key_reset, self.key = jax.random.split(jax.random.key(int(self.np_random.integers(2**31))))
            self.state, observation = reset(task, key_reset)
            return _to_numpy(env.observation_space, observation), {}

        def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
            self.key, key = jax.random.split(self.key)
            action = jnp.asarray(action, env.action_space.none().dtype)
            self.state, observation, reward, terminated, truncated = step(task, self.state, action, key)
            observation = _to_numpy(env.observation_space, observation)
            return observation, float(reward), bool(terminated), bool(truncated), {}

    return Compiled()


def _from_space(space: Space, seed: int) -> "gymnasium.Space":
    spaces = _gymnasium().spaces
    if isinstance(space, Discrete):
        return spaces.Discrete(space.n, seed=seed)
    if isinstance(space, MultiDiscrete):
        return spaces.MultiDiscrete(space.ns, np.int32, seed=seed)
    low, high = (np.asarray(bound).reshape(space.shape) for bound in space.bounds())
    return spaces.Box(low, high, dtype=low.dtype.type, seed=seed)


def _to_numpy(space: Space, observation: Array) -> Any:
    return int(observation) if isinstance(space, Discrete) else np.asarray(observation)
