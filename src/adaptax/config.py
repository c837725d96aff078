"""Configuration: the public fields of learners and environments, their ranges, and what is wrong with a value."""

import dataclasses
import difflib
import inspect
import math
import re
import types
import typing
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from adaptax.errors import ConfigError
from adaptax.fields import Range

SIMPLE = (bool, int, float, str)


class Field(NamedTuple):
    """A field that a user may set."""

    name: str
    kind: type  # bool, int, float or str
    default: Any
    help: str
    range: Range | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False

    def legal(self, value: Any = None) -> str:
        """What may stand here, in words; said of a value that is too large, with the largest."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        extent = str(self.range or "")  # empty where every number will do
        if self.range and isinstance(value, int | float) and value > self.range.high:
            extent = self.range.words(up_to=True)
        number = "a number" if extent else "a finite number"
        words = {bool: "True or False", int: "a whole number", float: number, str: "text"}[self.kind]
        return f"{words} {extent}".rstrip() + (" or None" if self.optional else "")

    def parse(self, text: str) -> Any:
        """The value that `text` stands for.

        Raises:
            ValueError: it stands for none.
        """
        if self.optional and text == "None":
            return None
        if self.kind is bool:
            return {"true": True, "false": False}[text.lower()] if text.lower() in ("true", "false") else int("x")
        return self.kind(text)

    def wrong(self, value: Any) -> bool:
        """Whether `value` is not legal."""
        if value is None:
            return not self.optional
        if self.choices:
            return value not in self.choices
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not self.kind:
            return True
        if self.kind is float and not math.isfinite(value):
            return True
        return self.range is not None and value not in self.range

    def problems(self, where: str, value: Any) -> list[str]:
        """What is wrong with `value`, in words."""
        return [f"{where} is {value!r}; it must be {self.legal(value)}"] if self.wrong(value) else []


def describe_field(name: str, hint: Any, default: Any, help_text: str) -> Field | None:
    """The field as users see it; None where it is not for the command line (a network, a function)."""
    extent, optional = None, False
    if typing.get_origin(hint) is typing.Annotated:
        hint, *marks = typing.get_args(hint)
        extent = next((mark for mark in marks if isinstance(mark, Range)), None)
    if typing.get_origin(hint) in (types.UnionType, typing.Union) and type(None) in typing.get_args(hint):
        rest = [h for h in typing.get_args(hint) if h is not type(None)]
        if len(rest) != 1:
            return None
        inner = describe_field(name, rest[0], default, help_text)
        return inner and inner._replace(optional=True)
    if typing.get_origin(hint) is Literal:
        return Field(name, str, default, help_text, choices=typing.get_args(hint))
    return Field(name, hint, default, help_text, extent, (), optional) if hint in SIMPLE else None


def fields_of(config: Any) -> dict[str, Field]:
    """The public fields of an instance of a learner or environment, with their help from its docstring."""
    cls = type(config)
    hints = typing.get_type_hints(cls, include_extras=True)
    helps = attributes_of(cls)
    found = (
        describe_field(f.name, hints[f.name], getattr(config, f.name), helps.get(f.name, ""))
        for f in dataclasses.fields(cls)
        if f.init
    )
    return {field.name: field for field in found if field}


def attributes_of(cls: type) -> dict[str, str]:
    """The `Attributes:` sections of a class and of those it inherits from, in the order of the fields."""
    helps: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        name = ""
        for line in inspect.cleandoc(base.__doc__ or "").split("Attributes:\n", 1)[-1].splitlines():
            entry = re.match(r"    (\w+): (.*)", line)
            if entry:
                name, helps[entry[1]] = entry[1], entry[2]
            elif name and line.startswith("        "):
                helps[name] += " " + line.strip()
            elif line.strip():
                break
    return helps


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the name that was meant, or the list of names."""
    known, word = sorted(known), _word(name)
    close = [other for other in known if _word(other) == word]  # --learner.meta-steps: --meta-steps
    close = close or [other for other in known if _initials(other) == word]  # lr: learning-rate
    likely = difflib.get_close_matches(word, [_word(other) for other in known], 1, 0.5)
    close = close or [other for other in known if _word(other) in likely]
    return f"did you mean '{close[0]}'?" if close else "it is one of " + ", ".join(known)


def _word(name: str) -> str:
    return name.rpartition(".")[2].lstrip("-")


def _initials(name: str) -> str:
    return "".join(part[:1] for part in re.split("[-_]", _word(name)))


def checked_arguments(**given: tuple[Any, Any]) -> list[Any]:
    """The values of arguments, each `name=(value, type)` with a type such as `Count`; numpy's numbers as Python's.

    Raises:
        ConfigError: naming all that are wrong.
    """
    values, found = [], []
    for name, (value, hint) in given.items():
        field = describe_field(name, hint, None, "")
        assert field is not None
        values.append(value.item() if getattr(value, "shape", None) == () else value)
        found += field.problems(name, values[-1])
    if found:
        raise ConfigError(*found)
    return values


def problems_of(config: Any, where: str) -> list[str]:
    """All that is wrong with an instance: values out of range, then what its own `problems` says."""
    fields = fields_of(config).values()
    found = [problem for field in fields for problem in field.problems(f"{where}.{field.name}", field.default)]
    return found or [f"{where}: {problem}" for problem in config.problems()]


def replaced(config: Any, changes: dict[str, Any], where: str) -> Any:
    """A copy with some fields changed.

    Raises:
        ConfigError: a name or a value is wrong; all of them are named.
    """
    known, found = fields_of(config), []
    for name, value in changes.items():
        if name not in known:
            found.append(f"{where} has no field '{name}'; {nearest(name, known)}")
        else:
            found += known[name].problems(f"{where}.{name}", value)
    if found:
        raise ConfigError(*found)
    numbers = {n: float(v) if known[n].kind is float and v is not None else v for n, v in changes.items()}
    changed = dataclasses.replace(config, **numbers)
    if left := problems_of(changed, where):
        raise ConfigError(*left)
    return changed
