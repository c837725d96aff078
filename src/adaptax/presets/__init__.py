"""Tuned settings for each pair of learner and environment: part of the product, chosen on validation tasks."""

from typing import Any

from adaptax.core.learner import Learner
from adaptax.presets.tuned import TUNED
from adaptax.registry import lookup, make_learner

DEFAULT_META_STEPS = 500


def preset(learner: str, env: str, name: str = "default") -> tuple[Learner, int]:
    """A learner with its tuned fields, and the meta-steps that go with them.

    Args:
        learner: Its name, for example `"rl2"`.
        env: Name of the environment.
        name: "default", or another preset of the pair.

    Raises:
        ConfigError: the pair has no preset of that name.
    """
    fields = preset_of(learner, env, name)
    meta_steps = fields.pop("meta_steps", DEFAULT_META_STEPS)
    return make_learner(learner, **fields), meta_steps


def preset_fields(learner: str, env: str) -> dict[str, dict[str, Any]]:
    """The presets of a pair: name -> fields, with `meta_steps` among them; an untuned pair has the plain defaults."""
    return {"default": {}} | TUNED.get((learner, env), {})


def preset_of(learner: str, env: str, name: str) -> dict[str, Any]:
    """The fields of one preset.

    Raises:
        ConfigError: the pair has none of that name.
    """
    return dict(lookup(preset_fields(learner, env), name, f"preset of {learner} on {env}"))
