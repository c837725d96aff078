"""What may be asked of a training besides learner and environment, and what is wrong with it."""

import dataclasses
from typing import Any, Literal

import jax
import numpy as np

from adaptax.config import fields_of, nearest, problems_of
from adaptax.core.env import AbstractEnvironment, HostEnvironment
from adaptax.core.learner import Learner
from adaptax.errors import ConfigError
from adaptax.fields import Count, Whole


@dataclasses.dataclass(frozen=True)
class Settings:
    """How long and how often; part of `config.json`."""

    meta_steps: Count
    seed: Whole = 0
    seeds: Count = 1
    log_every: Count = 1
    validate_every: Count = 1
    checkpoint_every: Count = 1
    keep: Count = 3
    on_nan: Literal["stop", "skip-update"] = "stop"
    sweep: dict[str, list[float]] = dataclasses.field(default_factory=dict)

    @property
    def width(self) -> int:
        """S: runs trained side by side."""
        return self.seeds * max((len(values) for values in self.sweep.values()), default=1)

    def swept(self, index: int) -> dict[str, float]:
        """The values that a sweep gives to one of the S runs (seeds vary fastest)."""
        return {name: float(values[index // self.seeds]) for name, values in self.sweep.items()}

    def name(self, index: int) -> str:
        """One of the S runs in words."""
        values = "".join(f", {name} = {value:g}" for name, value in self.swept(index).items())
        return f"seed {self.seed + index % self.seeds}{values}"


def type_problems(learner: Any, env: Any) -> list[str]:
    """What is wrong where a name, a class or a foreign environment stands for a learner or an environment."""
    return learner_problems(learner) + environment_problems(env)


def learner_problems(learner: Any) -> list[str]:
    """What is wrong with what is given as a learner."""
    if not isinstance(learner, Learner):
        return [f"learner is {learner!r}; give an instance, such as ax.RL2() or ax.make_learner('rl2')"]
    if "meta_steps" in fields_of(learner):
        return ["meta_steps is the length of the training, which every learner is told: call your own field otherwise"]
    if learner.spec is None and learner.meta_steps != 1.0:
        return ["meta_steps is no field of a learner; give it to train(learner, env, meta_steps=...)"]
    return []


def environment_problems(env: Any) -> list[str]:
    """What is wrong with what is given as an environment."""
    if not isinstance(env, AbstractEnvironment):
        return [f"env is {env!r}; give ax.make(name), or ax.from_gymnasium(make) for a Gymnasium environment"]
    shape = getattr(env.action_space, "shape", (1,))
    return [] if len(shape) == 1 else [f"the environment's actions have shape {shape}; they must have one axis"]


def sweep_problems(learner: Learner, sweep: Any) -> list[str]:
    """What is wrong with a sweep: names, values, lengths."""
    if not isinstance(sweep, dict):
        return [f"sweep is {sweep!r}; it must be a dict from fields to lists of values"]
    floats = {name: field for name, field in fields_of(learner).items() if field.kind is float}
    lengths, found = {}, []
    for name, values in sweep.items():
        if name not in floats:
            found.append(f"sweep over '{name}': it must be a float field; {nearest(name, floats)}")
        elif not isinstance(values, list) or not values:
            found.append(f"sweep over '{name}' is {values!r}; it must be a list of one value or more")
        else:
            lengths[name] = len(values)
            if any(floats[name].wrong(value) for value in values):
                found.append(f"sweep over '{name}' = {values}: each must be {floats[name].legal()}")
    if len(set(lengths.values())) > 1:
        found.append(f"sweep has lists of several lengths, {lengths}; they are read side by side: give all one length")
    return found


def device_problems(devices: Any, learner: Learner, env: AbstractEnvironment) -> list[str]:
    """What is wrong with a number of devices; None is one."""
    if devices is None:
        return []
    if type(devices) is not int or not 1 <= devices <= jax.device_count():
        there = f"a whole number >= 1 and <= {jax.device_count()}, the devices that are here"
        return [f"devices is {devices!r}; it must be {there}"]
    if learner.tasks % devices:
        return [f"devices is {devices}; it must divide the learner's tasks = {learner.tasks}"]
    if devices > 1 and isinstance(env, HostEnvironment):
        return [f"devices is {devices}; simulators on the host act on one: leave devices out"]
    return []


def number_problems(given: dict[str, Any]) -> list[str]:
    """What is wrong with the numbers among settings."""
    fields = fields_of(Settings(1)).items()
    return [told for name, field in fields if name in given for told in field.problems(name, given[name])]


def checked_settings(learner: Learner, env: AbstractEnvironment, devices: Any, **asked: Any) -> Settings:
    """The settings asked for, None being the default of each.

    Raises:
        ConfigError: naming all that is wrong with settings, learner, environment and devices.
    """
    given = {name: _native(value) for name, value in asked.items() if value is not None}
    numbers = number_problems(given)
    bound = learner.bind(env.spec(), 1 if numbers else given["meta_steps"])
    wrong = problems_of(bound, "learner") + problems_of(env, "env") + numbers
    if not wrong and learner.tasks % learner.twins:
        wrong.append(f"tasks is {learner.tasks}; it must be a multiple of {learner.twins}, lives that share a task")
    if not wrong and (part := bound.learns_every(bound.schedule())) and bound.schedule().steps % part:
        wrong.append(f"learns_every is {part}; it must divide the {bound.schedule().steps} steps of a phase")
    if not wrong and isinstance(env, HostEnvironment) and (learner.lifespan > 1 or learner.twins > 1):
        wrong.append(
            f"{type(learner).__name__}'s lives go on from one meta-step to the next or are lived twice, and simulators "
            "on the host live each once and from birth: write the environment in JAX, or take another learner"
        )
    wrong += sweep_problems(learner, given.get("sweep", {})) + device_problems(devices, learner, env)
    if wrong:
        raise ConfigError(*wrong)
    every = given.get("log_every", max(1, given["meta_steps"] // 100))
    tenth = every * max(1, given["meta_steps"] // (10 * every))
    return Settings(**({"log_every": every, "validate_every": tenth, "checkpoint_every": tenth} | given))


def _native(value: Any) -> Any:
    """The value with numpy's numbers and arrays as Python's, which `config.json` can hold."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_native(entry) for entry in value]
    return {name: _native(entry) for name, entry in value.items()} if isinstance(value, dict) else value
