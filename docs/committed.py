"""Results that pages are made from."""

import json
from pathlib import Path
from typing import Any


def committed(results: Path, name: str) -> dict[str, Any] | None:
    """A committed result, if there is one of that name."""
    path = results / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
