"""Commands that are killed, or stand still, at their n-th write.

A process that has imported everything forks once for each command, so that a kill is a kill:
nothing is tidied up, no lock is given back. What is counted are writes below the project: files
opened for writing, renamed, removed, folders made; commits of Delta, batches of rows on their way
to one, and commits of MLflow's database.
"""

import io
import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attack_run import Attacked, run_command

WRITES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate")
FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True)
class Ended:
    """What became of a command."""

    signal: int | None
    """Of a command that was killed, or stands still."""
    answer: Attacked | None
    writes: int
    process: int


class Stopper:
    """Starts commands, each in a process of its own."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def run(
        self,
        folder: Path,
        *arguments: object,
        kill_at: int | None = None,
        hold_at: int | None = None,
    ) -> Ended:
        """`tenure ARGUMENTS --project FOLDER`, killed before its n-th write or standing still
        there.
        """
        return self._ask(
            folder=str(folder),
            arguments=[*map(str, arguments), "--project", str(folder)],
            at=kill_at or hold_at,
            is_held=hold_at is not None,
        )

    def go_on(self, held: Ended) -> Ended:
        """Let a command that stands still end."""
        return self._ask(process=held.process)

    def _ask(self, **job: Any) -> Ended:
        answer = self._scratch / "answer.json"
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(
            json.dumps({**job, "answer": str(answer), "kept": str(self._scratch / "kept")}) + "\n"
        )
        self._process.stdin.flush()
        ended = json.loads(self._process.stdout.readline())
        said = json.loads(answer.read_text()) if answer.exists() else None
        answer.unlink(missing_ok=True)
        return Ended(
            ended["signal"],
            None if said is None else Attacked(said["code"], said["out"], said["err"]),
            0 if said is None else said["writes"],
            ended["process"],
        )

    def close(self) -> None:
        """End the process that forks."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


class Countdown:
    """Counts the writes of this process below a folder, and ends or stops it at one of them."""

    def __init__(self, folder: str, at: int | None, is_held: bool) -> None:
        self.folder, self.at, self.is_held, self.writes = folder, at, is_held, 0

    def step(self, opened: str | None = None) -> None:
        """One write is about to happen."""
        self.writes += 1
        if self.writes != self.at:
            return
        if self.is_held:
            os.kill(os.getpid(), signal.SIGSTOP)
            return
        if opened is not None and self.writes % 2:
            # A kill between opening and writing: the file is there, and empty.
            self.at = None
            os.close(os.open(opened, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644))
        os.kill(os.getpid(), signal.SIGKILL)

    def hears(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Python's own events of files, whoever causes them."""
        if event == "open" and isinstance(arguments[0], str | os.PathLike):
            path, mode, flags = os.fspath(arguments[0]), arguments[1], arguments[2]
            if isinstance(path, str) and path.startswith(self.folder) and flags & FLAGS:
                self.step(path if isinstance(mode, str) and "w" in mode else None)
        elif event in WRITES and any(
            isinstance(each, str | os.PathLike) and str(each).startswith(self.folder)
            for each in arguments
        ):
            self.step()

    def before(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function that is a write."""

        def stepping(*arguments: Any, **named: Any) -> Any:
            self.step()
            return function(*arguments, **named)

        return stepping

    def listen(self) -> None:
        """Count from now on; there is no way back."""
        import pyarrow as pa
        from deltalake import DeltaTable
        from deltalake.table import TableAlterer
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        from pipeline import storage

        write = storage.write_deltalake

        def batches(rows: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
            self.step()
            for batch in rows:
                yield batch
                self.step()  # rows are in files, and no version has them

        def written(path: str, rows: Any, **named: Any) -> None:
            reader = pa.RecordBatchReader.from_stream(rows)
            write(path, pa.RecordBatchReader.from_batches(reader.schema, batches(reader)), **named)
            self.step()

        storage.write_deltalake = written  # type: ignore[assignment]
        for name in ("vacuum", "create_checkpoint", "cleanup_metadata"):
            setattr(DeltaTable, name, self.before(getattr(DeltaTable, name)))
        TableAlterer.set_table_properties = self.before(TableAlterer.set_table_properties)  # type: ignore[method-assign]
        event.listen(Engine, "commit", lambda connection: self.step())
        sys.addaudithook(self.hears)


def keep_learning(kept: Path) -> None:
    """Learn once from the same rows: a search computes and writes nothing, so no kill in it says
    anything of what is written.
    """
    from pipeline.jobs import train as job

    learn = job.train

    def train(rows: Any, *arguments: Any, **named: Any) -> Any:
        file = kept / rows.fingerprint()
        if not file.exists():
            kept.mkdir(exist_ok=True)
            file.write_bytes(pickle.dumps(learn(rows, *arguments, **named)))
        return pickle.loads(file.read_bytes())

    job.train = train


def _serve() -> None:
    _load()
    for line in sys.stdin:
        job = json.loads(line)
        process = job.get("process")
        if process is None:
            process = os.fork()
            if process == 0:
                _work(job)
        else:
            os.kill(process, signal.SIGCONT)
        _, status = os.waitpid(process, os.WUNTRACED)
        ended = os.WSTOPSIG(status) if os.WIFSTOPPED(status) else None
        ended = os.WTERMSIG(status) if os.WIFSIGNALED(status) else ended
        print(json.dumps({"signal": ended, "process": process}), flush=True)


def _load() -> None:
    """What commands load and look up, once; nothing that starts a thread."""
    import alembic.command  # noqa: F401
    import git  # noqa: F401
    import IPython.display  # noqa: F401
    import lightgbm  # noqa: F401
    import mlflow.pyfunc  # noqa: F401
    import mlflow.store.model_registry.sqlalchemy_store
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
    import pyarrow.dataset  # noqa: F401
    from matplotlib.figure import Figure
    from mlflow.utils import requirements_utils

    import pipeline.checking
    import pipeline.cli.grouped
    import pipeline.flow  # noqa: F401

    requirements_utils._init_packages_to_modules_map()
    Figure().savefig(io.BytesIO())


def _work(job: dict[str, Any]) -> None:
    try:
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        keep_learning(Path(job["kept"]))
        countdown = Countdown(job["folder"], job["at"], job["is_held"])
        countdown.listen()
        said = run_command(*job["arguments"])
        countdown.at = None
        Path(job["answer"]).write_text(
            json.dumps(
                {"code": said.code, "out": said.out, "err": said.err, "writes": countdown.writes}
            )
        )
    finally:
        os._exit(0)


if __name__ == "__main__":
    _serve()
