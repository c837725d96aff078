"""The commands that make a run and its evaluations again."""

import shlex
from typing import Any

from adaptax.config import fields_of
from adaptax.registry import ENVIRONMENTS, LEARNERS
from adaptax.report.folder import Folder, Result


def recorded_command(folder: Folder) -> str | None:
    """The command line as `run.json` has it."""
    words = folder.info.get("command")
    return shlex.join(str(word) for word in words) if isinstance(words, list) else None


def install_command(folder: Folder) -> str | None:
    """The versions that it ran with."""
    versions = folder.info.get("versions")
    pins = [f"{name}=={version}" for name, version in versions.items()] if isinstance(versions, dict) else []
    return shlex.join(["pip", "install", *pins]) if pins else None


def evaluate_command(folder: Folder, result: Result | None) -> str:
    """The command that makes an evaluation; None stands for the first one, with every default."""
    words = ["adaptax", "evaluate", str(folder.path)]
    if result is None:
        own = folder.config["environment"]["name"] not in ENVIRONMENTS
        return shlex.join([*words, *(["--env-file", "FILE.py:NAME"] if own else [])])
    data, trained = result.data, folder.config["environment"]
    asked = data.get("asked") or {}
    for name, value in asked.items():
        words += [] if value is None else [f"--{name.replace('_', '-')}", str(value)]
    before = trained["fields"] if data["environment"] == trained["name"] else data.get("environment_fields", {})
    found = {} if asked.get("env_file") else data.get("environment_fields") or {}  # a file sets its own fields
    changed = {k: v for k, v in found.items() if before.get(k) != v}
    for group, fields in (("env", changed), ("learner", data.get("learner_fields") or {})):
        for name, value in fields.items():
            words += [f"--{group}.{name.replace('_', '-')}", str(value)]
    return shlex.join(words)


def train_snippet(folder: Folder) -> str:
    """The training in Python, from the resolved configuration: no preset can change under it."""
    learner, env, settings = (folder.config[name] for name in ("learner", "environment", "settings"))
    names = ("meta_steps", "seed", "seeds", "log_every", "validate_every", "checkpoint_every")
    keep = {name: settings[name] for name in names if name in settings}
    keep |= {"sweep": settings["sweep"]} if settings.get("sweep") else {}
    return "\n".join(
        [
            "import adaptax as ax",
            f"learner = {_call('ax.make_learner', learner, LEARNERS)}",
            f"env = {_call('ax.make', env, ENVIRONMENTS)}",
            f"run = ax.train(learner, env, {_keywords(keep)})",
        ]
    )


def _call(function: str, entry: dict[str, Any], table: dict[str, Any]) -> str:
    name, fields = entry["name"], entry.get("fields") or {}
    if name not in table:
        return f"...  # your own, not registered: {name}({_keywords(fields)})"
    defaults = {key: field.default for key, field in fields_of(table[name]()).items()}
    changed = {key: value for key, value in fields.items() if key not in defaults or defaults[key] != value}
    own = [f"{field}=..." for field in entry.get("own", [])]
    words = [repr(name), *([_keywords(changed)] if changed else []), *own]
    return f"{function}({', '.join(words)})" + ("  # ... is your own" if own else "")


def _keywords(values: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in values.items())
