"""The command line: `options` says what may be asked for, `check` reads and judges it, `commands` does it."""

import io
import sys
import warnings
from importlib.metadata import version

import tyro

from adaptax.cli.check import HELP, check, configs_of, tell_apart, with_groups
from adaptax.cli.options import COMMANDS
from adaptax.config import nearest
from adaptax.errors import AdaptaxError, ConfigError
from adaptax.progress import answer, say


def main(argv: list[str] | None = None) -> None:
    """Entry point.

    Exit codes: 0 done, 1 a bug, 2 bad argument, 3 faulty environment, 4 not finite, 5 no run, or a damaged one, 6 a
    file or folder cannot be read or written, memory is exhausted, or a GPU is not used, 7 folder in use,
    75 preempted, 129 terminal gone, 130 interrupted.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that has no such letters shows their numbers
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: say(f"warning: {message}")
            result = run_command([word for word in argv if word != "--debug"])
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(130)
    except Exception as error:
        code, text = exit_code_of(error)
        if (code == 1 and not isinstance(error, AdaptaxError)) or "--debug" in argv:
            raise
        say(text)
        sys.exit(code)
    except BaseException as error:  # a training inside a command that a signal ended
        if not hasattr(error, "exit_code"):
            raise
        say(str(error))
        sys.exit(vars(error)["exit_code"])
    if result is not None:
        answer(result)


def exit_code_of(error: Exception) -> tuple[int, str]:
    """The exit code for an error, and what to say of it."""
    if isinstance(error, AdaptaxError):
        return error.exit_code, str(error)
    if isinstance(error, OSError):
        remedy = "give another path, or make it usable" if error.filename else "--debug shows where"
        return 6, f"{type(error).__name__}: {error}; {remedy}"
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):  # numpy's, and JAX's on any device
        first = str(error).partition("\n")[0] or type(error).__name__
        return 6, f"out of memory: {first}; try fewer --learner.tasks, --learner.copies, --seeds or evaluation --tasks"
    return 1, str(error)


def run_command(argv: list[str]) -> str | None:
    """Reads, checks, and does what is asked; returns what goes to standard output.

    Raises:
        ConfigError: anything in `argv` is wrong; all of it is named.
    """
    name = argv[0] if argv else ""
    if name == "--version":
        return version("adaptax")
    if name in HELP or name.startswith("--tyro"):
        return show_help(COMMANDS, argv)
    if name not in COMMANDS:
        what = f"no command is called '{name}'" if name else "no command is given"
        raise ConfigError(f"{what}; {nearest(name, COMMANDS)} (`adaptax --help` says what each does)")
    words = tell_apart(argv[1:], COMMANDS[name])
    configs = configs_of(words, COMMANDS[name])
    if not words.options.keys().isdisjoint(HELP):
        return show_help(COMMANDS | {name: with_groups(COMMANDS[name], configs)}, [name, "--help"])
    options, changes = check(words, COMMANDS[name], configs)
    from adaptax.cli import commands as work  # what it imports takes longer than the check

    return vars(work)[name.replace("-", "_")](options, changes)


def show_help(commands: dict[str, type], argv: list[str]) -> None:
    """Prints help (or what a shell needs to complete words) and ends the process."""
    tyro.extras.subcommand_cli_from_dict(
        commands,
        args=argv,
        prog="adaptax",
        description="Deep meta-reinforcement learning.",
        sort_subcommands=False,
        config=(tyro.conf.FlagCreatePairsOff,),
    )
