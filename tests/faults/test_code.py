"""What the code never does (F46, F48), and what importing it leaves alone (F64)."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import lab
import pytest

SOURCE = Path(__file__).parents[2] / "src" / "adaptax"
MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
CALLS = {"eval", "exec", "compile", "__import__"}


def forbidden(tree: ast.AST) -> list[str]:
    """Imports, calls and arguments by which data could become code."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in MODULES]
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            found.append(node.module or "")
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            found += [name] if name in CALLS else []
            whole = ast.unparse(node.func)
            found += [whole] if whole in ("os.system", "yaml.load", "yaml.unsafe_load", "torch.load") else []
            for argument in node.keywords:
                risky = argument.arg in ("allow_pickle", "shell") and ast.unparse(argument.value) != "False"
                found += [f"{whole}({argument.arg}=...)"] if risky else []
    return found


@pytest.mark.fault("F46")
@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.stem)
def test_nothing_turns_data_into_code(path):
    assert forbidden(ast.parse(path.read_text())) == []


@pytest.mark.parametrize(
    "line",
    ["import pickle", "from dill import loads", "eval('1')", "np.load(f, allow_pickle=True)", "run(x, shell=yes)"],
)
def test_the_search_finds_what_it_is_for(line):
    assert len(forbidden(ast.parse(line))) == 1


IMPORTED = """
import json, logging, os, signal, sys, threading, warnings
def state():
    return {
        "threads": threading.active_count(),
        "signals": [str(signal.getsignal(n)) for n in (signal.SIGINT, signal.SIGTERM)],
        "handlers": [str(h) for h in logging.getLogger().handlers],
        "filters": [str(f) for f in warnings.filters],
        "environment": dict(os.environ),
        "excepthook": str(sys.excepthook),
    }
import jax, numpy, equinox, optax  # what they do is theirs
before, flags = state(), {n: getattr(jax.config, n) for n in ("jax_enable_x64", "jax_debug_nans", "jax_platforms")}
import adaptax
adaptax.RL2(), adaptax.make("bernoulli-bandit")
after = {n: getattr(jax.config, n) for n in flags}
print(json.dumps([before == state() and flags == after, before, state()]))
"""


@pytest.mark.fault("F64")
def test_importing_changes_nothing():
    words = [sys.executable, "-c", IMPORTED]
    alike, before, after = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    assert alike, f"{before} became {after}"


@pytest.mark.fault("F48")
def test_no_secret_is_written_down(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_API_KEY", "canary-4711")
    lab.train(tmp_path / "run")
    assert "canary-4711" not in "".join(capsys.readouterr())
    for path in (tmp_path / "run").rglob("*"):
        assert path.is_dir() or b"canary-4711" not in path.read_bytes()
