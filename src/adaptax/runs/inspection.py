"""Whether every file of a run folder is whole, and what can be gone on with. It reads; nothing there is changed."""

import dataclasses
import json
import re
import shlex
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from adaptax import checkpoint as checkpoints
from adaptax.config import problems_of
from adaptax.core.env import AbstractEnvironment
from adaptax.core.learner import Learner
from adaptax.core.types import PyTree
from adaptax.errors import CheckpointError, ConfigError
from adaptax.registry import ENVIRONMENTS, LEARNERS, make, make_learner
from adaptax.runs.folder import read_config, user_of
from adaptax.runs.log import LOGS
from adaptax.runs.run import template
from adaptax.runs.settings import Settings, number_problems, sweep_problems
from adaptax.runs.stored import altered, complete

STATUSES = ("created", "running", "finished", "stopped", "preempted", "failed")
ORDERLY = ("finished", "stopped", "failed")  # their processes had the time to end every line
RESULT = ("learner", "environment", "split", "total_return", "episode_return")
SHOWN = 10  # lines, or meta-steps, that are named


class Inspection(NamedTuple):
    """What is in a run folder, what is wrong with it, and what can be done."""

    folder: Path
    status: str | None  # from run.json; None where that is damaged
    reason: str | None  # why it failed
    learner: str | None
    environment: str | None
    meta_steps: int | None  # that the training is to have
    checkpoints: list[int]  # those that are whole
    lines: dict[str, int]  # whole ones, of each log
    user: str | None  # the process that trains it now
    damaged: list[str]  # a sentence for each thing
    notes: list[str]  # worth knowing, and no damage
    step: int | None  # meta-step that `resume` goes on from; None where it cannot
    outlook: str  # what can be done, in one sentence

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        return self._asdict() | {"folder": str(self.folder), "whole": not self.damaged}


@dataclasses.dataclass
class Findings:
    """What is found along the way."""

    folder: Path
    damaged: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    blocks: list[str] = dataclasses.field(default_factory=list)  # why nothing can be resumed
    own: list[str] = dataclasses.field(default_factory=list)  # "env" and "learner", where no folder can hold them

    def damage(self, *words: str, blocks: bool = False) -> None:
        """Notes what is damaged, and perhaps that it keeps the run from going on."""
        short = [text.removeprefix(f"{self.folder}/") for text in words]
        self.damaged += short
        self.blocks += short if blocks else []


class Log(NamedTuple):
    """A file of lines: the meta-steps of those that are whole, and the numbers of the others."""

    steps: list[int]
    damaged: list[int]
    cut: list[int]  # the beginning of a line only, as a killed process leaves it
    torn: bool  # the last of all is cut


def inspect_run(folder: str | Path) -> Inspection:
    """Looks at every file of a run folder, and changes none.

    Raises:
        CheckpointError: the folder is no run.
    """
    folder = Path(folder)
    if not any((folder / name).exists() for name in ("run.json", "config.json", "checkpoints", "metrics.jsonl")):
        read_config(folder)
    found, user = Findings(folder), user_of(folder)
    info, problem = _object(folder / "run.json")
    if not problem and info.get("status") not in STATUSES:
        problem = f"run.json has the status {info.get('status')!r}, which is none"
    found.damage(*[problem] if problem else [])
    status = None if problem else str(info["status"])
    config = _config(found)
    whole = _checkpoints(user, found)
    built, settings = _built(config, found) if config else (None, None)
    _judge_newest(config, built, whole, found)
    logs = _logs(whole, status, user, found)
    _kept(found)
    _surroundings(status, settings, user, found)
    learner, environment = (config[what]["name"] if config else None for what in ("learner", "environment"))
    meta_steps, reason = settings and settings.meta_steps, info.get("reason")
    step, outlook = _outlook(found, status, meta_steps, whole, user)
    return Inspection(
        folder=folder,
        status=status,
        reason=None if reason is None else str(reason),
        learner=learner,
        environment=environment,
        meta_steps=meta_steps,
        checkpoints=sorted(whole),
        lines={name: len(log.steps) for name, log in logs.items()},
        user=user,
        damaged=found.damaged,
        notes=found.notes,
        step=step,
        outlook=outlook,
    )


def _object(path: Path) -> tuple[dict[str, Any], str]:
    """The object in a JSON file, and what is wrong with the file: nothing where that is empty."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, f"{path.name} is missing"
    except OSError as error:
        return {}, f"{path.name} cannot be read: {error.strerror}"
    except (ValueError, RecursionError) as error:
        return {}, f"{path.name} is damaged: {error}"
    return (data, "") if isinstance(data, dict) else ({}, f"{path.name} is damaged: it holds no object")


def _config(found: Findings) -> dict[str, Any] | None:
    """What `config.json` says, where it can be read."""
    try:
        return read_config(found.folder)
    except CheckpointError as error:
        cause = error.__cause__
        told = _object(found.folder / "config.json")[1]
        told = told or (f"config.json is damaged: {_words(cause)}" if cause else str(error))
        found.damage(told, blocks=True)
        return None


def _words(error: BaseException) -> str:
    return f"it lacks {error}" if isinstance(error, KeyError) else str(error)


def _built(config: dict[str, Any], found: Findings) -> tuple[PyTree, Settings | None]:
    """The shapes of a checkpoint, where learner and environment can be built; the settings, where they are legal."""
    try:
        settings = Settings(**config["settings"])
        wrong = number_problems(config["settings"])
    except TypeError as error:
        settings, wrong = None, [str(error)]
    found.damage(*(f"config.json has settings that this version cannot read: {text}" for text in wrong), blocks=True)
    env, learner = (_made(what, config, found) for what in ("environment", "learner"))
    if wrong or settings is None or not isinstance(env, AbstractEnvironment) or not isinstance(learner, Learner):
        return None, None if wrong else settings
    bound = learner.bind(env.spec(), settings.meta_steps)
    misfits = problems_of(bound, config["learner"]["name"]) + sweep_problems(learner, settings.sweep)
    found.damage(*(f"config.json: {text}" for text in misfits), blocks=True)
    return (None if misfits else template(bound, env, settings)), settings


def _made(what: str, config: dict[str, Any], found: Findings) -> Learner | AbstractEnvironment | None:
    """The learner or the environment of a configuration, where a folder can hold it and its fields are legal."""
    name, fields, own = config[what]["name"], config[what]["fields"], config[what].get("own")
    own = own if isinstance(own, list) else []
    make_it, table = (make_learner, LEARNERS) if what == "learner" else (make, ENVIRONMENTS)
    if name not in table or own:
        parts = f"'s {' and '.join(map(str, own))}" if own else ""
        found.own.append("env" if what == "environment" else what)
        found.notes.append(f"the {what} {name}{parts} is your own: whether checkpoints fit is not looked at")
    if name not in table:
        return None
    try:
        made = complete(make_it(name, **fields), fields)
    except ConfigError as error:
        told = [text if text.startswith("config.json") else f"config.json: {text}" for text in error.problems]
        found.damage(*told, blocks=True)
        return None
    return None if own else made


def _checkpoints(user: str | None, found: Findings) -> dict[int, dict[str, Any]]:
    """The manifests of the checkpoints that are whole, by their number."""
    home, whole = found.folder / "checkpoints", {}
    numbers = checkpoints.numbers(home)
    for number in numbers:
        manifest, damaged = checkpoints.examined(home / str(number))
        if damaged and user and not (home / str(number)).exists():
            continue  # an old one, which the training has removed meanwhile
        found.damage(*damaged)
        if damaged:
            continue
        whole[number] = manifest
        if manifest.get("step") != number:
            found.damage(f"checkpoints/{number} holds meta-step {manifest.get('step')}: it was renamed or copied")
    if numbers and not whole:
        found.blocks.append("no checkpoint is whole")
    return whole


def _judge_newest(
    config: dict[str, Any] | None, built: PyTree, whole: dict[int, dict[str, Any]], found: Findings
) -> None:
    """Whether checkpoints are of the learner and environment of `config.json`; the newest decides what follows."""
    newest = max(whole, default=None)
    if newest is None:
        return
    begun = _notes(whole[newest]).get("config")
    if config is None and begun:
        found.notes.append(f"what config.json held is in checkpoints/{newest}/manifest.json, under notes.config")
    if config and isinstance(begun, dict) and (wrong := altered(begun, config)):
        found.damage(*(f"config.json is not what the run began with: {text}" for text in wrong), blocks=True)
        return
    misfits = {number: _misfit(found.folder / "checkpoints" / str(number), built) for number in whole}
    found.damage(*(misfit for misfit in misfits.values() if misfit))
    if misfits[newest]:
        found.blocks.append(f"checkpoints/{newest} does not fit this learner and environment")


def _notes(manifest: dict[str, Any]) -> dict[str, Any]:
    return manifest.get("notes") or {}


def _misfit(path: Path, built: PyTree) -> str:
    """How a checkpoint does not fit the learner and environment; nothing where it does, or these are not known."""
    try:
        if built is not None:
            checkpoints.require_readable(path / checkpoints.STATE, built)
    except CheckpointError as error:
        return str(error)
    return ""


def _logs(whole: dict[int, dict[str, Any]], status: str | None, user: str | None, found: Findings) -> dict[str, Log]:
    """Both logs, judged."""
    logs = {}
    for name in LOGS:
        path = found.folder / f"{name}.jsonl"
        try:
            logs[name] = _read_log(path) if path.exists() else Log([], [], [], False)
        except OSError as error:
            found.damage(f"{path.name} cannot be read: {error.strerror}", blocks=True)
            continue
        _judge(name, logs[name], status, user, found)
    newest = max(whole, default=0)
    if (log := logs.get("events")) and not log.steps and newest:
        found.damage(f"events.jsonl has no line, though checkpoints/{newest} was written")
    if log := logs.get("metrics"):
        _judge_metrics(log, whole, found)
    return logs


def _read_log(path: Path) -> Log:
    """A file of lines.

    Raises:
        OSError: it cannot be read.
    """
    steps: list[int] = []
    damaged: list[int] = []
    cut: list[int] = []
    text = b""
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            try:
                step = json.loads(text)["step"]
            except (ValueError, TypeError, KeyError, RecursionError):
                step = None
            if type(step) is int:
                steps.append(step)
            else:
                (damaged if text.rstrip().endswith(b"}") else cut).append(number)
    return Log(steps, damaged, cut, bool(cut) and not text.endswith(b"\n"))


def _judge(name: str, log: Log, status: str | None, user: str | None, found: Findings) -> None:
    """Tells lines that a kill has cut off, which is no damage, from those that are damaged."""
    last, cut = (log.cut[-1:], log.cut[:-1]) if log.torn else ([], log.cut)
    if last and (user or status not in ORDERLY):
        after = "is being written" if user else "was cut off when its process was killed: `adaptax resume` mends it"
        found.notes.append(f"the last line of {name}.jsonl {after}")
        last = []
    if name == "events" and cut:  # resuming ends such a line; that of metrics it drops
        found.notes.append(f"events.jsonl was gone on with after a kill, which had cut off line {_few(cut)}")
        cut = []
    if lines := sorted([*log.damaged, *cut, *last]):
        found.damage(f"{name}.jsonl is damaged: line {_few(lines)} cannot be read")


def _judge_metrics(log: Log, whole: dict[int, dict[str, Any]], found: Findings) -> None:
    """Whether there is a line for each log point that the newest checkpoint knows of, in order, and none twice."""
    if twice := sorted({step for step, number in Counter(log.steps).items() if number > 1}):
        found.damage(f"metrics.jsonl is damaged: it has more than one line of meta-step {_few(twice)}")
    if back := [now for before, now in pairwise(log.steps) if now < before]:
        found.damage(f"metrics.jsonl is damaged: it goes back to meta-step {_few(back)}")
    newest = max(whole, default=None)
    if newest is None:
        if log.steps and not checkpoints.numbers(found.folder / "checkpoints"):
            found.damage(f"no checkpoint is there, though metrics.jsonl goes to meta-step {max(log.steps)}")
        return
    line = _notes(whole[newest]).get("line", 0)
    if line and line not in log.steps:
        found.damage(f"metrics.jsonl lacks the line of meta-step {line}, which checkpoints/{newest} came after")


def _few(numbers: list[int]) -> str:
    more = f" and {len(numbers) - SHOWN} more" if len(numbers) > SHOWN else ""
    return ", ".join(map(str, numbers[:SHOWN])) + more


def _kept(found: Findings) -> None:
    """Results of `evaluate` and agents kept by `adapt`, as far as their formats say whether they are whole."""
    for path in sorted((found.folder / "eval").glob("*.json")):
        data, problem = _object(path)
        lacking = [name for name in RESULT if name not in data]
        if not problem and lacking:
            problem = f"{path.name} is no result of `adaptax evaluate`: it lacks {', '.join(lacking)}"
        found.damage(*[f"eval/{problem}"] if problem else [])
    for path in sorted((found.folder / "adapted").glob("*.safetensors")):
        try:
            checkpoints.require_readable(path)
        except CheckpointError as error:
            found.damage(str(error))
        except OSError as error:
            found.damage(f"{path} cannot be read: {error.strerror}")


def _surroundings(status: str | None, settings: Settings | None, user: str | None, found: Findings) -> None:
    """What lies about: leftovers, what stands where files must be written, and an end that nobody wrote down."""
    folder, home = found.folder, found.folder / "checkpoints"
    for path in (folder / "run.json", folder / "metrics.jsonl", folder / "events.jsonl"):
        if path.is_dir():
            found.blocks.append(f"{path.name} is a folder")
    if home.exists() and not home.is_dir():
        found.damage("checkpoints is no folder", blocks=True)
    last = settings.meta_steps if settings else 0
    if status == "finished" and last > max(checkpoints.numbers(home), default=0):
        found.damage(f"checkpoints/{last} is missing, though the training is finished")
    if user:
        return
    if status == "running":
        found.notes.append("no process trains it, and none wrote down its end: it was killed, or the machine went down")
    for path in sorted(home.iterdir() if home.is_dir() else []):
        if path.name.startswith("."):
            found.notes.append(f"checkpoints/{path.name} is left of a write that was cut off: resuming removes it")
        elif not path.name.isdigit():
            found.notes.append(f"checkpoints/{path.name} is no checkpoint: adaptax does not look at it")
    for path in sorted([*folder.glob(".*.*"), *(folder / "eval").glob(".*.*")]):
        if re.fullmatch(r"\..+\.\d+", path.name):
            left = path.relative_to(folder)
            found.notes.append(f"{left} is left of a write that was cut off: it can be deleted")


def _outlook(
    found: Findings, status: str | None, meta_steps: int | None, whole: dict[int, dict[str, Any]], user: str | None
) -> tuple[int | None, str]:
    """The meta-step that a resumption goes on from, and what can be done, in one sentence."""
    run = shlex.quote(str(found.folder))
    again = f"`adaptax resume {run}{' --env-file file.py:Name' if found.own else ''}`"
    if "learner" in found.own:
        given = "".join(f", {name}=..." for name in found.own)
        again = f"in Python, `adaptax.resume({str(found.folder)!r}{given})`"
    if user:
        return None, f"{user} is training it: wait for it, or end it first"
    if found.blocks:
        why = "; ".join(dict.fromkeys(found.blocks))
        return None, f"nothing can be resumed, because {why}: mend it, or bring it back from a copy"
    step = whole[max(whole)].get("step", max(whole)) if whole else 0
    if not whole:
        return 0, f"{again} begins at meta-step 0: there is no checkpoint yet"
    if step == meta_steps:
        unsaid = "" if status == "finished" else f", and {again} only writes that down"
        return step, f"finished: all {meta_steps} meta-steps are done{unsaid}"
    return step, f"{again} goes on from meta-step {step} of {meta_steps}"
