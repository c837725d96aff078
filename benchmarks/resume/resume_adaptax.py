"""adaptax, killed and resumed: prints its column of the table as JSON.

    pip install adaptax
    python benchmarks/resume/resume_adaptax.py

It saves and resumes as the documentation says: `ax.train(..., out=folder)` and `ax.resume(folder)`. One setting: RL2 on
the compiled cart pole. A meta-step counts for 64 steps of the other projects' trainings. Lives begin and end within a
meta-step: nothing of an environment is between two of them. `resume_common.py` says what is done.
"""

import json
import os
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
from resume_common import (
    CUT,
    EVERY,
    TOTAL,
    Canary,
    asked,
    broken,
    column,
    digest,
    flips,
    hostile,
    note,
    scratch,
    strike,
)

import adaptax as ax
from adaptax import checkpoint
from adaptax.checkpoint import to_arrays
from adaptax.failpoints import VARIABLE
from adaptax.runs import read_lines

STEPS = 64  # of the other projects, for one meta-step


def parts(saved: Any) -> dict[str, Any]:
    """All that what follows depends on."""
    groups = {
        "parameters": ".states.meta.params",
        "optimiser": ".states.meta.optimiser",
        "random numbers": ".states.key",
        "step counter": ".states.step",
        "learning rate": ".states.meta.optimiser[1][1].count",  # the position on its schedule
        "best validation": ".best",
    }
    arrays = to_arrays(saved)
    found: dict[str, Any] = {
        group: {name: array for name, array in arrays.items() if name.startswith(begin)}
        for group, begin in groups.items()
    }
    assert all(found.values()), "a group is empty"
    return found | {"everything": arrays}


def go(folder: Path, resumed: bool) -> None:
    """Trains, or goes on training."""
    run_folder = folder / "run"
    if folder.name == "whole":  # compiled by itself; the others share what the next one compiles
        jax.config.update("jax_enable_compilation_cache", False)
    if asked(CUT) == "cut":
        os.environ[VARIABLE] = f"ckpt.mid_file:kill@{CUT // EVERY + 1}"  # the first is of meta-step 0

    def watch(now: Any) -> None:
        if now.step * STEPS % EVERY == 0:
            note(folder, "checkpoint", now.step * STEPS, parts(now.run.saved))
        strike(now.step * STEPS)

    if resumed:
        run = ax.open_run(run_folder)
        note(folder, "restored", run.step * STEPS, parts(run.saved))
        run = ax.resume(run_folder, callbacks=[watch], progress=None)
    else:
        run = ax.train(
            ax.RL2(tasks=4, minibatches=2, hidden=8, across_episodes=False),
            ax.make("cartpole", horizon=20, tries=2),
            meta_steps=TOTAL // STEPS,
            seed=1,
            out=run_folder,
            callbacks=[watch],
            log_every=1,
            validate_every=EVERY // STEPS,
            checkpoint_every=EVERY // STEPS,
            progress=None,
        )
        note(folder, "begun", 0, {})
    note(folder, "end", run.step * STEPS, parts(run.saved))


def lines(folder: Path) -> list[tuple[str, int, float]]:
    """The metrics without wall-clock times."""
    found = []
    for line in read_lines(folder / "run" / "metrics.jsonl"):
        found += [
            (name, line["step"] * STEPS, value) for name, value in line.items() if name not in ("step", "seconds")
        ]
    return sorted(found, key=str)


def measured(home: Path) -> dict[str, Any]:
    """All six rows."""
    found = broken(home, lambda what, folder: [what, folder], lines)
    last = TOTAL // STEPS

    def state(folder: Path) -> str:
        run = ax.open_run(folder)
        if run.step != last:
            raise LookupError(f"passed over, taken is meta-step {run.step}")
        return digest(to_arrays(run.saved))

    copy = home / "copy"
    shutil.copytree(home / "whole" / "run", copy)
    path = copy / "checkpoints" / str(last) / "state.safetensors"
    found["E"] = {path.name: flips(path, 0, path.stat().st_size, lambda: state(copy))}
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    taken = ax.open_run(copy).step * STEPS
    found["D"]["a published file halved"] = {"taken": taken, "other values loaded": taken == TOTAL}
    found["D"]["left over"] = [one.name for one in (home / "cut/run/checkpoints").iterdir() if not one.name.isdigit()]

    # hostile files, alone and with a manifest that agrees with them
    mark = home / "touched"
    for other in (copy / "checkpoints").iterdir():
        if other.name != str(last):
            shutil.rmtree(other)
    np.savez(home / "objects.npz", x=np.array([Canary(mark)], object))
    manifest = path.with_name("manifest.json")
    written = json.loads(manifest.read_text())
    found["F"] = {}
    poisons = {"pickle": pickle.dumps(Canary(mark)), "npz": (home / "objects.npz").read_bytes()}
    for kind, poison in poisons.items():
        path.write_bytes(poison)
        entry = {"bytes": len(poison), "sha256": checkpoint._digest(path)}  # pyright: ignore[reportPrivateUsage]
        agreeing = {name: value for name, value in written.items() if name != "sha256"} | {"files": {path.name: entry}}
        agreeing["sha256"] = checkpoint._mark_of(agreeing)  # pyright: ignore[reportPrivateUsage]
        manifest.write_text(json.dumps(agreeing))
        found["F"][f"{path.name} is a {kind}"] = hostile(mark, lambda: ax.open_run(copy))
    manifest.write_bytes(poisons["pickle"])
    found["F"]["manifest.json is a pickle"] = hostile(mark, lambda: ax.open_run(copy))
    return found


def main() -> None:
    """Prints the column."""
    home = scratch()
    os.environ |= {"JAX_COMPILATION_CACHE_DIR": str(home / "cache"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    found = {"RL2": measured(home)}
    shutil.rmtree(home)
    run = (
        "RL2 on the compiled cartpole (two episodes of 20 steps), 20 meta-steps; saved by train(..., out=folder, "
        "checkpoint_every=4, validate_every=4); resumed by resume(folder)"
    )
    promises = (
        "A run that is interrupted and resumed equals an uninterrupted one, bit for bit, on the same machine (README)"
    )
    print(column("adaptax", ("adaptax", "jax", "equinox"), run, promises, found))


if __name__ == "__main__":
    main() if len(sys.argv) == 1 else go(Path(sys.argv[2]), sys.argv[1] == "resume")
