"""The command line. It checks every name and value, all at once, before any array exists; then it imports the work."""

import dataclasses
import json
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import Positional, arg

from adaptax.config import Field, describe_field, fields_of, nearest, problems_of, replaced
from adaptax.errors import AdaptaxError, ConfigError
from adaptax.fields import Count, Range, Whole
from adaptax.registry import ENVIRONMENTS, LEARNERS

Split = Literal["test", "validation", "train", "ood"]
RunFolder = Annotated[str, arg(help="Run folder.", metavar="RUN")]


@dataclasses.dataclass
class Train:
    """Train a learner on an environment. `adaptax train LEARNER ENV --help` shows the fields of both."""

    learner_name: Annotated[Positional[str], arg(name="LEARNER", help="Name of the learner; see: adaptax list")]
    env_name: Annotated[Positional[str], arg(name="ENV", help="Name of the environment; see: adaptax list")]
    seed: Annotated[Whole, arg(help="First seed.")] = 0
    seeds: Annotated[Count, arg(help="Number of seeds, trained in one program.")] = 1
    meta_steps: Annotated[Count | None, arg(help="Updates of the outer loop; by default what the preset says.")] = None
    out: Annotated[str | None, arg(help="Run folder to make; by default runs/<learner>-<env>-<time>-<8 hex>.")] = None
    preset: Annotated[str, arg(help="Tuned settings to start from.")] = "default"
    json: Annotated[bool, arg(help="Print the result as JSON.")] = False


@dataclasses.dataclass
class Evaluate:
    """Test a trained run on tasks it has not seen, beside every reference that is known."""

    run: Positional[RunFolder]
    split: Annotated[Split, arg(help="Which tasks.")] = "test"
    tasks: Annotated[Count, arg(help="Number of tasks.")] = 1000
    episodes: Annotated[Count | None, arg(help="Episodes in a life; by default as many as in training.")] = None
    seed: Annotated[Whole, arg(help="Of tasks and lives; the same seed gives every learner the same.")] = 1
    checkpoint: Annotated[str, arg(help="best, last, or a meta-step.")] = "best"
    oracle: Annotated[str | None, arg(help="Run of an oracle, to normalise where no optimum is computable.")] = None
    env_name: Annotated[str | None, arg(name="env", help="Test on another environment.")] = None
    json: Annotated[bool, arg(help="Print the result as JSON.")] = False


@dataclasses.dataclass
class Adapt:
    """Let a trained agent live in a task of your own; prints returns per episode and keeps the adapted agent."""

    run: Positional[RunFolder]
    task: Annotated[str | None, arg(help="The task as JSON; by default one test task.")] = None
    env_file: Annotated[str | None, arg(help="Your environment, as file.py:Name.")] = None
    episodes: Annotated[Count | None, arg(help="Episodes in a life; by default as many as in training.")] = None
    lives: Annotated[Count, arg(help="Lives in the task, for the intervals.")] = 20
    seed: Annotated[Whole, arg(help="Of the lives.")] = 1
    checkpoint: Annotated[str, arg(help="best, last, or a meta-step.")] = "best"
    json: Annotated[bool, arg(help="Print the result as JSON.")] = False


@dataclasses.dataclass
class Resume:
    """Go on with an interrupted run, bit for bit as if it had not been interrupted."""

    run: Positional[RunFolder]
    json: Annotated[bool, arg(help="Print the result as JSON.")] = False


@dataclasses.dataclass
class Report:
    """Write one self-contained HTML page with the curves of one or more runs."""

    runs: Positional[tuple[RunFolder, ...]]
    out: Annotated[str | None, arg(help="The page; by default report.html in the first run folder.")] = None
    json: Annotated[bool, arg(help="Print the result as JSON.")] = False


@dataclasses.dataclass
class List:
    """List learners and environments, each with its first line of documentation."""

    json: Annotated[bool, arg(help="Print as JSON.")] = False


@dataclasses.dataclass
class Cite:
    """Print the papers behind a learner."""

    learner_name: Annotated[Positional[str], arg(name="LEARNER", help="Name of the learner.")]
    json: Annotated[bool, arg(help="Print as JSON.")] = False


COMMANDS: dict[str, type] = {
    "train": Train,
    "evaluate": Evaluate,
    "adapt": Adapt,
    "resume": Resume,
    "report": Report,
    "list": List,
    "cite": Cite,
}


def main(argv: list[str] | None = None) -> None:
    """Entry point; exit codes: 0 done, 2 bad argument, 5 no run, 7 folder in use, 75 preempted, 130 interrupted."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        result = run_command(argv)
    except AdaptaxError as error:
        if "--debug" in argv:
            raise
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    if result is not None:
        print(result)


def run_command(argv: list[str]) -> str | None:
    """Parses, checks, and does what is asked; returns what goes to standard output.

    Raises:
        ConfigError: anything in `argv` is wrong; all of it is named.
    """
    debug = "--debug" in argv
    argv = [word for word in argv if word != "--debug"]
    del debug
    if argv and not argv[0].startswith("-") and argv[0] not in COMMANDS:
        raise ConfigError(f"no command is called '{argv[0]}'; {nearest(argv[0], COMMANDS)}")
    extended, configs = with_groups(argv)
    commands = COMMANDS | ({argv[0]: extended} if extended else {})
    if extended and "--help" not in argv and "-h" not in argv:
        check(argv, extended, configs)
    options = tyro.extras.subcommand_cli_from_dict(
        commands, args=argv, prog="adaptax", description="Deep meta-reinforcement learning.", sort_subcommands=False
    )
    from adaptax import commands as work

    return vars(work)[argv[0]](options, {name: changed(options, name, configs) for name in configs})


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


def as_json(result: Any) -> str:
    """One line of JSON."""
    return json.dumps(result)


def load_named(place: str, call: Callable[[Any], Any] = lambda x: x) -> Any:
    """What `file.py:Name` names, imported because the user asked for it on the command line.

    Raises:
        ConfigError: there is no such file or name.
    """
    import importlib.util

    path, _, name = place.partition(":")
    if not name or not Path(path).is_file():
        raise ConfigError(f"'{place}' must be file.py:Name, with a file that exists")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, name):
        raise ConfigError(
            f"{path} has no '{name}'; {nearest(name, [n for n in vars(module) if not n.startswith('_')])}"
        )
    return call(getattr(module, name))
