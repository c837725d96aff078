"""Checks every name and value of a command line, all at once, before any array exists."""

import dataclasses
import typing
from typing import Annotated, Any, Literal

from tyro.conf import arg

from adaptax.cli.options import COMMANDS, Evaluate, Train
from adaptax.config import Field, describe_field, fields_of, nearest, problems_of, replaced
from adaptax.errors import ConfigError
from adaptax.fields import Range
from adaptax.registry import ENVIRONMENTS, LEARNERS


def with_groups(argv: list[str]) -> tuple[type | None, dict[str, Any]]:
    """The command's options with `--learner.*` and `--env.*` of the learner and environment that it names."""
    if not argv or argv[0] not in COMMANDS:
        return None, {}
    command, configs = COMMANDS[argv[0]], {}
    named = [word for word in argv[1:3] if not word.startswith("-")]
    if command is Train and len(named) == 2:
        configs = preset_configs(named[0], named[1], option(argv, "--preset") or "default")
    if command is Evaluate and named:
        configs = run_configs(named[0], option(argv, "--env"))
    views = {name: view(config) for name, config in configs.items()}
    groups = [(name, made, dataclasses.field(default_factory=made)) for name, made in views.items()]
    extended = dataclasses.make_dataclass(command.__name__, groups, bases=(command,)) if groups else command
    extended.__doc__ = command.__doc__
    return extended, configs


def option(argv: list[str], name: str) -> str | None:
    """The value given for an option, before anything is parsed."""
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        if word == name:
            return following
        if word.startswith(name + "="):
            return word.removeprefix(name + "=")
    return None


def preset_configs(learner: str, env: str, preset: str) -> dict[str, Any]:
    """The learner (with its preset) and environment that `train` names; unknown names are found by `check`."""
    from adaptax.presets import preset_fields

    configs = {}
    if learner in LEARNERS:
        fields = preset_fields(learner, env).get(preset, {})
        configs["learner"] = replaced(
            LEARNERS[learner](), {k: v for k, v in fields.items() if k != "meta_steps"}, learner
        )
    if env in ENVIRONMENTS:
        configs["env"] = ENVIRONMENTS[env]()
    return configs


def run_configs(folder: str, env: str | None) -> dict[str, Any]:
    """The learner and environment of a run, or another environment that it is to be tested on."""
    from adaptax.runs import read_config

    config, configs = read_config(folder), {}
    named = {"learner": LEARNERS, "env": ENVIRONMENTS}
    for name, table in named.items():
        entry = config["environment" if name == "env" else name]
        if name == "env" and env is not None:
            entry = {"name": env, "fields": {}}
        if entry["name"] in table:
            configs[name] = replaced(table[entry["name"]](), entry["fields"], entry["name"])
    return configs


def view(config: Any) -> type:
    """A plain dataclass with the public fields of a learner or environment, for tyro."""
    hints = {}
    for name, field in fields_of(config).items():
        kind: Any = Literal[field.choices] if field.choices else field.kind
        kind = kind | None if field.optional else kind
        legal = f" ({field.legal()})" if field.range and str(field.range) else ""
        hints[name] = (name, Annotated[kind, arg(help=field.help + legal)], field.default)
    made = dataclasses.make_dataclass(type(config).__name__, list(hints.values()))
    made.__doc__ = (type(config).__doc__ or "").split("\n")[0]
    return made


def changed(options: Any, group: str, configs: dict[str, Any]) -> dict[str, Any]:
    """The fields of a group that differ from what it began with."""
    given = dataclasses.asdict(getattr(options, group))
    before = {name: field.default for name, field in fields_of(configs[group]).items()}
    return {name: value for name, value in given.items() if value != before[name]}


def flags(command: type, configs: dict[str, Any]) -> dict[str, Field]:
    """Every option that may stand on the command line."""
    hints = typing.get_type_hints(command, include_extras=True)
    known: dict[str, Field] = {}
    for field in dataclasses.fields(command):
        shown = "env" if field.name == "env_name" else field.name
        described = describe_field(field.name, _without_marks(hints[field.name]), field.default, "")
        if described and field.default is not dataclasses.MISSING:
            known["--" + shown.replace("_", "-")] = described
    for group, config in configs.items():
        known |= {f"--{group}.{name.replace('_', '-')}": field for name, field in fields_of(config).items()}
    return known


def _without_marks(hint: Any) -> Any:
    """The hint with only the marks that say what is legal."""
    if typing.get_origin(hint) is not typing.Annotated:
        return hint
    inner, *marks = typing.get_args(hint)
    extent = [mark for mark in marks if isinstance(mark, Range)]
    return Annotated[inner, extent[0]] if extent else inner


def check(argv: list[str], command: type, configs: dict[str, Any]) -> None:
    """Finds everything that is wrong with the words of a command.

    Raises:
        ConfigError: naming all of it.
    """
    found, values = [], {group: {} for group in configs}
    tables = {"learner_name": LEARNERS, "env_name": ENVIRONMENTS}
    positional = [f.name for f in dataclasses.fields(command) if f.default is dataclasses.MISSING and f.name in tables]
    words, known = iter(argv[1:]), flags(command, configs)
    given = []
    for word in words:
        if not word.startswith("--"):
            given.append(word)
            continue
        name, _, value = word.partition("=")
        name = name.replace("_", "-")
        if name.removeprefix("--no-") in {k.removeprefix("--") for k in known} and name.startswith("--no-"):
            continue
        if name not in known:
            group = name[2:].split(".")[0]
            if "." not in name or group in configs:
                found.append(f"no option is called '{name}'; {nearest(name, known)}")
            if not value and "." in name:
                next(words, None)
            continue
        field = known[name]
        if field.kind is bool and not field.choices and not value and "." not in name:
            continue
        text = value or next(words, "")
        problem, parsed = _parsed(name, field, text)
        found += problem
        if not problem and "." in name:
            values[name[2:].split(".")[0]][field.name] = parsed
    if missing := positional[len(given) :]:
        shown = " and ".join({"learner_name": "LEARNER", "env_name": "ENV"}[name] for name in missing)
        found.append(f"{shown} must be named; `adaptax list` shows what there is")
    for name, word in zip(positional, given, strict=False):
        if word not in tables[name]:
            what = "learner" if name == "learner_name" else "environment"
            found.append(f"no {what} is called '{word}'; {nearest(word, tables[name])}")
    for group, fields in values.items():
        if not found:
            found += problems_of(dataclasses.replace(configs[group], **fields), f"--{group}")
    if found:
        raise ConfigError(*found)


def _parsed(name: str, field: Field, text: str) -> tuple[list[str], Any]:
    try:
        value = field.parse(text)
    except ValueError:
        value = ...
    wrong = value is ... or field.wrong(value)
    return ([f"{name} is '{text}'; it must be {field.legal()}"] if wrong else []), value
