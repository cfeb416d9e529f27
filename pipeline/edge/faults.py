"""Errors of the machine and of libraries as one of ours: what happened, and the next step.

Whatever no job foresaw ends here, in one place, so that nobody meets a traceback; `tenure --debug
COMMAND` shows it.
"""

import errno
import traceback
from collections.abc import Iterator

from features.errors import ChurnError, ConfigError, ContractError, StoreError
from pipeline.edge.locations import redacted
from pipeline.edge.text import visible

_LONGEST_MESSAGE = 300
"""Letters of another program's message that are repeated."""
_DEBUG = "`tenure --debug COMMAND` shows where it happened."
# Package of an error -> what failed, and what to do. The command line loads none of them for this.
_LIBRARIES: dict[str, tuple[type[ChurnError], str, str]] = {
    "duckdb": (
        ContractError,
        "the query engine stopped",
        "Look at the table it names, or at the store if it names a file there; `tenure check` reads"
        " the sources alone.",
    ),
    "deltalake": (
        StoreError,
        "a table of the store cannot be read or written",
        "If its folder was changed by hand, put it back from a copy; or move the store aside and"
        " run `tenure run`.",
    ),
    "pyarrow": (
        StoreError,
        "a Parquet file cannot be read or written",
        "If it is one of yours, export it again; if it lies in the store, put it back from a copy.",
    ),
    "mlflow": (
        StoreError,
        "MLflow cannot be used",
        "Check [mlflow] tracking_uri and that its server or mlruns/mlflow.db is there, whole and"
        " free; then run the command again.",
    ),
    "sqlalchemy": (
        StoreError,
        "MLflow's database cannot be used",
        "Check that mlruns/mlflow.db (or [mlflow] tracking_uri) is there, whole and free; put it"
        " back from a copy if it is damaged.",
    ),
    "sqlite3": (
        StoreError,
        "MLflow's database cannot be used",
        "Check that mlruns/mlflow.db is there, whole and free; put it back from a copy if it is"
        " damaged.",
    ),
    "requests": (
        StoreError,
        "MLflow's server does not answer",
        "Check [mlflow] tracking_uri and that the server is up; then run the command again.",
    ),
    "lightgbm": (
        ContractError,
        "LightGBM refused",
        "If a saved model was read, it is damaged: train anew, or import it again.",
    ),
}
_WRITE = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota of the disk is used up",
    errno.EFBIG: "the file would be larger than this process may write",
    errno.EACCES: "it may not be read or written by this user",
    errno.EPERM: "it may not be changed by this user",
    errno.EROFS: "it lies on a disk that can only be read",
    errno.ENAMETOOLONG: "its name is longer than the disk allows",
    errno.EMFILE: "too many files are open",
    errno.ENOENT: "it does not exist",
    errno.EEXIST: "something of that name is there already",
    errno.ENOTDIR: "a file stands where a folder is needed",
    errno.EISDIR: "a folder stands where a file is needed",
}


def as_ours(error: BaseException) -> ChurnError:
    """The error as one of ours, its cause kept; one of ours stays as it is."""
    if isinstance(error, ChurnError):
        return error
    for each in _causes(error):
        ours = _known(each)
        if ours is not None:
            return ours
    return _unforeseen(error)


def one_line(error: BaseException) -> str:
    """What is told of an error: no secret, nothing a screen obeys."""
    return visible(redacted(f"tenure: {error}"))


def trace(error: BaseException) -> str:
    """The traceback for `--debug`, with secrets taken out of its messages."""
    return visible(redacted("".join(traceback.format_exception(error))))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__


def _known(error: BaseException) -> ChurnError | None:
    if isinstance(error, ChurnError):
        return error
    # pandas and Arrow raise theirs as ValueError too, so the packages come first.
    for kind in type(error).__mro__:
        package = kind.__module__.partition(".")[0].removeprefix("_")
        if package in _LIBRARIES:
            ours, what, step = _LIBRARIES[package]
            return ours(f"{what}: {said(error)}. {step}")
        if kind.__name__ in ("OutOfBoundsDatetime", "OutOfBoundsTimedelta"):
            return _out_of_range(error)
    if isinstance(error, MemoryError):
        return StoreError(
            "the memory of this machine is used up; nothing more was published. Close other"
            " programs, or score on a larger machine."
        )
    if isinstance(error, OverflowError):
        return _out_of_range(error)
    if isinstance(error, UnicodeError):
        return ContractError(
            f"text cannot be read or written: {said(error)}. Declare the encoding of the source it"
            ' came from, such as encoding = "cp1252".'
        )
    if isinstance(error, OSError):
        return _of_the_machine(error)
    return None


def _out_of_range(error: BaseException) -> ChurnError:
    return ConfigError(
        f"a number or a date is out of range: {said(error)}. Look for a far date or a huge number"
        " of days in tenure.toml or in the options, or for a time before 1678 or after 2261 in a"
        " source."
    )


def _of_the_machine(error: OSError) -> ChurnError:
    named = [str(name) for name in (error.filename, error.filename2) if name is not None]
    place = " -> ".join(named) or "a file"
    reason = _WRITE.get(error.errno or 0, error.strerror or said(error))
    step = (
        "Free space and run the command again; what was published before is whole."
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        else "Change its permissions or choose another place, then run the command again."
    )
    return StoreError(f"{place}: {reason}. {step}")


def _unforeseen(error: BaseException) -> ChurnError:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {frames[-1].name}" if frames else ""
    return ChurnError(
        f"stopped by {type(error).__name__}{place}: {said(error)}. This is not foreseen; {_DEBUG}"
    )


def said(error: BaseException) -> str:
    """The first line of a message, shortened, without a full stop and without secrets."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    first = lines[0].strip().rstrip(".") if lines else type(error).__name__
    return redacted(first if len(first) <= _LONGEST_MESSAGE else f"{first[:_LONGEST_MESSAGE]}...")
