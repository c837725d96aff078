"""The page "Reproducibility and recovery", its numbers taken from what the tests measured."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

FAULTS = {
    "F01": "killed at a random moment of a training",
    "F02": "killed inside a write",
    "F03": "killed again while it resumes",
    "F04": "ended by a scheduler (SIGTERM), at every meta-step; 200 MB to save",
    "F05": "Ctrl-C once and twice: while it computes, validates, saves; at a terminal and without",
    "F06": "ended inside a chunk that lasts too long",
    "F07": "the terminal is closed; the reader of its output goes away; started with nohup",
    "F08": "resumed with another learner, environment or configuration",
    "F10": "a finished run is resumed",
    "F11": "a checkpoint of an earlier format, and one of a later",
    "F12": "files cut, bits flipped, files deleted, swapped",
    "F13": "the disk fills up during a save",
    "F14": "the disk is too small to begin with",
    "F15": "the run folder cannot be, or vanishes",
    "F16": "a line of metrics is torn",
    "F17": "old checkpoints are removed while saves fail",
    "F18": "the folder is copied, moved, linked, zipped, renamed in another script",
    "F19": "memory while a large state is saved",
    "F20": "a simulator raises",
    "F24": "episodes end by time or by themselves; environments that reset themselves",
    "F25": "observations and rewards that are not what was declared, at the start or later",
    "F30": "the same seed in other processes, languages, time zones",
    "F31": "ten seeds",
    "F33": "1, 2, 4 and 8 devices",
    "F34": "other intervals of logs, validations and checkpoints",
    "F35": "eight seeds at once against eight single runs",
    "F37": "NaN or infinity in a reward, observation, action, loss, gradient or parameter",
    "F38": "rewards of 1e30, observations of 1e8, nothing to learn from",
    "F39": "settings out of range",
    "F40": "pickles offered as checkpoints",
    "F41": "code in configurations",
    "F43": "paths that leave the folder",
    "F44": "files that would take all memory",
    "F46": "calls in our source that turn data into code",
    "F48": "secrets in the environment",
    "F49": "misspelt words on the command line",
    "F51": "32 runs started at one instant",
    "F52": "two processes resume one run",
    "F53": "the folder exists already",
    "F54": "the memory of the device does not suffice (simulated)",
    "F55": "the operating system limits memory",
    "F56": "ten thousand chunks",
    "F57": "two hundred runs in one process",
    "F58": "the clock jumps",
    "F59": "poor terminals and locales",
    "F60": "a machine whose GPU is not used (a fake one)",
    "F64": "imported into another program",
    "costs": "what care costs",
}
ROWS = {
    "A": "two runs with one seed are equal",
    "B": "killed and resumed, the end is equal bit for bit",
    "C": "SIGTERM and SIGINT save first",
    "D": "killed inside a save, it goes on from the older one by itself",
    "E": "one flipped bit is found (20 trials a file)",
    "F": "a hostile checkpoint runs no code",
}


def page(results: Path, table: Callable[[list[str], list[list[str]]], str]) -> str:
    """The page, from `reliability.json` and `resume.json`."""
    reliability, others = (json.loads((results / f"{name}.json").read_text()) for name in ("reliability", "resume"))
    text = (Path(__file__).parent / "recovery.template.md").read_text(encoding="utf-8")
    numbers = numbers_of(reliability["faults"])
    parts = {"faults": faults_table(reliability["faults"], table), "others": others_table(others, table)}
    parts["notes"] = "\n".join(f"- {note}" for note in others["notes"])
    parts["machine"] = f"{reliability['machine']}, jax {reliability['jax']}"
    return text.format(**parts, **numbers)


def numbers_of(faults: dict[str, Any]) -> dict[str, Any]:
    """What the page says in its sentences."""
    measured = {name: fault["measured"] for name, fault in faults.items()}
    one = lambda fault, words: next(value for key, value in measured[fault].items() if words in key)
    every = lambda fault, words: [value for key, value in measured[fault].items() if words in key]
    return {
        "kills": sum(every("F01", "kills in the middle")),
        "learners": len(every("F01", "kills in the middle")),
        "damages": one("F12", "damages made"),
        "save": one("F04", "200 MB"),
        "leaf": one("F19", "largest leaf"),
        "checkpoints": f"{one('costs', 'checkpoints'):.1%}",
        "between": f"{one('costs', 'progress'):.1%}",
        "looking": f"{one('costs', 'looking'):.1%}",
        "growth": one("F56", "memory after"),
        "runs": one("F57", "runs, and")[0],
        "seeds": f"{worst:.0e}" if (worst := one("F35", "largest difference")) else "nothing",
        "float64": f"{max(one('F33', 'float64')):.0e}",
        "float32": f"{max(one('F33', 'float32')):.0e}",
        "words": one("F49", "misspelt")[0],
        "right": one("F49", "misspelt")[1],
    }


def faults_table(faults: dict[str, Any], table: Callable[[list[str], list[list[str]]], str]) -> str:
    """Every fault that tests provoke, and how many tests that is."""
    rows = []
    for name, fault in faults.items():
        passed = f"{fault['passed']} of {fault['tests']}"
        rows.append([name, FAULTS[name], passed, f"{fault['seconds']:.0f}"])
    return table(["", "what happens", "tests passed", "seconds"], rows)


def others_table(data: dict[str, Any], table: Callable[[list[str], list[list[str]]], str]) -> str:
    """The same procedure against other projects."""
    columns = data["columns"]
    versions = lambda column: ", ".join(f"{name} {number}" for name, number in column["versions"].items())
    rows = [["versions", *map(versions, columns)]]
    for row, words in ROWS.items():
        rows.append([words, *(f"**{c['rows'][row]['verdict']}**: {c['rows'][row]['says']}" for c in columns)])
    return table(["", *(column["project"] for column in columns)], rows)
