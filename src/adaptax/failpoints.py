"""Places where a test breaks a run. Nothing happens there unless the environment variable ADAPTAX_FAILPOINT names one.

ADAPTAX_FAILPOINT=ckpt.before_rename:kill@2     # SIGKILL, the second time that this place is passed
ADAPTAX_FAILPOINT=ckpt.before_tmp:full          # "no space left on device", every time
ADAPTAX_FAILPOINT=run.chunk:sleep3@2            # three seconds, for a signal to arrive; it says so on standard error
"""

import errno
import os
import signal
import time
from collections import Counter
from pathlib import Path

VARIABLE = "ADAPTAX_FAILPOINT"
_passed: Counter[str] = Counter()


def reach(name: str, file: Path | None = None) -> None:
    """Does what was asked for this place; a file that is being written is left half written.

    Raises:
        OSError: a full disk was asked for.
    """
    place, _, asked = os.environ.get(VARIABLE, "").partition(":")
    if place != name:
        return
    action, _, time_of = asked.partition("@")
    _passed[name] += 1
    if time_of and _passed[name] != int(time_of):
        return
    if action.startswith("sleep"):
        os.write(2, f"at {name}\n".encode())
        time.sleep(float(action.removeprefix("sleep")))
        return
    if file is not None and file.is_file():
        os.truncate(file, file.stat().st_size // 2)
    if action == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file or name))
    os.kill(os.getpid(), signal.SIGKILL)
