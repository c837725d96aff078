"""(learner, environment) -> preset name -> fields, with `meta_steps` among them.

What a comparison's learners have in common stands first; what `benchmarks/tuning.py` chose stands in the table.
"""

from typing import Any

Fields = dict[str, Any]

RL2_BANDIT: Fields = {"meta_steps": 1500, "learning_rate": 5e-3, "minibatches": 8}
# Lives of a hundred steps: the return is far from one, and what is explored pays late.
RL2_LONG: Fields = {
    "tasks": 256,
    "minibatches": 8,
    "learning_rate": 3e-3,
    "entropy": 0.02,
    "gae_lambda": 0.9,
    "value_scale": 30.0,
}
# The arm that tells is pulled by chance only, until it is known what for: entropy that starts strong and fades.
RL2_INFORMATIVE: Fields = {
    "meta_steps": 1500,
    "minibatches": 8,
    "learning_rate": 5e-3,
    "entropy": 1.0,
    "gae_lambda": 0.95,
    "value_scale": 20.0,
}
# Ten bandits in one life, one in each state: much to keep, and hardly anything to plan.
RL2_TABULAR: Fields = {
    "meta_steps": 800,
    "memory": "attention",
    "tasks": 128,
    "minibatches": 8,
    "learning_rate": 2e-3,
    "discount": 0.5,
    "gae_lambda": 0.5,
    "entropy": 0.02,
    "value_scale": 3.0,
}
RL2_GRID: Fields = {"meta_steps": 1200, "tasks": 512, "discount": 0.97, "gae_lambda": 0.9}
# Four episodes in a training life: one to find the goal, the others to use it.
RL2_POINT: Fields = RL2_LONG | {"meta_steps": 375, "tasks": 128, "episodes": 4, "entropy": 0.0}
# Returns of a hundred steps: a critic that counts in ones has nearly all of the gradient.
RL2_CARTPOLE: Fields = {
    "meta_steps": 300,
    "tasks": 64,
    "minibatches": 8,
    "across_episodes": False,
    "entropy": 0.0,
    "learning_rate": 1e-3,
    "gae_lambda": 0.95,
    "value_scale": 30.0,
}

# Three steps of falling size, and an outer loss on what follows each of them.
MAML: Fields = {"inner_steps": 3, "inner_decay": 1.0, "outer_phases": "adapted", "tasks": 20}
REPTILE: Fields = {"inner_steps": 3, "inner_decay": 1.0, "tasks": 20}
POLICY: Fields = {"inner_decay": 1.0, "tasks": 40}  # one for all tasks, then fine-tuned
ORACLE: Fields = POLICY | {"inner_lr": 0.0}  # told the task; it does not adapt
ALONE: Fields = {"meta_steps": 1, "inner_steps": 3}  # nothing is learned across tasks

# Short: trained on, the policy learns to hold still against its own noise, strays less from the origin in the first
# phase, and so the first step knows the way to the goal but not how far it is.
POINT_MAML: Fields = MAML | {"meta_steps": 60, "tasks": 40, "learning_rate": 3e-3}
CARTPOLE: Fields = {"copies": 10}
# Found for deep Q-learning from scratch; all ways to start a Q-network have it.
TD_CARTPOLE: Fields = {"inner_lr": 3e-3, "n_step": 3, "huber": 100.0}
# Networks made from what is known of a task: many small outer steps, and the best of them on validation tasks is kept.
CONDITIONED: Fields = {"tasks": 64, "outer_updates": 16, "outer_polyak": 0.02, "meta_steps": 300}
# Training lives as long as those of a test: steps that suit the first thousand updates are too large for the next.
BY_UNROLLS: Fields = {"meta_steps": 300, "tasks": 16, "phases": 3, "segments": 33, "learning_rate": 1e-2}
# Few outer steps leave members that have not learned their half of the tasks.
SELECTOR: Fields = {"meta_steps": 160, "phases": 2, "epochs": 6, "minibatches": 8}
PENDULUM: Fields = {"discount": 0.9, "gae_lambda": 0.9}
PENDULUM_MAML: Fields = MAML | PENDULUM | {"meta_steps": 300, "outer_loss": "ppo", "epochs": 4}
CARTPOLE_META: Fields = TD_CARTPOLE | CONDITIONED | {"condition": "film", "learning_rate": 1e-3}
CARTPOLE_METRIC: Fields = TD_CARTPOLE | {
    "meta_steps": 20,
    "tasks": 32,
    "tries": 6,
    "phases": 50,
    "library": 400,
    "outer_updates": 50,
    "near": 0.0,
    "trained_from": "one",
    "epsilon": 0.3,
}
# Found for deep Q-learning from scratch: a goal is met by chance, and what led there must be told of quickly.
TD_MAZE: Fields = {"inner_lr": 1e-3, "discount": 0.95, "n_step": 5, "epsilon_steps": 4000.0, "last_epsilon": 0.1}
MAZE_META: Fields = TD_MAZE | CONDITIONED | {"meta_steps": 2000, "outer_updates": 32, "hidden": 128, "epsilon": 0.3}
MAZE_HYPER: Fields = (
    TD_MAZE
    | CONDITIONED
    | {"meta_steps": 1000, "outer_updates": 32, "trunk": 256, "recurrent": 128, "learning_rate": 1e-3, "epsilon": 0.3}
)
# An entry in twenty is of use for a task: many tries, half of them of what seems good, and some attempts in use.
MAZE_METRIC: Fields = TD_MAZE | {
    "meta_steps": 40,
    "tasks": 64,
    "steps": 60,
    "tries": 40,
    "phases": 80,
    "library": 2560,
    "remembered": 100_000,
    "attempts": 12,
    "outer_updates": 300,
    "units": 256,
    "embedding": 32,
    "trained_from": "own",
    "epsilon": 1.0,
}
CARTPOLE_HYPER: Fields = TD_CARTPOLE | CONDITIONED | {"learning_rate": 1e-4, "inner_lr": 1e-3}

TUNED: dict[tuple[str, str], dict[str, Fields]] = {
    ("rl2", "bernoulli-bandit"): {
        "default": RL2_BANDIT,
        "demo": RL2_BANDIT | {"meta_steps": 1200},
        "long": RL2_LONG | {"meta_steps": 400, "tasks": 512, "minibatches": 16},
    },
    ("rl2", "informative-bandit"): {"default": RL2_INFORMATIVE},
    ("rl2", "gaussian-bandit"): {
        "default": RL2_LONG | {"meta_steps": 1000, "memory": "attention", "tasks": 128, "learning_rate": 2e-3}
    },
    ("rl2", "dependent-bandit"): {
        "default": RL2_LONG | {"meta_steps": 250},
        # with less entropy, one seed in three commits itself too early
        "hard": RL2_LONG | {"meta_steps": 300, "entropy": 0.05},
    },
    ("rl2", "restless-bandit"): {"default": RL2_LONG | {"meta_steps": 250}},
    ("rl2", "tabular-mdp"): {"default": RL2_TABULAR},
    ("rl2", "two-step"): {"default": RL2_LONG | {"meta_steps": 350, "tasks": 128}},
    ("rl2", "grid-navigation"): {"default": RL2_GRID | {"entropy": 0.06, "learning_rate": 5e-3}},
    ("rl2", "point-navigation"): {"default": RL2_POINT | {"discount": 0.99, "learning_rate": 4e-3}},
    # with less entropy it commits itself to a part of the room
    ("rl2", "dark-room"): {"default": RL2_LONG | {"meta_steps": 900, "entropy": 0.06}},
    # a search for the door pays late, and only who remembers both places: a GRU alone stops at fetching the key
    ("rl2", "dark-key-door"): {
        "default": RL2_LONG
        | {
            "meta_steps": 1100,
            "memory": "linear-attention",
            "tasks": 64,
            "minibatches": 4,
            "epochs": 2,
            "value_scale": 10.0,
        }
    },
    # small minibatches, of 16 lives: where a way must be remembered, many updates teach more than exact ones
    ("rl2", "maze"): {
        "default": RL2_LONG | {"meta_steps": 500, "tasks": 128, "value_scale": 10.0},
        "position": RL2_LONG
        | {"meta_steps": 400, "tasks": 128, "value_scale": 10.0, "entropy": 0.06, "learning_rate": 5e-3},
    },
    ("multi-task", "maze"): {
        "default": POLICY | {"meta_steps": 100, "inner_lr": 0.1, "learning_rate": 3e-3},
        "position": POLICY | {"meta_steps": 100, "inner_lr": 1.0, "learning_rate": 3e-3},
    },
    ("maml", "maze"): {"position": MAML | {"meta_steps": 100, "tasks": 40, "inner_lr": 3.0, "learning_rate": 1e-2}},
    ("rl2", "mountain-treasure"): {
        "default": RL2_LONG
        | {
            "meta_steps": 800,
            "tasks": 128,
            "learning_rate": 1e-3,
            "discount": 0.95,
            "entropy": 0.0,
            "value_scale": 100.0,
        }
    },
    ("rl2", "cartpole"): {"default": RL2_CARTPOLE},
    ("maml", "point-navigation"): {"default": POINT_MAML | {"inner_lr": 1.0, "log_std": 0.0}},
    ("maml", "grid-navigation"): {
        "default": MAML | {"meta_steps": 768, "tasks": 40, "inner_lr": 5.0, "learning_rate": 3e-3}
    },
    ("fomaml", "point-navigation"): {"default": POINT_MAML | {"inner_lr": 1.5, "log_std": 0.5}},
    ("meta-sgd", "point-navigation"): {"default": POINT_MAML | {"inner_lr": 1.0, "log_std": 0.0}},
    ("reptile", "point-navigation"): {"default": REPTILE | {"meta_steps": 200, "inner_lr": 0.5, "learning_rate": 0.5}},
    ("scratch", "point-navigation"): {"default": ALONE | {"inner_lr": 2.0, "inner_decay": 1.0}},
    ("multi-task", "point-navigation"): {
        "default": POLICY | {"meta_steps": 100, "inner_lr": 0.5, "learning_rate": 1e-3}
    },
    ("oracle", "point-navigation"): {"default": ORACLE | {"meta_steps": 100, "learning_rate": 1e-3, "minibatches": 8}},
    ("maml", "cartpole"): {"default": MAML | CARTPOLE | {"meta_steps": 100, "inner_lr": 2.0, "learning_rate": 3e-3}},
    ("dqn", "cartpole"): {"default": TD_CARTPOLE | {"meta_steps": 1}},
    ("warm-start", "cartpole"): {"default": TD_CARTPOLE | {"meta_steps": 300, "rate": 0.1}},
    ("q-init", "cartpole"): {"default": TD_CARTPOLE | {"meta_steps": 100, "method": "reptile"}},
    ("meta-dqn", "cartpole"): {"default": CARTPOLE_META, "not-told": CARTPOLE_META | {"features": "statistics"}},
    ("hyper-dqn", "cartpole"): {"default": CARTPOLE_HYPER, "not-told": CARTPOLE_HYPER | {"features": "statistics"}},
    ("metric-dqn", "cartpole"): {"default": CARTPOLE_METRIC, "not-told": CARTPOLE_METRIC | {"features": "statistics"}},
    ("dqn", "maze"): {"default": TD_MAZE | {"meta_steps": 1}},
    ("warm-start", "maze"): {"default": TD_MAZE | {"meta_steps": 300, "phases": 20, "rate": 0.1}},
    ("q-init", "maze"): {"default": TD_MAZE | {"meta_steps": 60, "phases": 40, "method": "reptile"}},
    ("meta-dqn", "maze"): {"default": MAZE_META | {"condition": "film", "learning_rate": 1e-3}},
    # from the steps of a first phase; there is much to keep, and little to plan
    ("meta-dqn", "tabular-mdp"): {
        "default": CONDITIONED
        | {
            "meta_steps": 250,
            "features": "encoder",
            "condition": "film",
            "tasks": 256,
            "lives": 4000,
            "latent": 128,
            "hidden": 128,
            "discount": 0.5,
            "huber": 100.0,
            "learning_rate": 3e-3,
            "outer_tasks": 64,
            "outer_batch": 64,
            "outer_polyak": 0.05,
            "random_until": 1.0,
            "epsilon": 0.3,
        }
    },
    ("hyper-dqn", "maze"): {
        "default": MAZE_HYPER | {"inner_lr": 3e-4},
        "not-told": MAZE_HYPER | {"meta_steps": 600, "features": "statistics", "exploring": 8},
        # few meet the goal in one phase, so eight; and more of what makes the networks, which are smaller themselves
        "rooms-4": MAZE_HYPER
        | {
            "inner_lr": 3e-4,
            "meta_steps": 3200,
            "phases": 8,
            "hidden": 32,
            "outer_batch": 96,
            "trunk": 512,
            "recurrent": 256,
            "learning_rate": 5e-4,
        },
    },
    ("metric-dqn", "maze"): {"default": MAZE_METRIC},
    ("selector", "maze"): {"default": TD_MAZE | SELECTOR | {"members": 16, "trace": 0.8}},
    ("learned-optimizer", "maze"): {"default": TD_MAZE | BY_UNROLLS},
    ("selector", "cartpole"): {"default": TD_CARTPOLE | SELECTOR | {"loss": "td", "members": 2, "trace": 0.9}},
    ("learned-optimizer", "cartpole"): {"default": TD_CARTPOLE | BY_UNROLLS | {"steps": 100, "inner_lr": 1e-3}},
    ("scratch", "cartpole"): {"default": ALONE | CARTPOLE | {"inner_lr": 0.1, "inner_decay": 0.0}},
    ("multi-task", "cartpole"): {
        "default": POLICY | CARTPOLE | {"meta_steps": 200, "inner_lr": 1.0, "learning_rate": 1e-2}
    },
    ("oracle", "cartpole"): {
        "default": ORACLE | CARTPOLE | {"meta_steps": 50, "learning_rate": 3e-3, "minibatches": 16}
    },
    ("maml", "pendulum"): {"default": PENDULUM_MAML | {"inner_lr": 1.0, "learning_rate": 3e-3}},
    ("scratch", "pendulum"): {"default": ALONE | PENDULUM | {"inner_lr": 8.0, "inner_decay": 1.0}},
    ("multi-task", "pendulum"): {
        "default": POLICY | PENDULUM | {"meta_steps": 600, "inner_lr": 0.01, "learning_rate": 1e-2}
    },
    ("oracle", "pendulum"): {
        "default": ORACLE | PENDULUM | {"meta_steps": 60, "learning_rate": 3e-3, "minibatches": 16}
    },
}
