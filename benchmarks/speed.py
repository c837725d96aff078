"""Speed, each number a ratio in one run: `python benchmarks/speed.py [--only NAME ...] [--out FILE]`.

    bound      RL2's training against its own bare network passes, over minibatch layouts
    dqn        deep Q-learning inside lives against its own bare network passes
    contract   RL2 and MAML against the same mathematics written by hand in JAX
    sb3        RL2 against sb3-contrib's RecurrentPPO
    torch      MAML against PyTorch's `torch.func`, vectorised by hand
    cleanrl    deep Q-learning on Gymnasium's cart-pole against CleanRL's `dqn.py`: speed, and what both reach
    traces     how often each learner's meta-step is traced
    seeds      ten seeds in one program against ten runs
    outside    the share of a training outside its compiled chunks
    import     `import adaptax`
    host       the host loop on Gymnasium's CartPole against a bare loop

`sb3` and `torch` need the other libraries in a virtual environment of their own, named by --torch-python:
`python -m venv V; V/bin/pip install torch==2.13.0; V/bin/pip install sb3-contrib`. Without it they are left out.
`cleanrl` needs `V/bin/pip install gymnasium==0.29.1 tensorboard tyro` there, and --cleanrl, the file `cleanrl/dqn.py`
in a copy of their repository, which is run as it is.
Contestants take turns; a ratio is the median over the turns. Results are merged into FILE, one entry a benchmark.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax

from speed import checks, races
from speed.timing import Result, load, machine

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

BENCHMARKS: dict[str, Callable[..., Result]] = {
    "bound": races.bound,
    "dqn": races.dqn,
    "contract": races.contract,
    "sb3": races.sb3,
    "torch": races.torch_maml,
    "cleanrl": races.cleanrl,
    "traces": checks.traces,
    "seeds": checks.ten_seeds,
    "outside": checks.outside,
    "import": checks.import_time,
    "host": checks.host,
}
NEEDED = {"sb3": ("torch_python",), "torch": ("torch_python",), "cleanrl": ("torch_python", "cleanrl")}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS), metavar="NAME")
    parser.add_argument("--rounds", type=int, default=9, help="turns that count")
    parser.add_argument("--torch-python", help="the interpreter that has torch and sb3-contrib")
    parser.add_argument("--cleanrl", help="CleanRL's file cleanrl/dqn.py")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "speed.json")
    options = parser.parse_args(arguments)
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    for name in options.only:
        given = {option: getattr(options, option) for option in NEEDED.get(name, ())}
        if missing := [option.replace("_", "-") for option, value in given.items() if not value]:
            print(f"{name}: left out, --{' and --'.join(missing)} not given")
            continue
        results[name] = measured(name, rounds=options.rounds, **given)
        results["machine"] = machine()
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(results, indent=2) + "\n")
        print(name, json.dumps(results[name], indent=2), flush=True)
    failed = [name for name in options.only if not results.get(name, {}).get("pass", True)]
    print("below their bars:", ", ".join(failed) or "none")
    return 0


def measured(name: str, **options) -> Result:
    """The result of one benchmark, with what it took."""
    command = f"python benchmarks/speed.py --only {name} --rounds {options['rounds']}"
    command += " --torch-python V/bin/python" if "torch_python" in options else ""
    command += " --cleanrl CLEANRL/cleanrl/dqn.py" if "cleanrl" in options else ""
    before, start = load(), time.perf_counter()
    result = BENCHMARKS[name](**options)
    seconds = round(time.perf_counter() - start, 1)
    return result | {"command": command, "seconds": seconds, "load_before": before, "load_after": load()}


if __name__ == "__main__":
    sys.exit(main())
