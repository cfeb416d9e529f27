"""The pulse beside the score: for a terminal, as plain values, and as a page."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from models.health.scale import BANDS_IN_WORDS
from models.health.words import horizon_words
from models.intervals import FEWEST_ACCOUNTS
from models.pulse import CURRENT, EXPIRED, KINDS, MODEL_WARNS, NEVER, OLD, PULSE_WARNS, Verdict
from pipeline.jobs.pulse import PulseReport
from pipeline.reports.render import counted, day, money, render, style, text_of

SHOWN_DISAGREEMENTS = 15
"""Disagreements of each kind in the terminal; the page has all."""
TITLES = {
    MODEL_WARNS: (
        "The model warns, the pulse does not",
        "current pulse of 4 or 5, score at risk",
    ),
    PULSE_WARNS: (
        "The pulse warns, the model does not",
        "current pulse of 1 or 2, score healthy",
    ),
}
STATUS_WORDS = {
    CURRENT: "current",
    EXPIRED: "expired",
    OLD: "older than a quarter",
    NEVER: "never rated",
}
NO_OPINION = "An expired or missing pulse counts as no opinion, never as a good one."


def pulse_lines(report: PulseReport) -> list[Any]:
    """Renderables: how many ratings count, what they weigh, who was right before, the
    disagreements.
    """
    lines: list[Any] = [
        Text(
            f"{report.run.target} as of {report.run.as_of:%Y-%m-%d}, run {report.run.run_id}",
            style="bold",
        ),
        Text(f"{status_words(report)}. {NO_OPINION}"),
        Text(weight_words(report)),
    ]
    for kind in KINDS:
        rows = disagreements(report, kind)
        title, rule = TITLES[kind]
        lines.append(Text(f"{title}: {len(rows)} accounts ({rule})", style="bold"))
        lines += [Text(f"  {words}") for words in verdict_words(report, kind)]
        if len(rows):
            lines.append(_table(rows.head(SHOWN_DISAGREEMENTS), report.run.horizon_days))
        if len(rows) > SHOWN_DISAGREEMENTS:
            lines.append(
                Text(
                    f"  {SHOWN_DISAGREEMENTS} of {len(rows)}, highest value first; see all with"
                    " --page or --json.",
                    style="dim",
                )
            )
    return lines


def pulse_json(report: PulseReport) -> dict[str, Any]:
    """Everything as plain values; accounts with status, author, expiry and the pulse's points in
    the score.
    """
    accounts = report.accounts.astype(object).where(report.accounts.notna(), None)
    return {
        "target": report.run.target,
        "as_of": report.run.as_of,
        "run_id": report.run.run_id,
        "source": report.source,
        "ratings": {name: int((report.accounts["status"] == name).sum()) for name in STATUS_WORDS},
        "weight": vars(report.weight),
        "tested_dates": list(report.tested_dates),
        "verdicts": [_verdict_json(each) for each in report.verdicts],
        "accounts": accounts.to_dict("records"),
    }


def _verdict_json(verdict: Verdict) -> dict[str, Any]:
    shares = {
        f"{who}_share": verdict.share_right(count)
        for who, count in (
            ("model_right", verdict.model_right),
            ("pulse_right", verdict.pulse_right),
        )
    }
    return {
        **vars(verdict),
        "model_right": verdict.model_right,
        "pulse_right": verdict.pulse_right,
        **shares,
    }


def pulse_page(
    report: PulseReport, *, horizon_days: int | None, project: str, now: datetime
) -> str:
    """One self-contained HTML page: no outside hosts, no script."""
    parts = [
        {
            "kind": kind,
            "title": TITLES[kind][0],
            "rule": TITLES[kind][1],
            "verdict": verdict_words(report, kind),
            "rows": disagreements(report, kind).to_dict("records"),
        }
        for kind in KINDS
    ]
    return render(
        "pulse.html.j2",
        style=style(),
        project=project,
        now=now,
        run=report.run,
        parts=parts,
        report=report,
        disagree=sum(len(part["rows"]) for part in parts),
        status=status_words(report),
        weight=weight_words(report),
        no_opinion=NO_OPINION,
        horizon=horizon_words(horizon_days),
        signed=signed,
    )


def disagreements(report: PulseReport, kind: str) -> pd.DataFrame:
    """Accounts of one kind of disagreement, the largest value first."""
    rows = report.accounts[report.accounts["disagreement"] == kind]
    return rows.sort_values(
        ["value_per_year", "account_id"],
        ascending=[False, True],
        na_position="last",
        ignore_index=True,
    )


def status_words(report: PulseReport) -> str:
    """`395 of 678 accounts have a pulse that counts; 61 expired, 222 never rated`."""
    counts = report.accounts["status"].value_counts()
    others = ", ".join(
        f"{counts[name]:,} {STATUS_WORDS[name]}"
        for name in (EXPIRED, OLD, NEVER)
        if counts.get(name, 0)
    )
    return (
        f"{counts.get(CURRENT, 0):,} of {len(report.accounts):,} accounts have a current pulse"
        + (f"; {others}" if others else "")
    )


def weight_words(report: PulseReport) -> str:
    """How much of the score is the pulse, in one sentence."""
    weight = report.weight
    if not weight.signals:
        return "The pulse has no weight in the score: the model does not read it."
    share = f"{weight.share:.0%}" if weight.share >= 0.01 else "under 1%"
    felt = (
        "The account managers' ratings moved no score by a point or more"
        if not weight.felt
        else f"The account managers' ratings moved {weight.felt:,} of {weight.accounts:,} scores by"
        " a point or more"
    )
    moved = (
        "every account would be in the same band"
        if not weight.bands_moved
        else f"{counted(weight.bands_moved, 'account')} would be in another band"
    )
    return (
        f"{felt} ({_size(weight.mean_size)} on average, {signed(weight.largest_down)} to"
        f" {signed(weight.largest_up)}; {share} of all points). Without them {moved}."
    )


def verdict_words(report: PulseReport, kind: str) -> list[str]:
    """Who was right on the test dates, in sentences; one that says why where nobody can tell."""
    verdict = next((each for each in report.verdicts if each.kind == kind), None)
    if verdict is None:
        return [
            "Who was right? Nobody can tell: this model has not been tested. Run `tenure evaluate`."
        ]
    if not verdict.scores:
        return [f"Who was right? On {tested_words(report)} they never disagreed in this way."]
    lines = [
        f"Who was right? On {tested_words(report)} they disagreed on"
        f" {counted(verdict.scores, 'score')} of {counted(verdict.accounts, 'account')}, and"
        f" {verdict.left} left. The model was right {_right(verdict, verdict.model_right)},"
        f" the pulse {_right(verdict, verdict.pulse_right)}."
    ]
    elsewhere = (
        f" Of {counted(verdict.others, 'other score')} with such a pulse,"
        f" {count_of(verdict.others_left, verdict.others)} left."
        if verdict.others
        else ""
    )
    lines.append(
        "A warning is a chance, not a promise: the model expected"
        f" {verdict.promised * verdict.scores:.1f} of these {verdict.scores} to leave,"
        f" and {verdict.left} did.{elsewhere}"
    )
    if verdict.treated:
        lines.append(
            f"In {verdict.treated} of {counted(verdict.scores, 'case')} your team worked on the"
            " account before the outcome. A play that helps makes a right warning look wrong."
        )
    return lines


def tested_words(report: PulseReport) -> str:
    """`the 3 test dates from 22 Dec 2024 to 16 Feb 2025`; empty without a test."""
    dates = report.tested_dates
    if not dates:
        return ""
    if len(dates) == 1:
        return f"the test date {day(dates[0])}"
    return f"the {len(dates)} test dates from {day(dates[0])} to {day(dates[-1])}"


def count_of(share: float, whole: int) -> str:
    """`5` of few; from thirty on with the percentage, `5 (1.1%)`."""
    return f"{round(share * whole):,}" + (f" ({share:.1%})" if whole >= FEWEST_ACCOUNTS else "")


def _right(verdict: Verdict, count: int) -> str:
    """`on 11 of 13`; from thirty accounts on with percentage and interval."""
    share = verdict.share_right(count)
    if share is None:
        return f"on {count} of {verdict.scores}"
    return f"on {count} of {verdict.scores} ({share[0]:.0%}, {share[1]:.0%} to {share[2]:.0%})"


def _table(rows: pd.DataFrame, horizon_days: int | None) -> Table:
    table = Table(
        "account",
        "value a year",
        "score",
        "chance" if horizon_days is None else f"chance in {horizon_days} days",
        "pulse",
        "by",
        "rated",
        "counts until",
        "points in the score",
        box=None,
        pad_edge=False,
    )
    for row in rows.to_dict("records"):
        table.add_row(
            f"{row['name']} ({row['account_id']})",
            money(row["value_per_year"], text_of(row["currency"])),
            f"{int(row['health'])} {BANDS_IN_WORDS[row['band']]}",
            _chance(row),
            f"{row['pulse']:g} of 5",
            text_of(row["author"]),
            f"{row['noted_at']:%Y-%m-%d}",
            f"{row['counts_until']:%Y-%m-%d}",
            signed(row["points"]),
        )
    return table


def signed(points: float) -> str:
    """`+1.2`; what rounds to nothing has no sign."""
    return f"{points:+.1f}" if abs(points) >= 0.05 else "0.0"


def _chance(row: Mapping[Any, Any]) -> str:
    return "" if pd.isna(row["probability"]) else f"{row['probability']:.1%}"


def _size(points: float) -> str:
    return f"{points:.1f} points" if points >= 0.05 else "under 0.1 points"
