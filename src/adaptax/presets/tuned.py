"""(learner, environment) -> preset name -> fields, with `meta_steps` among them."""

from typing import Any

Fields = dict[str, Any]

RL2_BANDIT: Fields = {"meta_steps": 2000}
RL2_GRID: Fields = {"meta_steps": 800, "tasks": 512, "discount": 0.97, "gae_lambda": 0.9, "entropy": 0.03}
POINT: Fields = {"inner_lr": 2.0, "inner_decay": 1.0, "inner_steps": 3}
MAML_POINT: Fields = POINT | {"meta_steps": 300, "outer_phases": "adapted", "learning_rate": 1e-2}

TUNED: dict[tuple[str, str], dict[str, Fields]] = {
    ("rl2", "bernoulli-bandit"): {"default": RL2_BANDIT, "demo": {"meta_steps": 1200}},
    ("rl2", "grid-navigation"): {"default": RL2_GRID},
    ("maml", "point-navigation"): {"default": MAML_POINT},
    ("fomaml", "point-navigation"): {"default": MAML_POINT},
    ("meta-sgd", "point-navigation"): {"default": MAML_POINT},
    ("reptile", "point-navigation"): {"default": POINT | {"meta_steps": 300}},
    ("scratch", "point-navigation"): {"default": POINT | {"meta_steps": 1}},
    ("rl2", "cartpole"): {"default": {"meta_steps": 500, "tasks": 64, "across_episodes": False, "gae_lambda": 0.95}},
}
