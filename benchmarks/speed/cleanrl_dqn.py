"""CleanRL's `dqn.py` as it is: the unmodified file in a process of its own, read by what it prints and saves.

Runs in a virtual environment of its own: `pip install torch==2.13.0` and then `pip install gymnasium==0.29.1
tensorboard tyro`. That Gymnasium is the one it was written for: from 1.0 on, `final_info` is gone, and it prints no
returns.
"""

import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import gymnasium
import numpy as np
import torch
from worker import serve

SPEED_EVERY = 100  # steps between two lines with its speed, from the first update on


def measure(path: str, flags: dict, threads: int, episodes: int = 0) -> dict:
    """One run: the steps at which its episodes ended, their returns, and its speed while it learned.

    Args:
        path: Of its file, beside whose folder `cleanrl_utils` lies.
        flags: Its options.
        threads: That torch may use.
        episodes: Greedy ones that its network is judged by at the end; 0 does not keep the network.
    """
    with tempfile.TemporaryDirectory() as folder:
        flags = {"save-model": None} | flags if episodes else flags
        lines = printed(Path(path).resolve(), flags, threads, folder)
        ended, returns = zip(*(episode(line) for _, line in lines if "episodic_return=" in line), strict=True)
        saved = list(Path(folder).glob("runs/*/*.cleanrl_model"))
        greedy = [greedy_return(layers(saved[0]), seed) for seed in range(episodes)]
    told = [when for when, line in lines if line.startswith("SPS:")]
    spent = {"steps": SPEED_EVERY * (len(told) - 1), "seconds": told[-1] - told[0]}
    versions = {name: version(name) for name in ("torch", "gymnasium", "numpy")}
    return spent | {"ended": ended, "returns": returns, "greedy": greedy, "versions": versions}


def printed(path: Path, flags: dict, threads: int, folder: str) -> list[tuple[float, str]]:
    """What it prints, each line with the time of its arrival, until its network is saved or it ends."""
    options = [part for name, value in flags.items() for part in (f"--{name}", value) if part is not None]
    command = [sys.executable, "-u", str(path), *map(str, options)]
    surroundings = {"PYTHONPATH": str(path.parents[1]), "OMP_NUM_THREADS": str(threads)}
    lines = []
    with subprocess.Popen(
        command, env=os.environ | surroundings, cwd=folder, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        for line in process.stdout:
            lines.append((time.perf_counter(), line))
            if line.startswith("model saved"):
                process.kill()  # what follows are videos of an evaluation that is not greedy
                return lines
    if process.returncode:
        raise RuntimeError(f"{command} ended with code {process.returncode}")
    return lines


def episode(line: str) -> tuple[int, float]:
    """Of a line `global_step=29910, episodic_return=[116.]`, its two numbers."""
    step, earned = (part.split("=")[1].strip("[] \n") for part in line.split(","))
    return int(step), float(earned)


def layers(path: Path) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Weights and biases of a saved network."""
    numbers = list(torch.load(path, map_location="cpu", weights_only=True).values())
    return list(zip(numbers[::2], numbers[1::2], strict=True))


@torch.no_grad()
def greedy_return(network: list[tuple[torch.Tensor, torch.Tensor]], seed: int) -> float:
    """What the best actions earn in one episode."""
    env = gymnasium.make("CartPole-v1")
    observation, _ = env.reset(seed=seed)
    earned, over = 0.0, False
    while not over:
        values = torch.as_tensor(np.asarray(observation))
        for weight, bias in network[:-1]:
            values = torch.relu(weight @ values + bias)
        values = network[-1][0] @ values + network[-1][1]
        observation, reward, terminated, truncated, _ = env.step(int(values.argmax()))
        earned, over = earned + float(reward), terminated or truncated
    return earned


if __name__ == "__main__":
    serve(measure)
