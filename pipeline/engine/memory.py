"""How much memory a command may take (`[engine] memory_gb`), and how its parts share it.

The libraries take their part before anything is read. Of the rest DuckDB gets two thirds, and
spills to disk beyond it; the last third is for frames, which are made for so many rows at a time as
fit.
"""

import os
from contextvars import ContextVar
from pathlib import Path

from features.errors import ConfigError

LIBRARIES_GB = 0.5
"""What Python and its libraries take by themselves, measured with pandas, LightGBM, DuckDB and
MLflow loaded.
"""
LEAST_GB = 1.0
"""With less, too little is left beside the libraries for any command that reads tables."""
DATABASE_SHARE = 2 / 3
GIGABYTE = 10**9
LEARNING_COPIES = 8.0
"""Times its own size that learning takes beside a table of signals, of the rows that teach;
measured 7.6 at 5,000 accounts.
"""
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_allowed: ContextVar[float | None] = ContextVar("allowed_gb", default=None)


def allow(memory_gb: float | None) -> None:
    """Set what commands may take from now on; None: half of the machine, and at least `LEAST_GB`.

    Raises
    ------
    ConfigError
        When it is less than any command can do with.
    """
    if memory_gb is not None and memory_gb < LEAST_GB:
        raise ConfigError(
            f"[engine] memory_gb = {memory_gb:g} is too little: the libraries alone take"
            f" {LIBRARIES_GB:g} GB, and the smallest company needs {LEAST_GB:g} GB. Set memory_gb ="
            f" {LEAST_GB:g} or more."
        )
    _allowed.set(memory_gb)


def allowed_gb() -> float:
    """Gigabytes that a command may take."""
    declared = _allowed.get()
    return max(LEAST_GB, machine_gb() / 2) if declared is None else declared


def machine_gb() -> float:
    """Memory of the machine, or of the container the process runs in where that has less."""
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        limit = _CGROUP_LIMIT.read_text(encoding="ascii").strip()
    # No such file: not in a container, or one of another kind that sets no limit here.
    except OSError:
        limit = "max"
    return (min(whole, int(limit)) if limit.isdigit() else whole) / GIGABYTE


def frames_bytes() -> int:
    """Bytes that frames may take beside libraries and DuckDB."""
    return int((allowed_gb() - LIBRARIES_GB) * (1 - DATABASE_SHARE) * GIGABYTE)


def database_bytes() -> int:
    """Bytes that DuckDB may hold before it spills."""
    return int((allowed_gb() - LIBRARIES_GB) * DATABASE_SHARE * GIGABYTE)


def database_limit() -> str:
    """What DuckDB may hold before it spills, in its own notation."""
    return f"{database_bytes() // 10**6}MB"


def rows_at_once(bytes_a_row: int, most: int) -> int:
    """Rows of a frame that fit, at most `most`."""
    return max(1, min(most, frames_bytes() // bytes_a_row))


def cells_in_memory(bytes_a_cell: int, most: int) -> int:
    """Values that DuckDB can build at a time without spilling, at most `most`."""
    return max(1, min(most, database_bytes() // bytes_a_cell))


def training_rows(rows: int, columns: int) -> int:
    """Rows of a table of signals that a model can learn from beside the table; below 0 where not
    even the table fits.

    DuckDB is done when a model learns, so its part is free.
    """
    free = (allowed_gb() - LIBRARIES_GB) * GIGABYTE
    return int((free / (8 * columns) - rows) / LEARNING_COPIES)


def training_gb(rows: int, columns: int, taught: int) -> float:
    """Gigabytes that learning from so many rows of a table of signals takes."""
    return LIBRARIES_GB + 8 * columns * (rows + LEARNING_COPIES * taught) / GIGABYTE
