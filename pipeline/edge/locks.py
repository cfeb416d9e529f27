"""One writer at a time, and how long the next one waits."""

import fcntl
import time
from contextvars import ContextVar
from typing import TextIO

from pipeline.edge.terminal import say

PATIENCE: ContextVar[float] = ContextVar("patience", default=0.0)
"""Seconds for which a writing command waits for another one: `tenure --wait SECONDS COMMAND`."""
_BETWEEN_TRIES = 0.2


def taken(handle: TextIO) -> bool:
    """Whether the lock of an open file is ours, at once or within `PATIENCE`; says whom it waits
    for.
    """
    until = time.monotonic() + PATIENCE.get()
    is_told = False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() >= until:
                return False
        else:
            return True
        if not is_told:
            say(
                f"waiting up to {PATIENCE.get():g} s for process {holder(handle)}, which writes"
                " the store",
                err=True,
            )
            is_told = True
        time.sleep(_BETWEEN_TRIES)


def holder(handle: TextIO) -> str:
    """The process that wrote its number into the file of the lock."""
    handle.seek(0)
    return handle.read().strip() or "unknown"
