"""(learner, environment) -> preset name -> fields, with `meta_steps` among them. Found by `benchmarks/tuning.py`."""

from typing import Any

Fields = dict[str, Any]

RL2_BANDIT: Fields = {"meta_steps": 1500, "learning_rate": 5e-3, "minibatches": 8}
RL2_GRID: Fields = {"meta_steps": 800, "tasks": 512, "discount": 0.97, "gae_lambda": 0.9, "entropy": 0.03}
RL2_CARTPOLE: Fields = {"meta_steps": 500, "tasks": 64, "across_episodes": False, "gae_lambda": 0.95}
# Three steps of falling size, and an outer loss on what follows each of them.
MAML: Fields = {"inner_steps": 3, "inner_decay": 1.0, "outer_phases": "adapted", "tasks": 20}
BASELINE: Fields = {"inner_decay": 1.0, "tasks": 40}

POINT: Fields = {"inner_lr": 2.0}
POINT_MAML: Fields = MAML | POINT | {"meta_steps": 200, "learning_rate": 3e-3}
POINT_REPTILE: Fields = POINT | {"meta_steps": 200, "inner_steps": 3, "inner_decay": 1.0, "tasks": 20}
POINT_POLICY: Fields = BASELINE | POINT | {"meta_steps": 100, "copies": 20}

CARTPOLE: Fields = {"copies": 10, "inner_lr": 3.0}
CARTPOLE_MAML: Fields = MAML | CARTPOLE | {"meta_steps": 100, "learning_rate": 3e-3}
CARTPOLE_POLICY: Fields = BASELINE | CARTPOLE | {"meta_steps": 50, "learning_rate": 3e-3}

PENDULUM: Fields = {"copies": 10, "inner_lr": 2.0, "discount": 0.9, "gae_lambda": 0.9}
PENDULUM_MAML: Fields = MAML | PENDULUM | {"meta_steps": 300, "learning_rate": 1e-2, "outer_loss": "ppo", "epochs": 4}
PENDULUM_POLICY: Fields = BASELINE | PENDULUM | {"meta_steps": 100, "learning_rate": 3e-3}

TOLD: Fields = {"inner_lr": 0.0}  # the oracle does not adapt
ALONE: Fields = {"meta_steps": 1, "inner_steps": 3}  # nothing is learned across tasks

TUNED: dict[tuple[str, str], dict[str, Fields]] = {
    ("rl2", "bernoulli-bandit"): {"default": RL2_BANDIT, "demo": RL2_BANDIT | {"meta_steps": 1200}},
    ("rl2", "grid-navigation"): {"default": RL2_GRID},
    ("rl2", "cartpole"): {"default": RL2_CARTPOLE},
    ("maml", "point-navigation"): {"default": POINT_MAML},
    ("fomaml", "point-navigation"): {"default": POINT_MAML},
    ("meta-sgd", "point-navigation"): {"default": POINT_MAML},
    ("reptile", "point-navigation"): {"default": POINT_REPTILE},
    ("scratch", "point-navigation"): {"default": BASELINE | POINT | ALONE},
    ("multi-task", "point-navigation"): {"default": POINT_POLICY},
    ("oracle", "point-navigation"): {"default": POINT_POLICY | TOLD},
    ("maml", "cartpole"): {"default": CARTPOLE_MAML},
    ("scratch", "cartpole"): {"default": BASELINE | CARTPOLE | ALONE},
    ("multi-task", "cartpole"): {"default": CARTPOLE_POLICY},
    ("oracle", "cartpole"): {"default": CARTPOLE_POLICY | TOLD},
    ("maml", "pendulum"): {"default": PENDULUM_MAML},
    ("scratch", "pendulum"): {"default": BASELINE | PENDULUM | ALONE},
    ("multi-task", "pendulum"): {"default": PENDULUM_POLICY},
    ("oracle", "pendulum"): {"default": PENDULUM_POLICY | TOLD},
}
