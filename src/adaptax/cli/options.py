"""What may be asked for: one dataclass a command, which `check` fills and tyro turns into help."""

import dataclasses
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from adaptax.fields import Count, Whole

Split = Literal["test", "validation", "train", "ood"]
RunFolder = Annotated[str, arg(help="Run folder.", metavar="RUN")]
Episodes = Annotated[
    Count | None, arg(help="Episodes in a life; by default as many as a training life has in that environment.")
]
DebugNans = Annotated[bool, arg(help="Where a number is not finite, also name the operation that made it.")]
EnvFile = Annotated[str | None, arg(help="Your own environment, as file.py:Name.")]


@dataclasses.dataclass
class Train:
    """Train a learner on an environment. `adaptax train LEARNER ENV --help` shows the fields of both."""

    learner_name: Annotated[Positional[str], arg(metavar="LEARNER", help="Name of the learner; see: adaptax list")]
    env_name: Annotated[Positional[str], arg(metavar="ENV", help="Name of the environment; see: adaptax list")]
    seed: Annotated[Whole, arg(help="First seed.")] = 0
    seeds: Annotated[Count, arg(help="Number of seeds, trained in one program.")] = 1
    meta_steps: Annotated[Count | None, arg(help="Updates of the outer loop; by default what the preset says.")] = None
    out: Annotated[str | None, arg(help="Run folder to make; by default runs/<learner>-<env>-<time>-<8 hex>.")] = None
    preset: Annotated[str, arg(help="Tuned settings to start from.")] = "default"
    on_nan: Annotated[
        Literal["stop", "skip-update"], arg(help="Where a number is not finite: end, or go on as if it had not been.")
    ] = "stop"
    debug_nans: DebugNans = False
    json: Annotated[bool, arg(help="Print the result as JSON.")] = False


@dataclasses.dataclass
class Evaluate:
    """Test a trained run on held-out tasks, beside every reference that is known.

    `adaptax evaluate RUN --help` shows the --env.FIELD and --learner.FIELD that can be changed for the test.
    """

    run: Positional[RunFolder]
    split: Annotated[Split, arg(help="Which tasks.")] = "test"
    tasks: Annotated[Count, arg(help="Number of tasks.")] = 1000
    episodes: Episodes = None
    seed: Annotated[Whole, arg(help="Of tasks and lives; the same seed gives every learner the same.")] = 1
    checkpoint: Annotated[str, arg(help="best, last, or a meta-step.")] = "best"
    oracle: Annotated[str | None, arg(help="Run of an oracle, to normalise where no optimum is computable.")] = None
    point: Annotated[Whole | None, arg(help="Which point of a sweep, counted from 0.")] = None
    env_name: Annotated[str | None, arg(name="env", help="Test on another environment.")] = None
    env_file: EnvFile = None
    json: Annotated[bool, arg(help="Print the result as JSON.")] = False


@dataclasses.dataclass
class Adapt:
    """Let a trained agent live in a task of your own; prints returns per episode and keeps the adapted agent."""

    run: Positional[RunFolder]
    task: Annotated[str | None, arg(help="The task as JSON; by default one test task.")] = None
    env_file: EnvFile = None
    episodes: Episodes = None
    lives: Annotated[Count, arg(help="Lives in the task, for the intervals.")] = 20
    copies: Annotated[Count | None, arg(help="Copies that one life acts in: 1 is one plant; None as in training.")] = (
        None
    )
    seed: Annotated[Whole, arg(help="Of the lives.")] = 1
    checkpoint: Annotated[str, arg(help="best, last, or a meta-step.")] = "best"
    json: Annotated[bool, arg(help="Print the result as JSON.")] = False


@dataclasses.dataclass
class Resume:
    """Go on with an interrupted run, bit for bit as if it had not been interrupted."""

    run: Positional[RunFolder]
    env_file: EnvFile = None
    debug_nans: DebugNans = False
    json: Annotated[bool, arg(help="Print the result as JSON.")] = False


@dataclasses.dataclass
class Check:
    """Check a family of tasks of your own: tells all that is wrong with it, and how to mend each.

    It traces reset, step and describe, draws tasks from every split, and lives episodes under random actions.
    """

    family: Annotated[Positional[str], arg(metavar="FILE.py:FAMILY", help="Your file, and the name in it.")]
    json: Annotated[bool, arg(help="Print the result as JSON.")] = False


@dataclasses.dataclass
class CheckRun:
    """Check a run folder: is every file whole, and what can be resumed? Nothing in it is changed."""

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

    learner_name: Annotated[Positional[str], arg(metavar="LEARNER", help="Name of the learner.")]
    json: Annotated[bool, arg(help="Print as JSON.")] = False


@dataclasses.dataclass
class Doctor:
    """Say what this machine is, and whether adaptax works on it: a training of a few seconds tries it."""

    json: Annotated[bool, arg(help="Print as JSON.")] = False


COMMANDS: dict[str, type] = {
    "train": Train,
    "evaluate": Evaluate,
    "adapt": Adapt,
    "resume": Resume,
    "check": Check,
    "check-run": CheckRun,
    "report": Report,
    "list": List,
    "cite": Cite,
    "doctor": Doctor,
}
