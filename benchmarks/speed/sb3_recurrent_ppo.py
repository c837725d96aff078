"""RecurrentPPO of sb3-contrib on the bandit, made as fast as its interface allows.

Runs in a virtual environment of its own: `pip install torch==2.13.0` and then `pip install sb3-contrib`. The bandits of
all environments step together in numpy, behind one `VecEnv`, which is faster than any set of separate environments. An
episode of theirs is one life of ours.
"""

import time
from importlib.metadata import version

import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.vec_env import VecEnv
from worker import serve

ARMS, PULLS = 5, 10


class Bandits(VecEnv):
    """N bandits at once; the agent sees its last action, its last reward and whether a life begins."""

    def __init__(self, count: int):
        super().__init__(count, spaces.Box(0.0, 1.0, (ARMS + 2,), np.float32), spaces.Discrete(ARMS))
        self.rng = np.random.default_rng(0)
        self.rows = np.arange(count)

    def reset(self):
        """New lives everywhere."""
        self.chance = self.rng.random((self.num_envs, ARMS))
        self.pulls = 0
        observation = np.zeros((self.num_envs, ARMS + 2), np.float32)
        observation[:, -1] = 1.0
        return observation

    def step_async(self, actions):
        """Keeps the actions for `step_wait`."""
        self.actions = actions

    def step_wait(self):
        """Pulls an arm everywhere."""
        self.pulls += 1
        reward = (self.rng.random(self.num_envs) < self.chance[self.rows, self.actions]).astype(np.float32)
        observation = np.zeros((self.num_envs, ARMS + 2), np.float32)
        observation[self.rows, self.actions] = 1.0
        observation[:, ARMS] = reward
        over = self.pulls == PULLS
        infos = [{} for _ in range(self.num_envs)]
        return self.reset() if over else observation, reward, np.full(self.num_envs, over), infos

    def close(self):
        """Nothing to release."""

    def get_attr(self, attr_name, indices=None):
        """The same for all."""
        return [getattr(self, attr_name, None)] * self.num_envs

    def set_attr(self, attr_name, value, indices=None):
        """Not needed."""
        raise NotImplementedError

    def env_method(self, method_name, *arguments, indices=None, **options):
        """Not needed."""
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class, indices=None):
        """None is."""
        return [False] * self.num_envs


models: dict[int, RecurrentPPO] = {}


def model(count: int) -> RecurrentPPO:
    """Recurrent PPO with one LSTM of 64 for actor and critic, 4 epochs, 4 minibatches of whole lives."""
    policy = {"lstm_hidden_size": 64, "shared_lstm": True, "enable_critic_lstm": False, "net_arch": []}
    return RecurrentPPO(
        "MlpLstmPolicy",
        Bandits(count),
        n_steps=PULLS,
        batch_size=max(1, count * PULLS // 4),
        n_epochs=4,
        gamma=0.99,
        gae_lambda=0.3,
        ent_coef=0.01,
        policy_kwargs=policy,
        device="cpu",
        seed=0,
    )


def measure(environments: int, threads: int, rollouts: int) -> dict:
    """Seconds for so many rollouts with their updates."""
    torch.set_num_threads(threads)
    if environments not in models:
        models[environments] = model(environments)
    steps = rollouts * environments * PULLS
    start = time.perf_counter()
    models[environments].learn(steps, reset_num_timesteps=False)
    seconds = time.perf_counter() - start
    versions = {name: version(name) for name in ("torch", "stable_baselines3", "sb3_contrib")}
    return {"seconds": seconds, "steps": steps, "versions": versions}


if __name__ == "__main__":
    serve(measure)
