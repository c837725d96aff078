"""Reads a command line: every name and value is checked, all at once, before any array exists."""

import dataclasses
import re
import typing
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from tyro.conf import FlagConversionOff, arg

from adaptax.cli.options import COMMANDS, Evaluate, Train
from adaptax.config import Field, describe_field, fields_of, nearest, problems_of, replaced
from adaptax.errors import ConfigError
from adaptax.fields import Range
from adaptax.registry import ENVIRONMENTS, LEARNERS

HELP = ("--help", "-h")
# How the words that no option takes are written in usage lines; and what helps where one is missing.
SHOWN = {"learner_name": "LEARNER", "env_name": "ENV", "family": "FILE.py:FAMILY"}
NAMED = {"RUN": "`adaptax train` says where it made it", "FILE.py:FAMILY": "for example mine.py:Reactor"}
OWN = "one of your own is trained in Python: ax.train(learner, Family(), ...)"
Changes = dict[str, dict[str, Any]]  # the fields of "learner" and "env" that a command sets


class Words(NamedTuple):
    """The words of a command, told apart but not yet judged."""

    given: list[str]  # those that no option takes
    options: dict[str, str | None]  # the last value of each option; None where none follows


def tell_apart(words: list[str], command: type) -> Words:
    """Tells options and their values from the other words, in any order; a value does not begin with two dashes."""
    flags = {*HELP, *(name for name, field in known_options(command, {}).items() if field.kind is bool)}
    given, options, rest = [], {}, words[::-1]
    while rest:
        word = rest.pop()
        name, equals, value = word.partition("=")
        if not re.match(r"--|-[a-zA-Z]", word):  # a number may have one dash, a misspelt option too
            given.append(word)
        elif equals:
            options[name.replace("_", "-")] = value
        else:
            bare = name in flags or not rest or rest[-1].startswith("--")
            options[name.replace("_", "-")] = None if bare else rest.pop()
    return Words(given, options)


def configs_of(words: Words, command: type) -> dict[str, Any]:
    """The learner and environment that a command is about; their fields are options too."""
    given, options = words
    if command is Train and len(given) > 1:
        return preset_configs(given[0], given[1], options.get("--preset") or "default")
    if command is Evaluate and given:
        return run_configs(given[0], options.get("--env"), "--env-file" in options)
    return {}


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


def preset_problems(words: Words, command: type) -> list[str]:
    """What is wrong with the preset that `train` names."""
    from adaptax.presets import preset_of

    name = words.options.get("--preset")
    if command is not Train or name is None or len(words.given) < 2:
        return []
    learner, env = words.given[:2]
    try:
        preset_of(learner, env, name)
    except ConfigError as error:
        return list(error.problems)
    return []


def run_configs(folder: str, env: str | None, own: bool) -> dict[str, Any]:
    """The learner and environment of a run, or another environment to test it on; none where that is the user's own."""
    from adaptax.runs import read_config

    config = read_config(folder)
    entries = {"learner": config["learner"], "env": {"name": env, "fields": {}} if env else config["environment"]}
    tables = {"learner": LEARNERS} if own else {"learner": LEARNERS, "env": ENVIRONMENTS}
    return {
        group: replaced(table[entries[group]["name"]](), entries[group]["fields"], entries[group]["name"])
        for group, table in tables.items()
        if entries[group]["name"] in table
    }


def with_groups(command: type, configs: dict[str, Any]) -> type:
    """The command's options with `--learner.*` and `--env.*`, for the help."""
    views = {group: view(config) for group, config in configs.items()}
    groups = [(group, made, dataclasses.field(default_factory=made)) for group, made in views.items()]
    extended = dataclasses.make_dataclass(command.__name__, groups, bases=(command,))
    extended.__doc__ = command.__doc__
    return extended


def view(config: Any) -> type:
    """A plain dataclass with the public fields of a learner or environment, for the help."""
    hints = {}
    for name, field in fields_of(config).items():
        kind: Any = Literal[field.choices] if field.choices else field.kind
        kind = FlagConversionOff[bool] if kind is bool else kind
        kind = kind | None if field.optional else kind
        legal = f" ({field.legal()})" if field.range and str(field.range) else ""
        hints[name] = (name, Annotated[kind, arg(help=field.help + legal)], field.default)
    made = dataclasses.make_dataclass(type(config).__name__, list(hints.values()))
    made.__doc__ = (type(config).__doc__ or "").split("\n")[0]
    return made


def known_options(command: type, configs: dict[str, Any]) -> dict[str, Field]:
    """Every option that may stand on the command line."""
    hints = typing.get_type_hints(command, include_extras=True)
    known: dict[str, Field] = {}
    for field in dataclasses.fields(command):
        described = describe_field(field.name, _without_marks(hints[field.name]), field.default, "")
        if described and field.default is not dataclasses.MISSING:
            # an option of the command has a default of its own, or none: it is left out, not given as None
            known["--" + field.name.replace("_", "-")] = described._replace(optional=False)
    if env := known.pop("--env-name", None):
        known["--env"] = env._replace(choices=tuple(ENVIRONMENTS))
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


def check(words: Words, command: type, configs: dict[str, Any]) -> tuple[Any, Changes]:
    """The options of a command, and the fields of its learner and environment that the words change.

    Raises:
        ConfigError: something is wrong with the words; all of it is named.
    """
    known = known_options(command, configs)
    named, found = check_given(words.given, command)
    found += preset_problems(words, command)
    values, elsewhere, faulty = {"": named, "learner": {}, "env": {}}, [], set()
    for name, text in words.options.items():
        group = name[2:].rpartition(".")[0]
        if name not in known:  # the fields of what is itself misspelt cannot be judged
            heard = found if not group or group in configs else elsewhere
            hint = nearest(name, known)
            if group == "env" and "--env-file" in words.options:
                hint = "set the fields of your own in its file, and name what has them: mine = Family(size=3)"
            heard.append(f"no option is called '{name}'; {hint}")
            continue
        problem, value = _parsed(name, known[name], text)
        found += problem
        faulty |= {group} if problem else set()
        if value != known[name].default:
            values[group][known[name].name] = value
    found = found or elsewhere
    for group, config in configs.items():
        if group not in faulty:  # fields that are wrong alone are not judged together
            found += problems_of(dataclasses.replace(config, **values[group]), f"--{group}")
    if found:
        raise ConfigError(*found)
    return command(**values.pop("")), values


def check_given(given: list[str], command: type) -> tuple[dict[str, Any], list[str]]:
    """The words that no option takes, by the field that each is for, and all that is wrong with them."""
    names = [field.name for field in dataclasses.fields(command) if field.default is dataclasses.MISSING]
    tables = {"learner_name": ("learner", LEARNERS), "env_name": ("environment", ENVIRONMENTS)}
    shown = [SHOWN.get(name, "RUN") for name in names]
    found = []
    if missing := shown[len(given) :]:
        remedy = NAMED.get(missing[0], "`adaptax list` shows what there is")
        found.append(f"{' and '.join(missing)} must be named; {remedy}")
    if names == ["runs"]:
        return {"runs": tuple(given)}, found
    for name, word in zip(names, given, strict=False):
        if name in tables and word not in tables[name][1]:
            swapped = "env_name" in names and any(word in table for _, table in tables.values())
            hint = "LEARNER comes before ENV" if swapped else nearest(word, tables[name][1])
            hint = OWN if ".py" in word else hint
            found.append(f"no {tables[name][0]} is called '{word}'; {hint}")
        if name == "family":
            found += file_problems(word, "FILE.py:FAMILY")
    if extra := given[len(names) :]:
        name = next(name for name, one in COMMANDS.items() if one is command)
        usage = " ".join(["adaptax", name, *shown])
        near = nearest(extra[0], known_options(command, {}))
        found.append(f"too many words: {', '.join(map(repr, extra))}; after `{usage}` comes an option: {near}")
    return dict(zip(names, given, strict=False)), found


def file_problems(place: str, what: str) -> list[str]:
    """What is wrong with the words that name something in a file of the user's."""
    path, _, name = place.rpartition(":")
    if not path.endswith(".py") or not name:
        return [f"{what} is '{place}'; it must be file.py:Name"]
    return [] if Path(path).is_file() else [f"{what} is '{place}', and there is no file '{path}' here"]


def _parsed(name: str, field: Field, text: str | None) -> tuple[list[str], Any]:
    """What is wrong with the value of an option, and the value; the commands' own booleans are flags without one."""
    if field.kind is bool and "." not in name:
        return ([] if text is None else [f"{name} takes no value"]), True
    if text is None:
        return [f"{name} has no value; it must be {field.legal()}"], None
    try:
        value = field.parse(text)
    except ValueError:
        value = ...
    wrong = value is ... or field.wrong(value)
    return ([f"{name} is '{text}'; it must be {field.legal(value)}"] if wrong else []), value
