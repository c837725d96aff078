"""Deep meta-reinforcement learning in JAX: every method one contract, every result one honest evaluator."""

from adaptax.adapters.gymnasium import from_gymnasium, to_gymnasium
from adaptax.core.env import Environment, HostEnvironment, Simulator, TaskSplit
from adaptax.core.learner import Learner
from adaptax.deploy import Adaptation, Agent, adapt, load
from adaptax.evaluation import Evaluation, evaluate
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
from adaptax.lives import Lives, record
from adaptax.nn.net import PureNet, pure
from adaptax.nn.recurrent import Recurrent, by_steps
from adaptax.presets import preset
from adaptax.registry import make, make_learner
from adaptax.runs import Now, Run, open_run, resume, train

__all__ = [
    "DQN",
    "FOMAML",
    "MAML",
    "RL2",
    "Adaptation",
    "Agent",
    "Environment",
    "Evaluation",
    "HostEnvironment",
    "HyperDQN",
    "LearnedOptimizer",
    "Learner",
    "Lives",
    "MetaDQN",
    "MetaSGD",
    "MetricDQN",
    "MultiTask",
    "Now",
    "Oracle",
    "PureNet",
    "QInit",
    "Random",
    "Recurrent",
    "Reptile",
    "Run",
    "Scratch",
    "Selector",
    "Simulator",
    "TaskSplit",
    "WarmStart",
    "adapt",
    "by_steps",
    "evaluate",
    "from_gymnasium",
    "load",
    "make",
    "make_learner",
    "open_run",
    "preset",
    "pure",
    "record",
    "resume",
    "to_gymnasium",
    "train",
]
