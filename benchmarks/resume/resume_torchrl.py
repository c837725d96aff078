"""TorchRL, killed and resumed: prints its column of the table as JSON.

    pip install torchrl gymnasium
    python benchmarks/resume/resume_torchrl.py

It saves and resumes as the documentation says (reference "Checkpointing", tutorial "Unified checkpointing in TorchRL"):
trainers with `checkpoint=Checkpoint(rng=GlobalRNGState())` and `checkpoint_rotation=CheckpointRotation(...)` that also
keeps the best, and `load_from_file` with the newest of the rotation. Two settings: `PPOTrainer` with a normaliser of
observations and a learning rate that falls, and `DQNTrainer` with a replay buffer. `resume_common.py` says what is
done.
"""

import json
import logging
import pickle
import random
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from resume_common import (
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
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.checkpoint import Checkpoint, CheckpointRotation, GlobalRNGState
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, SamplerWithoutReplacement, TensorDictReplayBuffer
from torchrl.envs import Compose, GymEnv, RewardSum, StepCounter, TransformedEnv, VecNorm
from torchrl.modules import MLP, EGreedyModule, OneHotCategorical, ProbabilisticActor, QValueActor, ValueOperator
from torchrl.objectives import ClipPPOLoss, DQNLoss, HardUpdate
from torchrl.record import CSVLogger
from torchrl.trainers.algorithms import DQNTrainer, PPOTrainer

torch.set_num_threads(1)
warnings.filterwarnings("ignore")
logging.getLogger("torchrl").setLevel(logging.ERROR)
NAMES = ("PPO", "DQN")


def new(name: str, folder: Path) -> Any:
    """A trainer with networks of a few hundred parameters."""
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    steps = [RewardSum(in_keys=["reward"], out_keys=["reward_sum"]), StepCounter()] + (
        [VecNorm(in_keys=["observation"])] if name == "PPO" else []
    )
    env = TransformedEnv(GymEnv("CartPole-v1", categorical_action_encoding=False), Compose(*steps))
    env.set_seed(1)  # the collector resets it before the trainer hands on its seed
    saved = Checkpoint(rng=GlobalRNGState())
    shared: dict[str, Any] = {
        "total_frames": TOTAL,
        "frame_skip": 1,
        "seed": 1,
        "progress_bar": False,
        "log_interval": 1,
        "logger": CSVLogger("run", str(folder / "log")),
        "save_trainer_interval": EVERY - 1,
        "checkpoint": saved,
        "checkpoint_rotation": CheckpointRotation(folder / "saved", keep_last=9, keep_best=("ended", "min")),
        "checkpoint_metadata": lambda trainer: {"ended": float(trainer._log_dict["done_percentage"][-1])},
    }
    if name == "DQN":
        actor = QValueActor(MLP(4, 2, num_cells=[32]), in_keys=["observation"], spec=env.action_spec)
        exploring = EGreedyModule(env.action_spec, annealing_num_steps=TOTAL)
        collector = Collector(env, TensorDictSequential(actor, exploring), frames_per_batch=64, total_frames=TOTAL)
        loss = DQNLoss(actor, delay_value=True, action_space=env.action_spec)
        loss.make_value_estimator(gamma=0.99)
        return DQNTrainer(
            collector=collector,
            loss_module=loss,
            optimizer=torch.optim.Adam(loss.parameters(), 1e-3),
            optim_steps_per_batch=8,
            replay_buffer=TensorDictReplayBuffer(storage=LazyTensorStorage(TOTAL), batch_size=32),
            target_net_updater=HardUpdate(loss, value_network_update_interval=50),
            greedy_module=exploring,
            **shared,
        )
    network = TensorDictModule(MLP(4, 2, num_cells=[16]), ["observation"], ["logits"])
    actor = ProbabilisticActor(
        network, spec=env.action_spec, distribution_class=OneHotCategorical, return_log_prob=True, in_keys=["logits"]
    )
    loss = ClipPPOLoss(actor, ValueOperator(MLP(4, 1, num_cells=[16]), in_keys=["observation"]))
    optimizer = torch.optim.Adam(loss.parameters(), 1e-3)
    buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(64), sampler=SamplerWithoutReplacement(), batch_size=32)
    return PPOTrainer(
        collector=Collector(env, actor, frames_per_batch=64, total_frames=TOTAL),
        loss_module=loss,
        optimizer=optimizer,
        lr_scheduler=torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, TOTAL // 64),
        optim_steps_per_batch=2,
        num_epochs=2,
        replay_buffer=buffer,
        **shared,
    )


def drawn() -> list[Any]:
    """Where the random numbers of the process are."""
    return [torch.get_rng_state(), np.random.get_state(), random.getstate()]  # noqa: NPY002


def parts(trainer: Any) -> dict[str, Any]:
    """All that what follows depends on."""
    env = trainer.collector.env
    pole = env.base_env._env.unwrapped
    carried = trainer.collector._carrier
    best = trainer.checkpoint_rotation.best()
    found = {
        "parameters": {name: value for name, value in trainer.loss_module.state_dict().items()},
        "optimiser": trainer.optimizer.state_dict(),
        "random numbers": drawn(),
        "environments": [pole.state, pole._np_random and pole._np_random.bit_generator.state, carried["observation"]],
        "step counter": [trainer.collected_frames, trainer._optim_count, trainer.collector._frames],
        "learning rate": trainer.optimizer.param_groups[0]["lr"],
        "best validation": best and best.name,
    }
    if isinstance(trainer, DQNTrainer):
        buffer = trainer.replay_buffer
        found["replay buffer"] = [buffer[:].to_dict() if len(buffer) else {}, buffer.writer._cursor]
        found["exploration"] = trainer.greedy_module.state_dict()
    else:
        found["normaliser"] = env.transform.state_dict()
    return found


def go(name: str, folder: Path, resumed: bool) -> None:
    """Trains, or goes on training."""
    trainer = new(name, folder)
    if resumed:
        trainer.load_from_file(trainer.checkpoint_rotation.latest())
    note(folder, "restored" if resumed else "begun", trainer.collected_frames, parts(trainer))
    publish, save = Checkpoint._publish_path, trainer._save_trainer

    def cut_off(source: Path, destination: Path) -> None:
        if asked(trainer.collected_frames) == "cut":
            cut(largest(source, "**/*"))
        publish(source, destination)

    def saved_and_noted() -> None:
        save()
        note(folder, "checkpoint", trainer.collected_frames, parts(trainer))
        if trainer.collected_frames >= TOTAL:  # the trainer closes its environments next
            note(folder, "end", trainer.collected_frames, parts(trainer))

    Checkpoint._publish_path = staticmethod(cut_off)
    trainer._save_trainer = saved_and_noted
    trainer.register_op("post_steps", lambda: strike(trainer.collected_frames))
    trainer.train()


def lines(folder: Path) -> list[tuple[str, int, float]]:
    """The metrics: one file for each."""
    found = []
    for path in (folder / "log").rglob("*.csv"):
        for line in path.read_text().splitlines():
            step, value = line.split(",")
            found += [(path.stem, int(step), float(value))] if "time" not in path.stem else []
    return sorted(found)


def measured(name: str, home: Path) -> dict[str, Any]:
    """All six rows of one setting."""
    found = broken(home, lambda what, folder: [what, name, folder], lines)

    def state(folder: Path) -> str:
        trainer = new(name, home / "scratch")
        trainer.load_from_file(folder)
        kept = [one.state_dict() for one in (trainer.loss_module, trainer.optimizer, trainer.logger)]
        return digest([*kept, drawn(), trainer.replay_buffer[:].to_dict() if len(trainer.replay_buffer) else {}])

    newest = CheckpointRotation(home / "whole" / "saved", keep_last=9).latest()
    assert newest is not None
    found["E"] = {}
    for pattern in ("*-policy/state/*.memmap", "*-replay_buffer/storage/*.memmap", "**/*"):
        path = largest(newest / "components", pattern)
        place = "/".join(path.relative_to(newest / "components").parts)
        found["E"][place] = flips(path, 0, path.stat().st_size, lambda: state(newest))

    # a file of the newest checkpoint cut to half after it was published
    copy = home / "halved"
    shutil.copytree(home / "whole" / "saved", copy)
    path = largest(copy / newest.name, "components/*-policy/state/*.memmap")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    latest = CheckpointRotation(copy, keep_last=9).latest()
    assert latest is not None
    loaded: list[str] = []
    said = said_by(lambda: loaded.append(state(latest)))
    told = {"taken": int(latest.name[-12:]), "said": said, "other values loaded": loaded not in ([], [state(newest)])}
    found["D"]["a published file halved"] = told
    found["D"]["left over"] = [path.name[:25] for path in (home / "cut" / "saved").glob(".*")]

    # hostile files
    mark = home / "touched"
    poison = pickle.dumps(Canary(mark))
    found["F"] = {}
    for where in ("replay_buffer/prefetch.pkl", "policy/state/other.pickle", "policy/state.pt"):
        bad = home / f"hostile-{where.replace('/', '-')}"
        shutil.copytree(newest, bad)
        component, _, place = where.partition("/")
        path = next(bad.glob(f"components/*-{component}")) / place
        path.write_bytes(poison)
        if path.name == "other.pickle":
            kind = "<class 'tensordict.tensorclass.NonTensorData'>"
            path.with_name("meta.json").write_text(json.dumps({"_type": kind}))
        found["F"][where] = hostile(mark, lambda bad=bad: state(bad))
    return found


def largest(folder: Path, pattern: str) -> Path:
    """The largest file of that name."""
    return max((path for path in folder.glob(pattern) if path.is_file()), key=lambda path: path.stat().st_size)


def main() -> None:
    """Prints the column."""
    home = scratch()
    found = {name: measured(name, home / name) for name in NAMES}
    shutil.rmtree(home)
    run = (
        "PPOTrainer (VecNorm, learning-rate schedule) and DQNTrainer (replay buffer) on GymEnv('CartPole-v1'), 1280 "
        "steps; saved every 256 by checkpoint=Checkpoint(rng=GlobalRNGState()) and checkpoint_rotation="
        "CheckpointRotation(..., keep_best=...); resumed by load_from_file(rotation.latest()) and train()"
    )
    promises = (
        "Atomic saves, rotation, components chosen one by one, random numbers of the process, state dicts without "
        "pickle; no promise that a resumed run equals an uninterrupted one: the state of environments is not saved "
        "(documentation: reference 'Checkpointing', tutorial 'Unified checkpointing in TorchRL'; collector source)"
    )
    print(column("TorchRL", ("torchrl", "tensordict", "gymnasium", "torch"), run, promises, found))


if __name__ == "__main__":
    main() if len(sys.argv) == 1 else go(sys.argv[2], Path(sys.argv[3]), sys.argv[1] == "resume")
