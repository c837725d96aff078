"""The shape of the project: sizes and the direction of dependencies."""

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "adaptax"
MAY_IMPORT = {
    "ops": {"ops"},
    "nn": {"nn", "ops"},
    "core": {"core", "ops", "errors"},
    "inner": {"inner", "core", "nn", "ops", "fields"},
    "learners": {"core", "nn", "ops", "inner", "fields"},
    "envs": {"envs", "core", "ops", "fields"},
    "references": {"references", "core", "envs", "ops"},
}


def imports_of(path: Path) -> set[str]:
    """First names below the package that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("adaptax."):
            found.add((node.module or "").split(".")[1])
    return found


def code_lines(path: Path) -> int:
    """Lines that are neither blank, comment nor docstring."""
    text = path.read_text()
    documented = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
            first = node.body[0]
            documented |= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    lines = enumerate(text.splitlines(), 1)
    return sum(bool(line.strip()) and not line.strip().startswith("#") and i not in documented for i, line in lines)


def test_dependencies_point_one_way() -> None:
    for layer, allowed in MAY_IMPORT.items():
        for path in (SOURCE / layer).glob("*.py"):
            assert imports_of(path) <= allowed, f"{path.name} imports {imports_of(path) - allowed}"


def test_no_learner_imports_another() -> None:
    for path in (SOURCE / "learners").glob("*.py"):
        assert "learners" not in imports_of(path), path.name


def test_the_core_stays_small() -> None:
    assert sum(code_lines(path) for path in (SOURCE / "core").glob("*.py")) < 650
    for name in ("rl2", "maml"):
        assert len((SOURCE / "learners" / f"{name}.py").read_text().splitlines()) < 200
    assert len((SOURCE / "core" / "lifetime.py").read_text().splitlines()) < 250


def test_functions_are_short() -> None:
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                length = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
                assert length <= 50, f"{path.name}:{node.name} has {length} lines"
