"""Reports: one self-contained page for one or more runs, and the figures on it.

Drawing needs matplotlib, the extra `adaptax[report]`; it is imported when a report is written, not before.
"""

from pathlib import Path

from adaptax.checkpoint import write_atomically
from adaptax.errors import ConfigError


def write_report(runs: list[Path], out: Path | None = None) -> Path:
    """Writes one HTML page with the curves of one or more runs: no script, no network, the same bytes every time.

    Args:
        runs: Run folders; those evaluated on the same tasks share a figure.
        out: The page; by default `report.html` in the first run folder.

    Returns:
        Where the page is.

    Raises:
        ConfigError: no run is given, matplotlib is not installed, or `out` cannot be a file.
        CheckpointError: a folder is no run.
    """
    if not runs:
        raise ConfigError("give at least one run folder to report on")
    try:
        from adaptax.report.page import page
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "matplotlib":
            raise
        raise ConfigError('a report needs matplotlib: pip install "adaptax[report]"') from error
    from adaptax.report.folder import read_folders

    path = out or runs[0] / "report.html"
    text = page(read_folders(runs))
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name the page itself, for example {path / 'report.html'}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)
    return path
