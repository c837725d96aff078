"""What can go wrong, with the exit code that the command line gives it."""


class AdaptaxError(Exception):
    """An error with one clear sentence; the first line says what, where, and what to do."""

    exit_code = 1


class ConfigError(AdaptaxError, ValueError):
    """A name, field, type or range is wrong. `problems` lists all of them."""

    exit_code = 2

    def __init__(self, *problems: str):
        super().__init__("\n".join(problems))
        self.problems = problems


class FaultyEnvironmentError(AdaptaxError):
    """An environment breaks its own contract."""

    exit_code = 3


class NumericalError(AdaptaxError):
    """A number that must be finite is not."""

    exit_code = 4


class CheckpointError(AdaptaxError):
    """A folder is no run, or a checkpoint is damaged or does not fit."""

    exit_code = 5


class StorageError(AdaptaxError, OSError):
    """A run folder cannot be written: the disk is full, or is gone."""

    exit_code = 6


class ResourceError(AdaptaxError):
    """The machine lacks what is needed, or does not use what it has."""

    exit_code = 6


class RunBusyError(AdaptaxError):
    """The run folder exists already or is in use."""

    exit_code = 7
