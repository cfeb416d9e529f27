"""What `tenure monitor` prints: what scores promise, how promises did, what moved since."""

from typing import Any

import pandas as pd

from models.monitoring import INSIDE, MOVED, QUIET
from models.target_words import TargetWords
from pipeline.jobs.monitor import EVERY_ACCOUNT, MonitorReport
from pipeline.reports.render import counted

MEASURES_SHOWN = 5
_SAID = {"leavers": "accounts that {past}", "log_loss": "log loss", "auc": "AUC"}


def monitor_lines(report: MonitorReport, words: TargetWords) -> list[str]:
    """The figures in sentences, and what to do about them."""
    run = report.run
    return [
        f"{run.target}: run {run.run_id} of {run.as_of:%Y-%m-%d}",
        *_promise_lines(report, words),
        *_judged_lines(report, words),
        *_drift_lines(report),
    ]


def monitor_json(report: MonitorReport) -> dict[str, Any]:
    """Everything as plain values."""
    return {
        "run_id": report.run.run_id,
        "as_of": report.run.as_of,
        "target": report.run.target,
        "figures": report.rows.drop(columns="target").to_dict("records"),
        "signals": report.signals.to_dict("records"),
        "sources": report.sources.to_dict("records"),
    }


def _promise_lines(report: MonitorReport, words: TargetWords) -> list[str]:
    rows = report.rows
    mine = rows[rows["what"].str.startswith("expected_") & (rows["segment"] == EVERY_ACCOUNT)]
    if mine.empty:
        return ["A scorecard gives no chances, so nothing is promised."]
    said = [
        f"{_named(str(row['what']).removeprefix('expected_'), words)} {_figures(row)}"
        for row in mine.to_dict("records")
    ]
    return [f"Expected if the chances are right: {'; '.join(said)}."]


def _judged_lines(report: MonitorReport, words: TargetWords) -> list[str]:
    judged = report.judged
    if judged.empty:
        return ["No promise of an earlier run can be judged yet."]
    inside = int((judged["verdict"] == INSIDE).sum())
    lines = [
        f"Of {counted(len(judged), 'figure')} promised by"
        f" {counted(judged['run_id'].nunique(), 'earlier run')}, {inside} came out where luck alone"
        " puts 95 in 100."
    ]
    for row in judged[judged["verdict"] != INSIDE].tail(MEASURES_SHOWN).to_dict("records"):
        named, measured = _named(row["what"], words), _number(row["what"], row["value"])
        lines.append(
            f"  {row['as_of']:%Y-%m-%d}: {named} {measured}, {row['verdict']} {_range(row)}"
        )
    return lines


def _drift_lines(report: MonitorReport) -> list[str]:
    if report.signals.empty:
        return ["Drift since training: not known; run `tenure features`, then `tenure monitor`."]
    moved = report.sources[report.sources["verdict"] == MOVED]
    quiet = int((report.signals["verdict"] == QUIET).sum())
    lines = ["Since training these sources moved the mean score:"]
    if moved.empty:
        lines = [
            "Since training no source moved the mean score by a point;"
            f" {counted(quiet, 'signal')} moved far without moving it."
        ]
    for row in moved.to_dict("records"):
        mine = report.signals[report.signals["source"] == row["source"]].head(MEASURES_SHOWN)
        named = ", ".join(
            f"{each['signal']} {each['points']:+.1f}" for each in mine.to_dict("records")
        )
        lines.append(f"  {row['source']} by {row['points']:+.1f} points: {named}")
    return lines


def _named(what: str, words: TargetWords) -> str:
    return _SAID[what].format(past=words.past)


def _number(what: str, value: float) -> str:
    return f"{value:,.0f}" if what.endswith("leavers") else f"{value:.3f}"


def _figures(row: dict[Any, Any]) -> str:
    return f"{_number(row['what'], row['value'])} {_range(row)}"


def _range(row: dict[Any, Any]) -> str:
    if pd.isna(row["low"]) or pd.isna(row["high"]):
        return ""
    return f"({_number(row['what'], row['low'])} to {_number(row['what'], row['high'])})"
