"""Spark as the engine of feature tables: the same steps and the same last query as on DuckDB, word
for word.

DuckDB stays in charge: it takes the snapshots, works out calendars and the feeds' dates, and
receives the finished rows. Those tables are small (accounts x dates) and travel to Spark; the facts
do not: executors read the Parquet files of the staged tables where they lie.
`docs/how-to/run-on-spark.md` says what else moves.
"""

import os
import shutil
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from features.build import FeaturePlan
from features.errors import ConfigError
from features.naming import facts_table, slug
from features.sql import literal
from pipeline.engine.duckdb import Connection
from pipeline.engine.facts import account_ranges, facts_query
from pipeline.staging.staged import StagedSource

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# What feature SQL rests on, whatever the cluster's defaults are. Parquet times have no zone: they
# are UTC already.
SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    # Names in double quotes, as `features/sql.py` writes them.
    "spark.sql.ansi.doubleQuotedIdentifiers": "true",
    "spark.sql.parquet.inferTimestampNTZ.enabled": "true",
    # The last query joins some sixty tables: planning it anew after each of them takes longer than
    # all else, and the order that `_kept` gives them would not be seen.
    "spark.sql.adaptive.enabled": "false",
}
PARTITIONS = "spark.sql.shuffle.partitions"
# 160 MB of doubles: what the driver, 1 GB by default, is handed at a time.
COLLECTED_AT_ONCE = 20_000_000


def require_spark() -> None:
    """Say what is missing before any work is done.

    Raises
    ------
    ConfigError
        When PySpark or Java is not installed.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise ConfigError(
            "engine spark needs PySpark, which is not installed. Run `pip install 'tenure[spark]'`,"
            " or leave out --engine spark."
        ) from error
    home = os.environ.get("JAVA_HOME")
    has_java = shutil.which("java") or (
        home and shutil.which("java", path=os.path.join(home, "bin"))
    )
    if SparkSession.getActiveSession() is None and not has_java:
        raise ConfigError(
            "engine spark needs Java 17 or newer; neither JAVA_HOME nor the path has one. Install"
            " it (Debian: `apt-get install openjdk-17-jre-headless`), or leave out --engine spark."
        )


def spark_session() -> "SparkSession":
    """A session on the Spark that is there (a notebook's, spark-submit's), else on this machine.

    It has settings and temporary views of its own, so that it disturbs nothing else that runs
    there.

    Raises
    ------
    ConfigError
        When PySpark or Java is missing, or Spark does not start.
    """
    require_spark()
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    try:
        with warnings.catch_warnings():
            # Said of every pandas 3; rows come and go as Arrow here.
            warnings.filterwarnings(
                "ignore",
                message="PySpark does not yet fully support pandas",
                category=FutureWarning,
            )
            quiet = SparkSession.builder.appName("tenure").config(
                "spark.ui.showConsoleProgress", "false"
            )
            session = (SparkSession.getActiveSession() or quiet.getOrCreate()).newSession()
    except (PySparkException, OSError) as error:
        raise ConfigError(
            f"Spark did not start: {str(error).splitlines()[0]} Check that `java -version` says 17"
            " or newer, or leave out --engine spark."
        ) from error
    for key, value in SETTINGS.items():
        session.conf.set(key, value)
    if str(session.sparkContext.master).startswith("local"):
        _suit_one_machine(session)
    return session


def _suit_one_machine(session: "SparkSession") -> None:
    """As many parts as cores, where nobody said otherwise: Spark's 200 are meant for clusters. And
    a quiet log.
    """
    context = session.sparkContext
    if context.getConf().get(PARTITIONS) is None:
        session.conf.set(PARTITIONS, str(context.defaultParallelism))
    context.setLogLevel("ERROR")


def facts_on_spark(staged: StagedSource, relation: str) -> str:
    """SELECT of `facts_<source>` in Spark's words: all that is written differently than for
    DuckDB.
    """
    return facts_query(
        staged,
        relation,
        lambda time: (
            # Read as UTC, which the session's zone is.
            f"unix_micros(cast({time} as timestamp))",
            f"cast(unix_date(cast({time} as date)) as bigint)",
        ),
    )


def run_plan_on_spark(
    session: "SparkSession",
    connection: Connection,
    plan: FeaturePlan,
    sources: Mapping[str, tuple[StagedSource, Sequence[str]]],
    result: str,
    cells_at_once: int = COLLECTED_AT_ONCE,
) -> None:
    """As `facts.run_plan`, with the facts read and added up by Spark: the same table `result` in
    the connection.

    Parameters
    ----------
    sources
        What is known of each source of the plan, and the Parquet files of its staged table.
    cells_at_once
        About how many values of the result are collected at a time.
    """
    with ExitStack() as cleanup:
        for name, (staged, files) in sources.items():
            _name(session, cleanup, f"staged_{slug(name)}", session.read.parquet(*files))
            _name(
                session,
                cleanup,
                facts_table(name),
                session.sql(facts_on_spark(staged, f"staged_{slug(name)}")),
            )
        _name(
            session,
            cleanup,
            "snapshots",
            _sent(session, connection, "snapshots", "account_id, as_of_day, partition_name"),
        )
        for table in ("calendar", *(f"dates_{slug(name)}" for name in plan.windows)):
            _name(session, cleanup, table, _sent(session, connection, table, "*").hint("broadcast"))
        for step in plan.steps:
            _name(session, cleanup, step.name, _kept(session, session.sql(step.select)))
        _collect(
            connection,
            session.sql(plan.query),
            result,
            max(1, cells_at_once // max(1, len(plan.signals))),
        )


def _name(session: "SparkSession", cleanup: ExitStack, name: str, frame: "DataFrame") -> None:
    """Let SQL read the frame under a name until `done`."""
    frame.createOrReplaceTempView(name)
    cleanup.callback(session.catalog.dropTempView, name)


def _kept(session: "SparkSession", frame: "DataFrame") -> "DataFrame":
    """The rows themselves in place of how they come about: plans that grow with every step cost
    more than the rows.

    Rows lie where the last query wants them, in its order, so that it merges tables instead of
    sorting all at once: sixty sorts in one task ask for more memory than it has. They are kept on
    the executors; where the cluster has a checkpoint folder, in it, where they outlive an executor.
    """
    key = next(
        (k for k in ("account_no", "account_id") if {k, "as_of_day"} <= set(frame.columns)), None
    )
    if key:
        parts = int(str(session.conf.get(PARTITIONS)))
        frame = frame.repartition(parts, key, "as_of_day").sortWithinPartitions(key, "as_of_day")
    return (
        frame.checkpoint() if session.sparkContext.getCheckpointDir() else frame.localCheckpoint()
    )


def _sent(session: "SparkSession", connection: Connection, table: str, columns: str) -> "DataFrame":
    """A small table of DuckDB's, as Arrow."""
    return session.createDataFrame(
        connection.sql(f"select {columns} from {table}").to_arrow_table()
    )


def _collect(connection: Connection, frame: "DataFrame", result: str, rows_at_once: int) -> None:
    """The rows into DuckDB, for some accounts after the others, so that the driver never
    holds all.
    """
    for number, (first, beyond) in enumerate(account_ranges(connection, rows_at_once)):
        below = "" if beyond is None else f" and account_id < {literal(beyond)}"
        connection.register(
            "incoming", frame.where(f"account_id >= {literal(first)}{below}").toArrow()
        )
        into = (
            f"create or replace temp table {result} as" if number == 0 else f"insert into {result}"
        )
        connection.execute(f"{into} select * from incoming")
        connection.unregister("incoming")
