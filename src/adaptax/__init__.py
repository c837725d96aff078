"""Deep meta-reinforcement learning in JAX: every method one contract, every result one honest evaluator."""

from adaptax.core.env import Environment, HostEnvironment, Simulator, TaskSplit
from adaptax.core.learner import Learner
from adaptax.deploy import Adaptation, Agent, adapt, load
from adaptax.evaluation import Evaluation, evaluate
from adaptax.learners.maml import FOMAML, MAML, MetaSGD
from adaptax.learners.multi_task import MultiTask, Oracle
from adaptax.learners.random import Random
from adaptax.learners.reptile import Reptile
from adaptax.learners.rl2 import RL2
from adaptax.learners.scratch import Scratch
from adaptax.presets import preset
from adaptax.registry import make, make_learner
from adaptax.runs import Now, Run, open_run, resume, train
