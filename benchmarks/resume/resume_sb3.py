"""Stable-Baselines3 and sb3-contrib, killed and resumed: prints its column of the table as JSON.

    pip install stable-baselines3 sb3-contrib tensorboard
    python benchmarks/resume/resume_sb3.py

It saves and resumes as the documentation says: `CheckpointCallback(save_replay_buffer=True, save_vecnormalize=True)`
(guide/callbacks), `load`, `VecNormalize.load` and `load_replay_buffer` (guide/examples), and
`learn(reset_num_timesteps=False)` with the same log name (guide/tensorboard). Two settings: RecurrentPPO with
VecNormalize and a learning rate that falls, and DQN with a replay buffer. `resume_common.py` says what is done.
"""

import base64
import json
import pickle
import random
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from resume_common import (
    CUT,
    EVERY,
    TOTAL,
    Canary,
    asked,
    broken,
    column,
    cut,
    digest,
    flips,
    hostile,
    note,
    said_by,
    scratch,
    strike,
)
from sb3_contrib import RecurrentPPO
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback, EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

torch.set_num_threads(1)
CLASSES = {"RecurrentPPO": RecurrentPPO, "DQN": DQN}


def environments(name: str) -> DummyVecEnv:
    """Two cart poles for RecurrentPPO, one for DQN."""
    env = make_vec_env("CartPole-v1", n_envs=2 if name == "RecurrentPPO" else 1)
    assert isinstance(env, DummyVecEnv)
    return env


def new(name: str, folder: Path) -> Any:
    """A learner of a few hundred parameters."""
    shared = {"seed": 1, "device": "cpu", "tensorboard_log": str(folder / "log")}
    if name == "DQN":
        settings = {"learning_starts": 100, "buffer_size": TOTAL, "target_update_interval": 100}
        return DQN("MlpPolicy", environments(name), policy_kwargs={"net_arch": [32]}, **settings, **shared)
    small = {"lstm_hidden_size": 16, "net_arch": [16]}
    settings = {"n_steps": 32, "batch_size": 64, "n_epochs": 2, "learning_rate": lambda left: 1e-3 * left}
    env = VecNormalize(environments(name))
    return RecurrentPPO("MlpLstmPolicy", env, policy_kwargs=small, **settings, **shared)


def loaded(name: str, folder: Path) -> Any:
    """The newest checkpoint with all that was saved beside it."""
    newest = max((folder / "saved").glob("rl_model_*_steps.zip"), key=lambda path: int(path.stem.split("_")[-2]))
    env: Any = environments(name)
    if name == "RecurrentPPO":
        env = VecNormalize.load(str(newest).replace("rl_model_", "rl_model_vecnormalize_")[:-3] + "pkl", env)
    model = CLASSES[name].load(newest, env=env)
    if name == "DQN":
        model.load_replay_buffer(str(newest).replace("rl_model_", "rl_model_replay_buffer_")[:-3] + "pkl")
    return model


def parts(model: Any, best: EvalCallback) -> dict[str, Any]:
    """All that what follows depends on."""
    poles = [env.unwrapped for env in model.env.unwrapped.envs]
    found = {
        "parameters": model.policy.state_dict(),
        "optimiser": model.policy.optimizer.state_dict(),
        "random numbers": [torch.get_rng_state(), np.random.get_state(), random.getstate()],  # noqa: NPY002
        "environments": [[pole.state, pole._np_random and pole._np_random.bit_generator.state] for pole in poles],
        "step counter": [model.num_timesteps, model._n_updates],
        "learning rate": model.lr_schedule(1 - model.num_timesteps / TOTAL),
        "best validation": float(best.best_mean_reward),
    }
    if isinstance(model, DQN):
        found["replay buffer"] = stored(model)
    else:
        buffer, env = model.rollout_buffer, model.get_vec_normalize_env()
        found["normaliser"] = [[rms.mean, rms.var, rms.count] for rms in (env.obs_rms, env.ret_rms)]
        found["recurrent state"] = model._last_lstm_states
        found["steps not yet learned from"] = [buffer.observations, buffer.actions, buffer.rewards, buffer.pos]
    return found


def stored(model: DQN) -> dict[str, Any]:
    """What is in a replay buffer."""
    return {name: value for name, value in vars(model.replay_buffer).items() if isinstance(value, np.ndarray | int)}


class Watch(BaseCallback):
    """Notes the parts of the state, and does what was asked for."""

    def __init__(self, name: str, folder: Path, best: EvalCallback):
        super().__init__()
        self.name, self.folder, self.best = name, folder, best

    def _on_step(self) -> bool:
        if self.num_timesteps % EVERY == 0:
            note(self.folder, "checkpoint", self.num_timesteps, parts(self.model, self.best))
        if asked(self.num_timesteps) == "cut":
            kind = "rl_model_replay_buffer" if self.name == "DQN" else "rl_model"
            for later in (self.folder / "saved").glob(f"rl_model_vecnormalize_{CUT}_steps.pkl"):
                later.unlink()  # the file of the model is written before it
            cut(next((self.folder / "saved").glob(f"{kind}_{CUT}_steps.*")))
        strike(self.num_timesteps)
        return True


def go(name: str, folder: Path, resumed: bool) -> None:
    """Trains, or goes on training."""
    model = loaded(name, folder) if resumed else new(name, folder)
    copies = model.env.num_envs
    unseen: Any = environments(name)
    unseen.seed(2)
    if name == "RecurrentPPO":
        unseen = VecNormalize(unseen, training=False, norm_reward=False)
    freely = {"save_replay_buffer": True, "save_vecnormalize": True}
    saving = CheckpointCallback(EVERY // copies, str(folder / "saved"), **freely)
    best = EvalCallback(
        unseen,
        eval_freq=EVERY // copies,
        n_eval_episodes=2,
        best_model_save_path=str(folder / "best"),
        log_path=str(folder / "best"),
        verbose=0,
    )
    left = TOTAL - model.num_timesteps
    callbacks = [saving, best, Watch(name, folder, best)]
    note(folder, "restored" if resumed else "begun", model.num_timesteps, parts(model, best))
    model.learn(left, callbacks, log_interval=1, tb_log_name="run", reset_num_timesteps=not resumed)
    note(folder, "end", model.num_timesteps, parts(model, best))


def lines(folder: Path) -> list[tuple[str, int, float]]:
    """What TensorBoard shows: one point for each tag and step, all files together."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = []
    for path in (folder / "log").rglob("*tfevents*"):
        events = EventAccumulator(str(path))
        events.Reload()
        for tag in events.Tags()["scalars"]:
            found += [(tag, one.step, one.value) for one in events.Scalars(tag) if not tag.startswith("time/")]
    return sorted(found)


def measured(name: str, home: Path) -> dict[str, Any]:
    """All six rows of one setting."""
    found = broken(home, lambda what, folder: [what, name, folder], lines)
    whole, killed = home / "whole", home / "killed"
    evaluations = [np.load(folder / "best" / "evaluations.npz")["timesteps"].tolist() for folder in (whole, killed)]
    found["B"]["validations kept"] = {"whole": evaluations[0], "resumed": evaluations[1]}

    # by hand: without the checkpoint that was cut off
    if name == "RecurrentPPO":
        bad = home / "cut" / "saved" / f"rl_model_{CUT}_steps.zip"
        found["D"]["the cut-off file"] = said_by(lambda: RecurrentPPO.load(bad))
    for path in (home / "cut" / "saved").glob(f"*_{CUT}_steps.*"):
        path.unlink()
    loaded(name, home / "cut")
    found["D"]["the older one, by hand"] = "loads"

    # one flipped bit
    copy = home / "copy"
    (copy / "saved").mkdir(parents=True)
    for path in (whole / "saved").glob(f"*_{TOTAL}_steps.*"):
        shutil.copy(path, copy / "saved")
    path = next((copy / "saved").glob("rl_model_[0-9]*.zip"))
    with zipfile.ZipFile(path) as archive:
        entry = max(archive.infolist(), key=lambda entry: entry.compress_size)
        with path.open("rb") as file:
            file.seek(entry.header_offset + 26)
            names = int.from_bytes(file.read(2), "little") + int.from_bytes(file.read(2), "little")
    begin = entry.header_offset + 30 + names

    def state() -> str:
        model = CLASSES[name].load(path)
        return digest([model.policy.state_dict(), model.policy.optimizer.state_dict()])

    found["E"] = {f"{entry.filename} of the zip file": flips(path, begin, entry.compress_size, state)}
    if name == "DQN":
        buffer = next((copy / "saved").glob("*replay_buffer*"))

        def content() -> str:
            model = DQN.load(path)
            model.load_replay_buffer(buffer)
            return digest(stored(model))

        found["E"]["replay buffer (pickle)"] = flips(buffer, 0, buffer.stat().st_size, content)

    # hostile files
    mark = home / "touched"
    poison = pickle.dumps(Canary(mark))
    found["F"] = {}
    for what in ("data", "policy.pth"):
        bad = home / f"hostile-{what}.zip"
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(bad, "w") as made:
            for member in archive.namelist():
                content = archive.read(member)
                if member == what == "data":
                    data = json.loads(content)
                    data["policy_class"][":serialized:"] = base64.b64encode(poison).decode()
                    content = json.dumps(data).encode()
                made.writestr(member, poison if member == what == "policy.pth" else content)
        found["F"][f"{what} in the zip file"] = hostile(mark, lambda bad=bad: CLASSES[name].load(bad))
    (home / "hostile.pkl").write_bytes(poison)
    if name == "DQN":
        found["F"]["replay buffer"] = hostile(mark, lambda: DQN.load(path).load_replay_buffer(home / "hostile.pkl"))
    else:
        load = VecNormalize.load
        found["F"]["VecNormalize"] = hostile(mark, lambda: load(str(home / "hostile.pkl"), environments(name)))
    return found


def main() -> None:
    """Prints the column."""
    home = scratch()
    found = {name: measured(name, home / name) for name in CLASSES}
    shutil.rmtree(home)
    run = (
        "RecurrentPPO (VecNormalize, two environments) and DQN (replay buffer) on CartPole-v1, 1280 steps; saved by "
        "CheckpointCallback(save_replay_buffer=True, save_vecnormalize=True) every 256 steps, with EvalCallback; "
        "resumed by load, VecNormalize.load, load_replay_buffer and learn(reset_num_timesteps=False) from the newest "
        "file"
    )
    promises = (
        "Saving and loading for continued training, with the replay buffer and the normaliser in files of their own; "
        "same results with the same seed on one platform; no promise that a resumed run equals an uninterrupted one "
        "(documentation, guide: callbacks, examples, tensorboard, save_format, algos)"
    )
    print(column("Stable-Baselines3", ("stable-baselines3", "sb3-contrib", "gymnasium", "torch"), run, promises, found))


if __name__ == "__main__":
    main() if len(sys.argv) == 1 else go(sys.argv[2], Path(sys.argv[3]), sys.argv[1] == "resume")
