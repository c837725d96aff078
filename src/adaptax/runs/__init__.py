"""Runs: trainings that can be trusted, and the folders they are kept in.

`run` is the state, `training` the loop, `settings` what may be asked, `signals` what ends it; `folder` is what a run's
folder holds, `log` writes it, `stored` is the way back, `inspection` says whether all of it is whole.
"""

from adaptax.runs.folder import folder_name, read_config, read_lines
from adaptax.runs.inspection import Inspection, inspect_run
from adaptax.runs.run import Run
from adaptax.runs.stored import elsewhere, open_run, opened, values_of
from adaptax.runs.training import Interrupted, Now, resume, train

__all__ = [
    "Inspection",
    "Interrupted",
    "Now",
    "Run",
    "elsewhere",
    "folder_name",
    "inspect_run",
    "open_run",
    "opened",
    "read_config",
    "read_lines",
    "resume",
    "train",
    "values_of",
]
