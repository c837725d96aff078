"""Names of learners and environments: the only way from a word to code."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from adaptax.config import nearest, replaced
from adaptax.core.env import AbstractEnvironment, Environment
from adaptax.core.learner import Learner
from adaptax.envs.bandits import BernoulliBandit, DependentBandit, GaussianBandit, InformativeBandit
from adaptax.envs.cartpole import CartPole
from adaptax.envs.contextual import BarcodeBandit, WheelBandit
from adaptax.envs.dark import DarkKeyDoor, DarkRoom
from adaptax.envs.frozen_lake import FrozenLake
from adaptax.envs.grid import GridNavigation
from adaptax.envs.learned_reward import EmptyRooms, RandomABC
from adaptax.envs.maze import Maze
from adaptax.envs.pendulum import Pendulum
from adaptax.envs.point import PointNavigation, SemicircleNavigation
from adaptax.envs.restless import RestlessBandit
from adaptax.envs.room_navigation import RoomNavigation
from adaptax.envs.tabular import TabularMDP
from adaptax.envs.treasure import MountainTreasure
from adaptax.envs.two_step import TwoStep
from adaptax.errors import ConfigError
from adaptax.learners.dqn import DQN
from adaptax.learners.hyper_dqn import HyperDQN
from adaptax.learners.learned_optimizer import LearnedOptimizer
from adaptax.learners.maml import FOMAML, MAML, MetaSGD
from adaptax.learners.meta_dqn import MetaDQN
from adaptax.learners.metric_dqn import MetricDQN
from adaptax.learners.multi_task import MultiTask, Oracle
from adaptax.learners.q_init import QInit
from adaptax.learners.random import Random
from adaptax.learners.reptile import Reptile
from adaptax.learners.rl2 import RL2
from adaptax.learners.scratch import Scratch
from adaptax.learners.selector import Selector
from adaptax.learners.warm_start import WarmStart

Entry = TypeVar("Entry")

LEARNERS: dict[str, Callable[..., Learner]] = {
    "rl2": RL2,
    "maml": MAML,
    "fomaml": FOMAML,
    "meta-sgd": MetaSGD,
    "reptile": Reptile,
    "scratch": Scratch,
    "dqn": DQN,
    "warm-start": WarmStart,
    "q-init": QInit,
    "meta-dqn": MetaDQN,
    "hyper-dqn": HyperDQN,
    "metric-dqn": MetricDQN,
    "selector": Selector,
    "learned-optimizer": LearnedOptimizer,
    "multi-task": MultiTask,
    "oracle": Oracle,
    "random": Random,
}
ENVIRONMENTS: dict[str, Callable[..., Environment]] = {
    "bernoulli-bandit": BernoulliBandit,
    "gaussian-bandit": GaussianBandit,
    "dependent-bandit": DependentBandit,
    "informative-bandit": InformativeBandit,
    "restless-bandit": RestlessBandit,
    "two-step": TwoStep,
    "tabular-mdp": TabularMDP,
    "grid-navigation": GridNavigation,
    "maze": Maze,
    "dark-room": DarkRoom,
    "dark-key-door": DarkKeyDoor,
    "frozen-lake": FrozenLake,
    "room-navigation": RoomNavigation,
    "point-navigation": PointNavigation,
    "semicircle-navigation": SemicircleNavigation,
    "mountain-treasure": MountainTreasure,
    "cartpole": CartPole,
    "pendulum": Pendulum,
    "empty-rooms": EmptyRooms,
    "random-abc": RandomABC,
    "wheel-bandit": WheelBandit,
    "barcode-bandit": BarcodeBandit,
}


def lookup(table: Mapping[str, Entry], name: str, what: str) -> Entry:
    """The entry of that name.

    Raises:
        ConfigError: there is none; the message names the nearest.
    """
    if name not in table:
        raise ConfigError(f"no {what} is called '{name}'; {nearest(name, table)}")
    return table[name]


def make(name: str, **fields: Any) -> Environment:
    """A built-in environment family.

    Args:
        name: Its name, for example `"grid-navigation"`; `adaptax list` shows all.
        **fields: Its parameters.

    Raises:
        ConfigError: a name or a value is wrong.
    """
    return replaced(lookup(ENVIRONMENTS, name, "environment")(), fields, name)


def make_learner(name: str, **fields: Any) -> Learner:
    """A learner by its name, with some fields changed.

    Raises:
        ConfigError: a name or a value is wrong.
    """
    return replaced(lookup(LEARNERS, name, "learner")(), fields, name)


def name_of(config: Learner | AbstractEnvironment) -> str:
    """The registered name of an instance; where it is not registered, what it is `called` or the name of its class."""
    for table in (LEARNERS, ENVIRONMENTS):
        same = [name for name, entry in table.items() if type(entry()) is type(config)]
        exact = [name for name in same if _variant(table[name]()) == _variant(config)]
        if same:
            return (exact or same)[0]
    return getattr(config, "called", type(config).__name__)


def _variant(config: Any) -> Any:
    """What tells the registered variants of one class from each other."""
    return getattr(config, "variant", None)
