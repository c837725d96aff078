"""What `resume_sb3.py`, `resume_torchrl.py` and `resume_adaptax.py` share: only the standard library and NumPy.

Each of the three is run by the Python of an environment of its own, and prints its column of the table as JSON:

    python benchmarks/resume/resume_sb3.py        # pip install stable-baselines3 sb3-contrib tensorboard
    python benchmarks/resume/resume_torchrl.py    # pip install torchrl gymnasium
    python benchmarks/resume/resume_adaptax.py    # pip install adaptax

All train the cart pole for seconds, and break the training in processes of their own:

    A  the same training twice                         D  SIGKILL in the middle of a save
    B  SIGKILL half-way between two checkpoints        E  one flipped bit in the largest member of a checkpoint
    C  SIGTERM and SIGINT                              F  a checkpoint that is a hostile pickle

A process writes digests of the parts of its state (parameters, optimiser, random numbers, ...) into `parts.jsonl`:
where it saves a checkpoint, where it goes on from one, and at its end. Equal digests are equal bits.
"""

import hashlib
import importlib.metadata
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

SEED, FLIPS = 2026, 20
TOTAL, EVERY, KILLED, CUT = 1280, 256, 640, 768  # steps: trained, between checkpoints, at SIGKILL, at a cut-off save
VARIABLE = "RESUME_BENCHMARK"  # what shall happen where: "640:SIGKILL", "768:cut"


def digest(value: Any) -> str:
    """SHA-256 of a nest of arrays, tensors and plain values."""
    state = hashlib.sha256()

    def feed(value: Any) -> None:
        if isinstance(value, dict):
            for key in sorted(value, key=str):
                state.update(f"{key}:".encode())
                feed(value[key])
        elif isinstance(value, list | tuple | deque):
            for one in value:
                feed(one)
        elif hasattr(value, "dtype"):
            array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
            state.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
        else:
            state.update(repr(value).encode())

    feed(value)
    return state.hexdigest()


def note(folder: Path, when: str, step: int, parts: dict[str, Any]) -> None:
    """Adds the digests of the parts of a state to `parts.jsonl`."""
    line = {"when": when, "step": step, "parts": {name: digest(value) for name, value in parts.items()}}
    with (folder / "parts.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def noted(folder: Path, when: str, step: int | None = None) -> dict[str, str]:
    """The digests of the last such line."""
    lines = [json.loads(line) for line in (folder / "parts.jsonl").read_text().splitlines()]
    return [line for line in lines if line["when"] == when and step in (None, line["step"])][-1]["parts"]


def equal(one: dict[str, str], other: dict[str, str]) -> dict[str, bool]:
    """Which parts are equal bit for bit."""
    return {name: one[name] == other[name] for name in one if name in other}


def asked(step: int) -> str:
    """What shall happen at this step: the name of a signal, "cut" (a save), or nothing."""
    at, _, what = os.environ.get(VARIABLE, "").partition(":")
    return what if at and step == int(at) else ""


def strike(step: int) -> None:
    """Sends the signal that was asked for at this step to this process."""
    if (name := asked(step)).startswith("SIG"):
        os.kill(os.getpid(), signal.Signals[name])


def cut(path: Path) -> None:
    """Leaves a file half written, as the end of a process in the middle of writing it does."""
    os.truncate(path, path.stat().st_size // 2)
    os.kill(os.getpid(), signal.SIGKILL)


def child(words: Iterable[Any], what: str = "", **environment: str) -> tuple[int, str]:
    """Runs the script that asks in a process of its own: the exit code, and the last line it says."""
    script = [sys.executable, sys.argv[0], *map(str, words)]
    ended = subprocess.run(
        script, env=os.environ | {VARIABLE: what} | environment, capture_output=True, text=True, timeout=300
    )
    said = [line for line in ended.stderr.strip().splitlines() if line.strip()]
    return ended.returncode, said[-1] if said else ""


def files(folder: Path) -> set[str]:
    """The names of all files below a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def flips(path: Path, begin: int, size: int, load: Callable[[], Any]) -> dict[str, Any]:
    """Flips one bit in the middle half of a part of a file, loads, and mends it: how often what came of it.

    Args:
        path: The file.
        begin: First byte of the part.
        size: Bytes of the part.
        load: Loads the checkpoint; returns the digest of what was loaded.
    """
    rng, whole, truth = random.Random(SEED), path.read_bytes(), load()
    counts: dict[str, Any] = {"detected": 0, "silent": 0, "without effect": 0, "messages": []}
    for _ in range(FLIPS):
        place, bit = begin + size // 4 + rng.randrange(size // 2), rng.randrange(8)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
        loaded: list[Any] = []
        said = said_by(lambda loaded=loaded: loaded.append(load()))
        counts["detected" if said else "without effect" if loaded[0] == truth else "silent"] += 1
        counts["messages"] += [said] if said and said not in counts["messages"] else []
        path.write_bytes(whole)
    counts["messages"] = counts["messages"][:3]
    return counts


def short(text: str) -> str:
    """The beginning of a message, without folders."""
    return re.sub(r"[^\s'\"]*/(?=[^/\s]+)", "", text.strip().partition("\n")[0])[:160]


def said_by(call: Callable[[], Any]) -> str:
    """What a call fails with; nothing if it does not."""
    try:
        call()
    except Exception as error:  # whatever a user would see
        return short(f"{type(error).__name__}: {error}")
    return ""


class Canary:
    """Unpickled, it leaves a mark: harmless, and proof that a file could run anything."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def hostile(mark: Path, load: Callable[[], Any]) -> dict[str, Any]:
    """Loads what a hostile person made: whether its code ran, and what was said."""
    said, ran = said_by(load), mark.exists()
    mark.unlink(missing_ok=True)
    return {"code ran": ran, "said": said}


def broken(home: Path, words: Callable[[str, Path], list[Any]], lines: Callable[[Path], list]) -> dict[str, Any]:
    """Rows A to D without what differs between projects.

    Args:
        home: A new folder.
        words: The arguments for "train" or "resume" and a folder.
        lines: The metrics that a folder holds: `(name, step, value)`.
    """
    found: dict[str, Any] = {}
    for name, what in [("whole", ""), ("again", ""), ("killed", f"{KILLED}:SIGKILL"), ("cut", f"{CUT}:cut")]:
        (home / name).mkdir(parents=True)
        code, said = child(words("train", home / name), what)
        expected = -signal.SIGKILL if what else 0
        assert code == expected, f"{name}: {code}, {said}"
    found["A"] = equal(noted(home / "whole", "end"), noted(home / "again", "end"))
    whole, killed = home / "whole", home / "killed"
    left, before = files(killed), lines(killed)
    code, said = child(words("resume", killed))
    assert code == 0, said
    step, after, truth = resumed_from(killed), lines(killed), lines(whole)
    found["B"] = {
        "resumed from step": step,
        "restored": equal(noted(whole, "checkpoint", step), noted(killed, "restored")),
        "as at the very beginning": equal(noted(whole, "begun"), noted(killed, "restored")),
        "equal at the end": equal(noted(whole, "end"), noted(killed, "end")),
        "metrics": {
            "equal": after == truth,
            "points of the whole run": len(truth),
            "points of lost steps that stay": 0
            if after == truth
            else sum(one[1] > step and one in after for one in before),
            "points told twice": len(after) - len({one[:2] for one in after}),
        },
    }
    found["C"] = {}
    for name in ("SIGTERM", "SIGINT"):
        (home / name).mkdir()
        code, said = child(words("train", home / name), f"{KILLED}:{name}")
        more = sorted(path for path in files(home / name) - left if "tfevents" not in path)
        found["C"][name] = {"exit code": code, "said": said, "files more than after SIGKILL": more}
    code, said = child(words("resume", home / "cut"))
    found["D"] = {"exit code": code, "said": short(said)}
    if code == 0:
        found["D"]["equal at the end"] = equal(noted(whole, "end"), noted(home / "cut", "end"))
        found["D"]["resumed from step"] = resumed_from(home / "cut")
    return found


def resumed_from(folder: Path) -> int:
    """The step that a training went on from, at last."""
    lines = [json.loads(line) for line in (folder / "parts.jsonl").read_text().splitlines()]
    return [line["step"] for line in lines if line["when"] == "restored"][-1]


def listed(names: Iterable[str]) -> str:
    """Words with commas."""
    return ", ".join(names) or "nothing"


def rows(found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Verdicts and sentences, by the same rules for all projects.

    Args:
        found: What was measured in each setting.
    """

    def row(question: str, verdicts: Iterable[str], says: Callable[[dict[str, Any]], str]) -> dict[str, Any]:
        told = set(verdicts)
        sentences = {name: says(one) for name, one in found.items()}
        alike = len(set(sentences.values())) == 1
        text = next(iter(sentences.values())) if alike else " ".join(f"{n}: {s}" for n, s in sentences.items())
        return {"question": question, "verdict": told.pop() if len(told) == 1 else "partly", "says": text}

    def different(parts: dict[str, bool]) -> str:
        return listed(name for name, alike in parts.items() if not alike)

    def resumed(one: dict[str, Any]) -> str:
        b = one["B"]
        if all(b["equal at the end"].values()) and b["metrics"]["equal"]:
            return f"Goes on from step {b['resumed from step']}; everything at the end is equal, metrics too."
        stale = b["metrics"]["points of lost steps that stay"]
        return (
            f"Goes on from step {b['resumed from step']}; not restored: {different(b['restored'])}; different at the "
            f"end: {different(b['equal at the end'])}; {stale} logged points of the lost steps stay in the metrics."
        )

    def signalled(one: dict[str, Any]) -> str:
        told = []
        for name, what in one["C"].items():
            saved = "saves a checkpoint" if what["files more than after SIGKILL"] else "saves nothing"
            told.append(f"{name} {saved}, exit code {what['exit code']}")
        return "; ".join(told) + "."

    def inside(one: dict[str, Any]) -> str:
        if one["D"]["exit code"] == 0:
            end = "equal" if all(one["D"]["equal at the end"].values()) else "different"
            return f"Goes on by itself from the older one, of step {one['D']['resumed from step']}; the end is {end}."
        by_hand = "; the older one loads when it is named by hand" if one["D"].get("the older one, by hand") else ""
        return f"Refused with {one['D']['said']!r}{by_hand}."

    def flipped(one: dict[str, Any]) -> str:
        told = [
            f"{name}: {what['detected']} of {FLIPS} found, {what['silent']} loaded" for name, what in one["E"].items()
        ]
        if halved := one["D"].get("a published file halved"):
            taken = "loaded without a word" if halved["other values loaded"] else f"found, step {halved['taken']} taken"
            told += [f"a file cut to half after it was saved: {taken}"]
        return "; ".join(told) + "."

    def opened(one: dict[str, Any]) -> str:
        ran = [name for name, what in one["F"].items() if what["code ran"]]
        return f"Code ran from: {listed(ran)}; not from: {listed(name for name in one['F'] if name not in ran)}."

    def fallen_back(one: dict[str, Any]) -> str:
        if one["D"]["exit code"] == 0:
            return "yes"
        return "partly" if one["D"].get("the older one, by hand") else "no"

    yes = {True: "yes", False: "no"}
    every = list(found.values())
    shares = [what["detected"] / FLIPS for one in every for what in one["E"].values()]
    ends = [all(one["B"]["equal at the end"].values()) and one["B"]["metrics"]["equal"] for one in every]
    saved = [bool(what["files more than after SIGKILL"]) for one in every for what in one["C"].values()]
    harmless = [not any(what["code ran"] for what in one["F"].values()) for one in every]
    told = {
        "A": row(
            "Do two uninterrupted runs with one seed end equal, bit for bit?",
            (yes[all(one["A"].values())] for one in every),
            lambda one: "Every part is equal." if all(one["A"].values()) else f"Different: {different(one['A'])}.",
        ),
        "B": row("Does a killed and resumed run end equal, bit for bit?", (yes[end] for end in ends), resumed),
        "C": row("Do SIGTERM and SIGINT save before they end the process?", (yes[one] for one in saved), signalled),
        "D": row(
            "After SIGKILL inside a save, does resuming go on from the older one?", map(fallen_back, every), inside
        ),
        "E": row(
            "Is one flipped bit found?",
            ["yes" if min(shares) == 1 else "no" if max(shares) == 0 else "partly"],
            flipped,
        ),
        "F": row("Does opening a hostile checkpoint run no code?", (yes[one] for one in harmless), opened),
    }
    parts = sorted({part for one in every for part in one["B"]["restored"]})
    told["B"]["restored"] = {}
    for part in parts:
        alike = {one["B"]["restored"][part] for one in every if part in one["B"]["restored"]}
        told["B"]["restored"][part] = yes[alike.pop()] if len(alike) == 1 else "partly"
    told["B"]["metrics continue without duplicates"] = yes[all(one["B"]["metrics"]["equal"] for one in every)]
    return told


def column(project: str, packages: Iterable[str], run: str, promises: str, found: dict[str, dict[str, Any]]) -> str:
    """A column of the table as JSON."""
    versions = {package: importlib.metadata.version(package) for package in packages}
    head = {"project": project, "versions": versions, "run": run, "promises": promises}
    return json.dumps(head | {"rows": rows(found), "measured": found}, indent=2)


def scratch() -> Path:
    """A new folder of the operating system's."""
    return Path(tempfile.mkdtemp(prefix="resume-"))
