"""Watch what was published: what the scores promise before outcomes are known, how earlier promises
did, and which signals moved since training.

Everything is a row of the table `monitor`: what was measured, the range it should lie in, the
verdict.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from models.bundle import Bundle
from models.health.standing import is_member
from models.monitoring import drift, happened, promised, source_drift, verdict
from models.monitoring.drift import LARGE_INDEX, LARGE_POINTS
from pipeline.config.schema import Target
from pipeline.jobs.drift_bins import frozen_bins
from pipeline.jobs.outcomes import OutcomesReport, outcomes_report
from pipeline.jobs.past_runs import past_bundle
from pipeline.jobs.score import published_table
from pipeline.ledger import RunRow, published_run
from pipeline.published import read_scores
from pipeline.workspace import Workspace

MONITOR = "monitor"
COLUMNS = (
    ("as_of", pa.timestamp("us")),
    ("target", pa.string()),
    ("run_id", pa.string()),
    ("what", pa.string()),
    ("segment", pa.string()),
    ("value", pa.float64()),
    ("low", pa.float64()),
    ("high", pa.float64()),
    ("verdict", pa.string()),
)
EVERY_ACCOUNT = ""
"""The segment of figures over all accounts."""
WAITING = "waiting"
FEWEST_OF_A_SEGMENT = 30


@dataclass(frozen=True)
class MonitorReport:
    """What `monitor` found of a run.

    `rows` are those of the table; `signals` and `sources` the drift since training, the largest
    effect first, empty where nothing was kept of the training rows.
    """

    run: RunRow
    rows: pd.DataFrame
    signals: pd.DataFrame
    sources: pd.DataFrame
    outcomes: OutcomesReport

    @property
    def judged(self) -> pd.DataFrame:
        """Promises whose outcome is known."""
        return self.rows[self.rows["what"].isin(["leavers", "log_loss", "auc"])]


def monitor_target(
    workspace: Workspace, target: Target, as_of: date | None = None
) -> MonitorReport:
    """Measure a published run and all matured ones before it, and keep the figures.

    Raises
    ------
    NotFound
        When nothing was published, or its model is not registered any more.
    """
    run = published_run(workspace.store, target.name, as_of)
    bundle = past_bundle(workspace, target, run)
    outcomes = outcomes_report(workspace, target, on=run.as_of if as_of else None)
    signals = _signals(workspace, target, bundle, run)
    sources = source_drift(signals)
    facts = [
        *_of_promise(workspace, run),
        *_of_outcomes(outcomes),
        *_of_drift(run, signals, sources),
    ]
    rows = pd.DataFrame(facts, columns=[name for name, _ in COLUMNS if name != "target"])
    rows = rows.assign(target=target.name)[[name for name, _ in COLUMNS]]
    _keep(workspace, target, rows)
    return MonitorReport(run, rows, signals, sources, outcomes)


def _keep(workspace: Workspace, target: Target, rows: pd.DataFrame) -> None:
    """Replace what was said of the same runs, whose outcomes may be known by now."""
    runs = ", ".join(f"'{run_id}'" for run_id in sorted(set(rows["run_id"])))
    where = f"target = '{target.name}' and run_id in ({runs})"
    workspace.store.write(MONITOR, published_table(rows, COLUMNS), replace=where)


def _fact(
    run: RunRow,
    what: str,
    segment: str,
    value: float,
    low: float | None,
    high: float | None,
    said: str,
) -> dict[str, Any]:
    return {
        "as_of": run.as_of,
        "run_id": run.run_id,
        "what": what,
        "segment": segment,
        "value": value,
        "low": low,
        "high": high,
        "verdict": said,
    }


def _of_promise(workspace: Workspace, run: RunRow) -> Iterator[dict[str, Any]]:
    """What the run promises, over all accounts and by segment."""
    store, mine = workspace.store, [("run_id", "=", run.run_id)]
    scores = read_scores(store, mine, ["account_id", "probability"])
    scores = scores[scores["probability"].notna() & is_member(scores)]
    if scores.empty:  # a scorecard promises nothing
        return
    people = store.read("portfolio", columns=["account_id", "segment"], filters=mine)
    scores = scores.merge(people, on="account_id", how="left")
    parts = [(EVERY_ACCOUNT, scores), *scores.groupby("segment", sort=True)]
    for segment, part in parts:
        if segment != EVERY_ACCOUNT and len(part) < FEWEST_OF_A_SEGMENT:
            continue
        promises = promised(part["probability"].to_numpy(dtype=np.float64))
        for name, promise in promises.items():
            yield _fact(
                run,
                f"expected_{name}",
                str(segment),
                promise.value,
                promise.low,
                promise.high,
                WAITING,
            )


def _of_outcomes(outcomes: OutcomesReport) -> Iterator[dict[str, Any]]:
    """How the promises of matured runs did, and whether the level holds over all published in
    time.
    """
    for each in outcomes.judged:
        rows = each.rows
        if not each.in_time or rows.empty or rows["probability"].isna().any():
            continue
        probability = rows["probability"].to_numpy(dtype=np.float64)
        promises = promised(probability)
        measured = happened(probability, rows["label"].to_numpy(dtype=np.int8))
        for name, value in measured.items():
            if name in promises:
                promise = promises[name]
                said = verdict(promise, value)
                yield _fact(each.run, name, EVERY_ACCOUNT, value, promise.low, promise.high, said)
    newest, overall = outcomes.newest, outcomes.overall
    if newest is not None and overall is not None and overall.total.promised is not None:
        total = overall.total
        yield _fact(
            newest.run,
            "level",
            EVERY_ACCOUNT,
            total.left,
            total.chance_low,
            total.chance_high,
            total.verdict,
        )


def _of_drift(
    run: RunRow, signals: pd.DataFrame, sources: pd.DataFrame
) -> Iterator[dict[str, Any]]:
    """The drift of signals and sources; limits are those of the verdict."""
    for row in signals.to_dict("records"):
        yield _fact(
            run, "signal_index", row["signal"], row["index"], None, LARGE_INDEX, row["verdict"]
        )
    for what, name, table in (
        ("signal_points", "signal", signals),
        ("source_points", "source", sources),
    ):
        for row in table.to_dict("records"):
            points, said = row["points"], row["verdict"]
            yield _fact(run, what, row[name], points, -LARGE_POINTS, LARGE_POINTS, said)


def _signals(workspace: Workspace, target: Target, bundle: Bundle, run: RunRow) -> pd.DataFrame:
    """The drift of every signal of the run's model since its training."""
    columns = list(bundle.published.columns)
    now = workspace.store.read(
        f"features_scored_{target.name}",
        columns=columns,
        filters=[("run_id", "=", run.run_id)],
    )
    frozen = frozen_bins(workspace, target, bundle)
    return drift(frozen, now.astype("float64"), bundle.published.signals)
