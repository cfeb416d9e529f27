"""Files as they were at one moment: read whole, or refused because somebody was writing them.

Tables are read several times (a header, a count, the rows), so a file that is replaced between two
reads would give rows of two exports. What a file was is noted before the first read and compared
after the last; nothing is written before that.
"""

import fcntl
import hashlib
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from features.errors import ContractError

_BLOCK = 1 << 20


def hashes(files: Sequence[Path]) -> dict[str, str]:
    """Name of each file -> sha256 of its bytes, recorded with what was staged of it."""
    return {path.name: _sha256(path) for path in files}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def unchanged(files: Sequence[Path], location: str) -> Iterator[None]:
    """Hold that files are the same when reading ends as when it began.

    Raises
    ------
    ContractError
        Another program has one of them open for writing, or one was written or replaced meanwhile;
        in place of whatever else reading it led to.
    """
    before = {path: _mark(path) for path in files}
    written = [path for path in files if _is_being_written(path)]
    if written:
        raise ContractError(
            f"{location}: {written[0].name} is being written by another program. Run the command"
            " again when that has ended."
        )
    try:
        yield
    finally:
        _refuse_changed(before, location)


def _refuse_changed(before: Mapping[Path, tuple[int, ...] | None], location: str) -> None:
    changed = [path.name for path, mark in before.items() if _mark(path) != mark]
    if changed:
        raise ContractError(
            f"{location}: {changed[0]} was written or replaced while it was read, so nothing was"
            " staged. Run the command again when the export has ended; an export that is renamed"
            " into its place when it is complete is never met half way."
        )


def _mark(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is written or replaced; None where it is gone."""
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns


def _is_being_written(path: Path) -> bool:
    """Whether a program has the file open for writing, where the system tells (Linux, own files).

    A read lease is granted exactly when nobody writes. It is given back at once, and the signal of
    a writer that comes in between is ignored.
    """
    lease = getattr(fcntl, "F_SETLEASE", None)
    if lease is None or threading.current_thread() is not threading.main_thread():
        return False
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            fcntl.fcntl(handle, lease, fcntl.F_RDLCK)
            fcntl.fcntl(handle, lease, fcntl.F_UNLCK)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
    except OSError:
        return False  # a file system without leases, or a file of somebody else
    finally:
        signal.signal(signal.SIGIO, before)
    return False


def refuse_cut_off(path: Path, header: Sequence[str], delimiter: str) -> None:
    """Refuse a CSV file that ends inside a row: half an export.

    Raises
    ------
    ContractError
        The last line has no end and fewer fields than the header.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _BLOCK))
        tail = file.read()
    if not tail or tail.endswith((b"\n", b"\r")):
        return
    last = tail.replace(b"\r", b"\n").rpartition(b"\n")[2]
    # A quotation mark without its partner: the row began on an earlier line.
    if last.count(b'"') % 2:
        return
    fields = 1 + _outside_quotes(last).count(delimiter.encode())
    if fields < len(header):
        raise ContractError(
            f"{path.name} ends in the middle of a row: {fields} of {len(header)} fields, and no end"
            " of line. Half an export is not read; export it again."
        )


def _outside_quotes(line: bytes) -> bytes:
    return b"".join(line.split(b'"')[::2])
