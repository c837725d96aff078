"""Runs in folders: what `config.json` holds, and the way back from it to a run, perhaps in another environment."""

import dataclasses
from pathlib import Path
from typing import Any

import equinox as eqx
import jax

from adaptax import checkpoint as checkpoints
from adaptax.config import fields_of, problems_of, replaced
from adaptax.core.env import AbstractEnvironment
from adaptax.core.learner import BINDING, Learner, traced
from adaptax.core.types import PyTree
from adaptax.errors import CheckpointError, ConfigError
from adaptax.progress import say
from adaptax.registry import ENVIRONMENTS, LEARNERS, make, make_learner, name_of
from adaptax.runs.folder import read_config, read_lines
from adaptax.runs.run import Run, fresh, template
from adaptax.runs.settings import Settings, environment_problems, number_problems

CHANGEABLE = [f"settings.{name}" for name in ("log_every", "validate_every", "checkpoint_every", "keep", "on_nan")]


def config_of(learner: Learner, env: AbstractEnvironment, settings: Settings) -> dict[str, Any]:
    """What `config.json` holds: enough for `open_run` to build the run again, or to say what it cannot build."""
    return {
        "learner": {
            "name": name_of(learner),
            "fields": values_of(learner),
            "own": own_fields(learner),
            "objective": learner.objective,
        },
        "environment": {"name": name_of(env), "fields": values_of(env)},
        "settings": dataclasses.asdict(settings),
    }


def values_of(config: Any) -> dict[str, Any]:
    """The public fields of a learner or environment with their values."""
    return {name: field.default for name, field in fields_of(config).items()}


def own_fields(learner: Learner) -> list[str]:
    """Names of the fields that hold something which no folder can: a network, a loss."""
    stored = {*BINDING, *fields_of(learner)}
    fields = [f for f in dataclasses.fields(learner) if f.init and f.name not in stored]
    return [f.name for f in fields if getattr(learner, f.name) is not f.default]


def stored_environment(config: dict[str, Any]) -> AbstractEnvironment:
    """The environment that `config.json` describes.

    Raises:
        ConfigError: it is not a registered one.
    """
    name, fields = config["environment"]["name"], config["environment"]["fields"]
    if name not in ENVIRONMENTS:
        raise ConfigError(
            f"this run was trained on your own environment '{name}'; give --env-file file.py:Name (in Python env=)"
        )
    return complete(make(name, **fields), fields)


def complete(config: Any, fields: dict[str, Any]) -> Any:
    """What was made from stored fields.

    Raises:
        ConfigError: some of its fields are not stored; their defaults may not be what they were.
    """
    if lacking := fields_of(config).keys() - fields.keys():
        names = ", ".join(f"{name_of(config)}.{name}" for name in sorted(lacking))
        raise ConfigError(f"config.json does not say {names}: another version wrote it; open it with that version")
    return config


def stored_learner(config: dict[str, Any], given: Learner | None) -> Learner:
    """The learner that is given, or else the one that `config.json` describes.

    Raises:
        ConfigError: it is not a registered one, or has fields that no folder can hold.
    """
    name, fields = config["learner"]["name"], config["learner"]["fields"]
    if given is None and name not in LEARNERS:
        raise ConfigError(f"this run was trained with your own learner '{name}'; give open_run(folder, learner=...)")
    learner = complete(make_learner(name, **fields), fields) if given is None else given
    if lost := set(config["learner"].get("own", [])) - set(own_fields(learner)):
        names = ", ".join(sorted(lost))
        raise ConfigError(
            f"this run's {name} was given your own {names}, which a folder cannot hold; "
            f"give the learner with the same {names}: open_run(folder, learner=...)"
        )
    return learner


def changed_since(folder: str | Path, learner: Learner | None, env: AbstractEnvironment | None) -> list[str]:
    """What is not as it was when the run began: a run goes on as it began, or it is another run."""
    config, found = read_config(folder), []
    for what, given in (("learner", learner), ("environment", env)):
        if given is not None:
            name, fields = config[what]["name"], config[what]["fields"]
            if name_of(given) != name:
                found.append(f"this run began with the {what} {name}, not {name_of(given)}: give that one")
                continue
            for field, now in values_of(given).items():
                if (then := fields.get(field)) != now:
                    found.append(f"this run began with {name}.{field} = {then!r}, not {now!r}: give it as it was")
    return found


def opened(run: Run | str | Path, env: AbstractEnvironment | None = None, learner: Learner | None = None) -> Run:
    """A run as it is, or the one in a folder.

    Args:
        run: A run or its folder.
        env: Where to test. It also stands for the environment of the training, where that is not a registered one.
        learner: As in `open_run`.

    Raises:
        CheckpointError: as `open_run` does.
        ConfigError: as `open_run` does.
    """
    if isinstance(run, Run):
        return run
    registered = read_config(run)["environment"]["name"] in ENVIRONMENTS
    return open_run(run, learner=learner, env=None if registered else env)


def open_run(
    folder: str | Path,
    *,
    learner: Learner | None = None,
    env: AbstractEnvironment | None = None,
    unstarted: bool = False,
) -> Run:
    """The run in a folder, as its newest whole checkpoint has it.

    Args:
        folder: The run folder.
        learner: The learner, where it is not a registered one (or has a network of your own).
        env: The environment, where it is not a registered one.
        unstarted: Also open a run without any checkpoint, in the state before the first meta-step.

    Raises:
        CheckpointError: the folder is no run, or it has no whole checkpoint.
        ConfigError: the learner or environment must be given, or config.json was altered.
    """
    folder = Path(folder)
    config = read_config(folder)
    try:
        settings = Settings(**config["settings"])
        wrong = "; ".join(number_problems(config["settings"]))
    except TypeError as error:
        wrong = str(error)
    if wrong:
        raise CheckpointError(f"{folder}/config.json has settings that this version cannot read: {wrong}")
    env = stored_environment(config) if env is None else env
    learner = stored_learner(config, learner).bind(env.spec(), settings.meta_steps)
    kept, steps = (find(folder / "checkpoints") for find in (checkpoints.numbers, checkpoints.steps))
    if not steps:
        if kept:
            reason = checkpoints.examined(folder / "checkpoints" / str(kept[-1]))[1]
            raise CheckpointError(f"no checkpoint in {folder} is whole. Of the newest: {'; '.join(reason)}")
        if lines := read_lines(folder / "metrics.jsonl"):
            raise CheckpointError(
                f"{folder} has no checkpoint, though it was trained up to meta-step {lines[-1]['step']}: "
                "bring its folder `checkpoints` back, or train anew in another folder"
            )
        if not unstarted:
            raise CheckpointError(f"{folder} has no checkpoint yet; train it first: adaptax resume {folder}")
        return Run(learner, env, settings, fresh(learner, env, settings), folder)
    if kept[-1] > steps[-1]:
        say(f"{folder}/checkpoints/{kept[-1]} is damaged: what follows is of meta-step {steps[-1]}")
    newest = folder / "checkpoints" / str(steps[-1])
    notes = checkpoints.notes_of(newest)
    if wrong := altered(notes.get("config", config), config):
        raise ConfigError(f"{folder}/config.json is not what the run began with:", *wrong, "write back what was there")
    saved = checkpoints.load(newest, template(learner, env, settings))
    run = Run(learner, env, settings, saved, folder, waiting=checkpoints.waiting_of(newest))
    run.line, run.seconds = int(notes.get("line", run.step)), float(notes.get("seconds", 0.0))
    run.passed_over = [(int(last), int(row)) for last, row in notes.get("passed_over", run.passed_over)]
    run.history = [line for line in read_lines(folder / "metrics.jsonl") if line["step"] <= run.line]
    return run


def altered(then: dict[str, Any], now: dict[str, Any], path: str = "") -> list[str]:
    """What differs between two configurations, in words; how often a run logs, validates and saves may change."""
    found = []
    for name in sorted(then.keys() | now.keys()):
        old, new, place = then.get(name), now.get(name), f"{path}.{name}" if path else name
        if isinstance(old, dict) and isinstance(new, dict):
            found += altered(old, new, place)
        elif old != new and place not in CHANGEABLE:
            found.append(f"{place} was {old!r} and is {new!r}")
    return found


def elsewhere(
    run: Run, env: AbstractEnvironment | None, learner_fields: dict[str, Any] | None, which: str | int
) -> tuple[list[Learner], AbstractEnvironment, PyTree]:
    """The trained learners (one for each of the S runs), environment and outer states to test, perhaps elsewhere.

    Raises:
        CheckpointError: what was trained does not fit there.
        ConfigError: the fields of the environment, or those to change of the learner, are wrong.
    """
    env, changes = env or run.env, learner_fields or {}
    if wrong := environment_problems(env) or problems_of(env, name_of(env)):
        raise ConfigError(*wrong)
    meta, spec = run.meta(which), env.spec()
    bound = [run.learner_of(index).bind(spec, run.settings.meta_steps) for index in range(run.settings.width)]
    learners = [traced(replaced(learner, changes, "learner")) for learner in bound]
    if fits(learners[0], meta):
        return learners, env, meta
    if fits(bound[0], meta):
        given = ", ".join(f"{name} = {value!r}" for name, value in changes.items())
        raise CheckpointError(f"what was trained does not fit the learner with {given}: leave fields that shape it out")
    of = lambda env: f"{env.observation_space}, {env.action_space} and a descriptor of {env.spec().descriptor} numbers"
    raise CheckpointError(
        f"what was trained on {name_of(run.env)} does not fit {name_of(env)} with {of(env)}: this learner needs the "
        f"sizes that it was trained on ({of(run.env)})"
    )


def fits(learner: Learner, meta: PyTree) -> bool:
    """Whether outer states `[S]`, as deployed, have the structure and shapes of the learner's."""
    wanted = eqx.filter_eval_shape(lambda key: learner.deployed(learner.init(key)), jax.random.key(0))
    return jax.tree.structure(wanted) == jax.tree.structure(meta) and all(
        new.shape == old.shape[1:] for new, old in zip(jax.tree.leaves(wanted), jax.tree.leaves(meta), strict=True)
    )
