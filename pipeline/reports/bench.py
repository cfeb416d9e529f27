"""The bench as tables: for a terminal, and as plain values for JSON."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from models.bench import METRICS, BenchResult
from models.contenders import CohortDetails
from models.methods.clusters import ClustersDetails
from models.methods.segment_weights import SegmentWeightsDetails

WIDTH = 100
"""Letters of a line in a terminal that a reader need not widen."""
SEGMENTS_SHOWN = 12
WEIGHTS_SHOWN = 3
HEADINGS = {
    "auc": "AUC",
    "average_precision": "avg. precision",
    "log_loss": "log loss",
    "lift_at_capacity": "lift at capacity",
    "profit": "profit a date",
    "lead_days": "lead, days",
    "warned": "warned",
}


def bench_lines(result: BenchResult) -> list[Any]:
    """Renderables for a terminal: what was measured, the choice by validation dates, the test
    beside it.
    """
    test = result.test
    lines: list[Any] = [
        Text(
            f"chosen on {test.validation_from} to {test.validation_until}"
            f" ({test.validation_leaving_accounts} accounts with the event); test"
            f" {', '.join(_few(test.as_of))}: {test.n:,} rows, {test.leaving_accounts}"
            f" accounts with the event, {test.alarms_per_date:.0f} alarms a date"
        )
    ]
    lines += [_validation_table(result), *_test_tables(result)]
    words = result.validation.set_index("method")["words"]
    lines.append(
        Text(
            "methods: " + "; ".join(f"{method}: {said}" for method, said in words.items()),
            style="dim",
        )
    )
    lines += [
        Text(f"not run: {name}: {why}", style="yellow") for name, why in result.skipped.items()
    ]
    clusters = result.details.get("clusters")
    if isinstance(clusters, ClustersDetails) and clusters.stability is not None:
        lines.append(
            Text(
                "clusters found again on resampled accounts: adjusted Rand index"
                f" {clusters.stability:.2f} (1 the same, 0 no more than chance)"
            )
        )
    lines += _segment_lines(result)
    lines += [Text(f"note: {note}", style="dim") for note in result.notes]
    lines.append(Text(f"recommended: {result.recommended}: {result.reason}", style="bold"))
    paid = _paid(result)
    if paid:
        lines.append(Text(f"profit: {paid}"))
    return lines


def _paid(result: BenchResult) -> str:
    """Whether contacting whom the recommended method names pays on the test; empty where no costs
    are declared.
    """
    profits = result.figures[result.figures["metric"] == "profit"].set_index("method")
    if result.recommended not in profits.index:
        return ""
    value, low, high = (
        float(profits[name][result.recommended]) for name in ("value", "low", "high")
    )
    figures = f"{value:,.0f} a date (95% {low:,.0f} to {high:,.0f})"
    if low > 0:
        return f"calling the accounts that {result.recommended} names pays: {figures}."
    if high < 0:
        every = " That is so for every method." if bool((profits["high"] < 0).all()) else ""
        return (
            f"calling the accounts that {result.recommended} names costs more than it saves:"
            f" {figures}.{every} Call fewer accounts (capacity), or only those of high value."
        )
    return (
        f"it is not clear that calling the accounts that {result.recommended} names pays:"
        f" {figures}."
    )


def _segment_lines(result: BenchResult) -> list[Any]:
    """What segments differ in, who keeps the common fit and why, and whether segments of their own
    are worth it.
    """
    lines: list[Any] = []
    for verdict in result.by_segment:
        details = result.details[verdict.method]
        if isinstance(details, SegmentWeightsDetails):
            lines.append(_weights_table(details))
        else:
            assert isinstance(details, CohortDetails)
            lines.append(_cohort_table(details))
        left_out = len(details.segments) - SEGMENTS_SHOWN
        if left_out > 0:
            lines.append(Text(f"and {left_out} smaller segments (--json has all).", style="dim"))
        gaps = [
            _gap(each.value, each.low, each.high, 4) for each in (verdict.validation, verdict.test)
        ]
        lines.append(
            Text(
                f"{verdict.words} Log loss minus {verdict.pooled}: validation {gaps[0]}, test"
                f" {gaps[1]}"
            )
        )
    return lines


def _weights_table(details: SegmentWeightsDetails) -> Table:
    table = Table(
        "segment",
        "accounts",
        "with the event",
        "own share",
        "weights that differ most (global)",
        box=None,
        pad_edge=False,
        title="segment_weights: weights per segment, beside the global ones",
        title_justify="left",
        title_style="bold",
    )
    common = details.weights
    for each in details.segments[:SEGMENTS_SHOWN]:
        own = each.weights
        moved = sorted(common, key=lambda name: -abs(own[name] - common[name]))[:WEIGHTS_SHOWN]
        said = ", ".join(f"{name} {own[name]:.0f} ({common[name]:.0f})" for name in moved)
        table.add_row(
            each.segment,
            str(each.accounts),
            str(each.leaving_accounts),
            f"{each.own_share:.0%}",
            f"global weights: {each.pooled}" if each.pooled else said,
        )
    return table


def _cohort_table(details: CohortDetails) -> Table:
    """Level as a shift in log-odds, slope beside the common one, each with the share of the
    segment's own estimate.
    """
    table = Table(
        "segment",
        "accounts",
        "with the event",
        "level",
        "own share",
        "slope",
        "own share",
        "",
        box=None,
        pad_edge=False,
        title="cohort: level and slope per segment, pulled towards the common ones",
        title_justify="left",
        title_style="bold",
    )
    for each in details.segments[:SEGMENTS_SHOWN]:
        table.add_row(
            each.segment,
            str(each.accounts),
            str(each.leaving_accounts),
            f"{each.level:+.2f}",
            f"{each.level_share:.0%}",
            f"x {each.slope:.2f}",
            f"{each.slope_share:.0%}",
            f"pooled: {each.pooled}" if each.pooled else "",
        )
    return table


def _few(dates: Sequence[str]) -> list[str]:
    return list(dates) if len(dates) <= 4 else [f"{dates[0]} to {dates[-1]} ({len(dates)} dates)"]


def _validation_table(result: BenchResult) -> Table:
    table = Table(
        "method",
        "log loss",
        "minus the best",
        "",
        "AUC",
        "fit, s",
        "signals",
        box=None,
        pad_edge=False,
        title="validation dates, by which is chosen",
        title_justify="left",
        title_style="bold",
    )
    for row in result.validation.to_dict("records"):
        mark = (
            "recommended"
            if row["method"] == result.recommended
            else "adequate"
            if row["is_adequate"]
            else ""
        )
        if mark == "adequate" and not row["gives_reasons"]:
            mark = "adequate, no reasons"
        gap = _gap(row["minus_best"], row["minus_best_low"], row["minus_best_high"], 4)
        table.add_row(
            row["method"],
            f"{row['log_loss']:.4f}",
            gap,
            mark,
            f"{row['auc']:.3f}",
            f"{row['seconds']:.2f}",
            str(row["inputs"]),
            style="bold" if mark == "recommended" else None,
        )
    return table


def _test_tables(result: BenchResult) -> list[Table]:
    """Values of every metric with intervals; log loss also against the tuned model and the
    constant.

    As many tables as it takes for none to be wider than `WIDTH`.
    """
    wide = {(row["method"], row["metric"]): row for row in result.figures.to_dict("records")}
    shown = [metric for metric in METRICS if metric in set(result.figures["metric"])]
    methods = list(result.validation["method"])
    columns = {
        HEADINGS[metric]: [_cell(metric, wide.get((method, metric))) for method in methods]
        for metric in shown
    }
    for other in ("tuned", "constant"):
        losses = (wide[method, "log_loss"] for method in methods)
        columns[f"log loss - {other}"] = [
            _gap(loss[f"minus_{other}"], loss[f"minus_{other}_low"], loss[f"minus_{other}_high"], 4)
            for loss in losses
        ]
    tables: list[Table] = []
    for names in _side_by_side(columns, WIDTH - _width("method", methods)):
        title = (
            "untouched test, 95% intervals from resampled accounts"
            if not tables
            else "the same test, further figures"
        )
        table = Table(
            "method",
            *names,
            box=None,
            pad_edge=False,
            title=title,
            title_justify="left",
            title_style="bold",
        )
        for place, method in enumerate(methods):
            table.add_row(
                method,
                *(columns[name][place] for name in names),
                style="bold" if method == result.recommended else None,
            )
        tables.append(table)
    return tables


def _side_by_side(columns: Mapping[str, Sequence[str]], room: int) -> list[list[str]]:
    """Names of columns in order, in groups that fit beside each other; at least one each."""
    groups: list[list[str]] = []
    left = 0
    for name, cells in columns.items():
        width = _width(name, cells)
        if not groups or width > left:
            groups.append([])
            left = room
        groups[-1].append(name)
        left -= width
    return groups


def _width(name: str, cells: Sequence[str]) -> int:
    """Letters of a column and the two blanks that part it from the next."""
    return max(len(name), *(len(cell) for cell in cells)) + 2


_DIGITS = {
    "auc": 3,
    "average_precision": 3,
    "log_loss": 4,
    "lift_at_capacity": 2,
    "profit": 0,
    "lead_days": 0,
    "warned": 2,
}


def _cell(metric: str, row: Mapping[Any, Any] | None) -> str:
    if row is None or math.isnan(row["value"]):
        return "-"
    digits = _DIGITS[metric]
    span = (
        ""
        if math.isnan(row["low"])
        else f" ({row['low']:,.{digits}f} to {row['high']:,.{digits}f})"
    )
    return f"{row['value']:,.{digits}f}{span}"


def _gap(value: float, low: float, high: float, digits: int) -> str:
    if math.isnan(low):
        return f"{value:+.{digits}f}"
    return f"{value:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


def bench_json(result: BenchResult, target: str) -> dict[str, Any]:
    """The whole result as plain values: every metric of a method with its interval and paired
    differences.
    """
    methods = []
    for row in result.validation.to_dict("records"):
        mine = result.figures[result.figures["method"] == row["method"]]
        details = result.details.get(row["method"])
        methods.append(
            {**row, "test": _by_metric(mine), "details": asdict(details) if details else {}}
        )
    return {
        "target": target,
        "test": asdict(result.test),
        "recommended": result.recommended,
        "reason": result.reason,
        "methods": methods,
        "skipped": dict(result.skipped),
        "notes": list(result.notes),
        "by_segment": [
            {**asdict(each), "is_worth_it": each.is_worth_it, "words": each.words}
            for each in result.by_segment
        ],
    }


def _by_metric(rows: pd.DataFrame) -> dict[str, dict[str, Any]]:
    return {
        row["metric"]: {
            str(key): value for key, value in row.items() if key not in ("method", "metric")
        }
        for row in rows.to_dict("records")
    }
