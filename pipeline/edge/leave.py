"""The end of the process."""

import atexit
import os
import sys
import threading
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End the process with this exit code once all that Python has to tidy up is done.

    What libraries written in C++ tidy up when a process ends is left out: a thread of Arrow's that
    still winds down then stops the process with 134, after all its work was done
    (apache/arrow#34314), and a scheduler would report a night that went well as failed.
    """
    # As the interpreter does: threads that were asked to stop, then what asked to be called.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # nobody reads any more, or it is closed
            continue
    os._exit(code)
