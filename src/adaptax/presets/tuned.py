"""(learner, environment) -> preset name -> fields, with `meta_steps` among them."""

from typing import Any

TUNED: dict[tuple[str, str], dict[str, dict[str, Any]]] = {
    ("rl2", "bernoulli-bandit"): {"default": {"meta_steps": 1500}},
}
