"""Fixtures shared by all tests, and the rule for tests that need something not every machine
has.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from features.errors import ConfigError
from pipeline.engine.duckdb import Connection, connect
from pipeline.engine.spark import require_spark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Fixtures hold no doctests, and two files of one name cannot both be imported to look for them.
collect_ignore_glob = ["*conftest.py"]

# Threads of OpenMP that wait must not spin: two test processes on two cores would starve each
# other.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# A busy machine is no fault of the code under test, so no example has a deadline.
settings.register_profile("tenure", deadline=None)
settings.load_profile("tenure")

REQUIRED = frozenset(filter(None, os.environ.get("TENURE_REQUIRE", "").split(",")))


def skip_or_fail(capability: str, reason: str) -> None:
    """Skip the test; fail it where TENURE_REQUIRE (a comma list) names the capability."""
    if capability in REQUIRED:
        pytest.fail(f"TENURE_REQUIRE names {capability}, but {reason}", pytrace=False)
    pytest.skip(f"{capability}: {reason}")


COUNTS = "counts"


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Iterator[Callable[..., None]]:
    """`tally("damages", tried=13, clear=13)`: a row of the tables that stand below the test report;
    counts of one name are added up.
    """
    rows: dict[str, Counter[str]] = {}

    def add(what: str, **counts: int) -> None:
        # Counter's `+` would lose the noughts, which are the point.
        rows.setdefault(what, Counter()).update(counts)

    yield add
    record_property(COUNTS, {what: dict(counts) for what, counts in rows.items()})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One table for each set of columns that tests counted."""
    tables: dict[tuple[str, ...], dict[str, Counter[str]]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) != "teardown":
                continue
            for name, rows in report.user_properties:
                for what, counts in rows.items() if name == COUNTS else ():
                    table = tables.setdefault(tuple(counts), {})
                    table.setdefault(what, Counter()).update(counts)
    for columns, table in tables.items():
        width = max(map(len, table))
        terminalreporter.section("counted by attack")
        terminalreporter.line(f"{'':<{width}}" + "".join(f"{each:>12}" for each in columns))
        for what, counts in sorted(table.items()):
            cells = "".join(f"{counts[each]:>12,}" for each in columns)
            terminalreporter.line(f"{what:<{width}}{cells}")


@pytest.fixture
def duck() -> Iterator[Connection]:
    """A fresh in-memory DuckDB in UTC."""
    connection = connect()
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of third-party data sets beside the repository (TENURE_SHARED_DATA overrides)."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("TENURE_SHARED_DATA", default))
    if not folder.is_dir():
        skip_or_fail("data", f"no folder of data sets at {folder}")
    return folder


@pytest.fixture(scope="session")
def spark() -> "Iterator[SparkSession]":
    """Spark on this machine, as a cluster's session would be there before tenure; stopped after the
    session.
    """
    try:
        require_spark()
    except ConfigError as missing:
        skip_or_fail("spark", str(missing))
    from pyspark.sql import SparkSession

    # Tiny tables: compiling their queries would cost more than running them.
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        # Neither a zone nor lenient sums of the surroundings may change a value.
        "spark.sql.session.timeZone": "America/Los_Angeles",
        "spark.sql.ansi.enabled": "false",
    }
    session = (
        SparkSession.builder.master("local[2]")
        .appName("tenure-tests")
        .config(map=settings)
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def postgres_address() -> Iterator[str]:
    """The address of a throw-away PostgreSQL server on a Unix socket, stopped after the session."""
    programs = _postgres_programs()
    if programs is None:
        skip_or_fail(
            "postgres", "initdb and pg_ctl are not installed (Debian: apt-get install postgresql)"
        )
        return
    # Not below pytest's own folder: that one is closed to the other user, and a socket's path may
    # have 107 letters.
    folder = Path(tempfile.mkdtemp(prefix="tenure-pg-"))
    as_user = _as_ordinary_user(folder)
    cluster = folder / "cluster"
    try:
        _run(
            [
                *as_user,
                str(programs / "initdb"),
                "-D",
                str(cluster),
                "-U",
                "tenure",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-sync",
            ],
            folder,
        )
        options = f"-k {folder} -c listen_addresses='' -c fsync=off"
        _run(
            [
                *as_user,
                str(programs / "pg_ctl"),
                "-D",
                str(cluster),
                "-w",
                "-l",
                str(folder / "log"),
                "-o",
                options,
                "start",
            ],
            folder,
        )
        yield f"postgresql://tenure@/postgres?host={folder}"
    finally:
        if (cluster / "postmaster.pid").exists():
            _run(
                [*as_user, str(programs / "pg_ctl"), "-D", str(cluster), "-m", "immediate", "stop"],
                folder,
            )
        shutil.rmtree(folder, ignore_errors=True)


def _postgres_programs() -> Path | None:
    """The folder of initdb and pg_ctl: on the path, or where Debian keeps them, newest version
    first.
    """
    on_path = shutil.which("initdb")
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name.split(".")[0])
    )
    candidates = ([Path(on_path).resolve().parent] if on_path else []) + versions[::-1]
    return next(
        (c for c in candidates if (c / "initdb").exists() and (c / "pg_ctl").exists()), None
    )


def _as_ordinary_user(folder: Path) -> list[str]:
    """The words before a command that run it as an ordinary user: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return []
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    folder.chmod(0o755)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def _run(command: list[str], folder: Path) -> None:
    # The server inherits standard output; a pipe would keep the call waiting for it.
    with (folder.parent / f"{folder.name}.out").open("w+") as output:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
        )
        output.seek(0)
        said = output.read()
    (folder.parent / f"{folder.name}.out").unlink()
    if done.returncode != 0:
        raise RuntimeError(f"{command[-1]}: {said}")
