"""Folders for what is needed only while a command runs: named for its process, so that what a
killed one left behind, rows of accounts among it, is found and removed.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_OURS = re.compile(r"tenure-[a-z]+-(\d+)(?:-.*)?")


def scratch_name(purpose: str) -> str:
    """The name of a folder of this process."""
    return f"tenure-{purpose}-{os.getpid()}"


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """An empty folder of this process, removed with all that is in it when the block ends."""
    with tempfile.TemporaryDirectory(prefix=f"{scratch_name(purpose)}-") as folder:
        yield Path(folder)


def remove_left_behind() -> list[Path]:
    """Remove the folders of processes that no longer run; returns them."""
    removed = []
    for folder in sorted(Path(tempfile.gettempdir()).glob("tenure-*")):
        process = _OURS.fullmatch(folder.name)
        if process and folder.is_dir() and not _runs(int(process[1])):
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
    return removed


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # of another user
    return True
