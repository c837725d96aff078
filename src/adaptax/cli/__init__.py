"""The command line: `options` says what may be asked for, `check` what is wrong with it, `commands` does it."""

import sys

import tyro

from adaptax.cli.check import changed, check, with_groups
from adaptax.cli.options import COMMANDS
from adaptax.config import nearest
from adaptax.errors import AdaptaxError, ConfigError


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
    from adaptax.cli import commands as work  # what it imports takes longer than the check

    return vars(work)[argv[0]](options, {name: changed(options, name, configs) for name in configs})
