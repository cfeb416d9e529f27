"""What became of published scores: for a terminal, as plain values, and as a section of the
portfolio page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from models.health.scale import BANDS_IN_WORDS
from models.health.words import horizon_words
from models.target_words import TargetWords
from models.track_record import (
    ALARM_BANDS,
    CALM_BANDS,
    FEWER,
    HELD,
    LEAVERS_TO_RANK,
    MORE,
    NOT_RANKED,
    RANKED,
    TOO_FEW,
    Record,
    Tally,
)
from pipeline.jobs.outcomes import JudgedRun, OutcomesReport, WaitingRun
from pipeline.ledger import RunRow
from pipeline.reports.render import counted, day, money, text_of

TOLD, LISTED = 3, 8
"""Runs told in full in the terminal, and runs listed that still wait; all of them with --json."""
CHANCE = (
    "Range of luck: where the number falls in 95 of 100 cases if each account decides for itself"
    " with the chance we published. An account scored on several dates counts once."
)
NOTHING_TO_DO = "Nothing to do."


def outcomes_lines(report: OutcomesReport, words: TargetWords) -> list[Any]:
    """Renderables: the verdict over all runs, every run in a line, the newest in full, what still
    waits.
    """
    lines: list[Any] = [
        Text(
            f"{report.target}: {counted(len(report.judged), 'run')} with known outcomes, by data"
            f" up to {report.until}",
            style="bold",
        ),
        *(Text(line) for line in overall_words(report, words)),
    ]
    if report.judged:
        lines += [_runs_table(report, words), Text(CHANCE, style="dim")]
    if report.months:
        lines.append(_months_table(report, words))
    for each in report.judged[: -TOLD - 1 : -1]:
        lines += _told(each, words)
    if len(report.judged) > TOLD:
        lines.append(
            Text(
                f"The newest {TOLD} of {len(report.judged)} runs in full; all of them with --json.",
                style="dim",
            )
        )
    lines += [Text(line) for line in (*waiting_words(report), *_left_out_words(report))]
    return lines


def outcomes_json(report: OutcomesReport) -> dict[str, Any]:
    """Everything as plain values."""
    return {
        "target": report.target,
        "kind": report.kind,
        "horizon_days": report.horizon_days,
        "data_until": report.until,
        "overall": None if report.overall is None else record_json(report.overall),
        "months": [{"month": month, **record_json(record)} for month, record in report.months],
        "runs": [_run_json(each) for each in report.judged],
        "waiting": [{**_named(each.run), "matures_on": each.matures_on} for each in report.waiting],
        "superseded": report.superseded,
        "replaced": report.replaced,
        "unreadable": [
            {"run_id": run_id, "reason": reason} for run_id, reason in report.unreadable
        ],
    }


def record_json(record: Record) -> dict[str, Any]:
    """A record with its verdicts."""
    return {
        **asdict(record),
        "verdict": record.total.verdict,
        "ranking": record.ranking,
        "bands": [
            {"band": band, **asdict(each), "verdict": each.verdict} for band, each in record.bands
        ],
    }


def _run_json(each: JudgedRun) -> dict[str, Any]:
    return {
        **_named(each.run),
        "model_version": each.run.model_version,
        "scored_on": each.scored_on,
        "in_time": each.in_time,
        "model_in_use": each.in_use,
        **record_json(each.record),
        "calm_left_accounts": (
            each.calm_left.astype(object).where(each.calm_left.notna(), None).to_dict("records")
        ),
    }


def _named(run: RunRow) -> dict[str, Any]:
    return {"run_id": run.run_id, "as_of": run.as_of, "basis": run.basis}


def overall_words(report: OutcomesReport, words: TargetWords) -> list[str]:
    """The verdict over all runs published in time, and the next step."""
    if not report.judged:
        return []
    newest = report.newest
    if report.overall is None or newest is None:
        return [
            "No verdict: each of these runs was scored after the fact, with a model that may have"
            " seen what followed. Runs published on their own date will be judged here once their"
            " outcomes are known."
        ]
    return [
        f"{_level_words(report.overall, words)} {ranking_words(report.overall, words)}",
        next_step(report.overall, words, in_use=newest.in_use),
    ]


def verdict_words(total: Tally, words: TargetWords, *, in_time: bool = True) -> str:
    """Whether the promise held, in a sentence or two; of a run scored after the fact, what
    happened.
    """
    past = words.past
    if not total.scores:
        return "No account was scored."
    if total.promised is None:
        return f"A scorecard gives no chances to compare with; {_happened(total, words)}."
    figures = (
        f"{_happened(total, words)}. The scores expected {total.promised:.1f}; luck alone can make"
        f" that {total.chance_low} to {total.chance_high}."
    )
    if total.scores > total.accounts:
        figures += (
            f" These are scores of {counted(total.accounts, 'account')}, and"
            f" {total.left_accounts:,} of them {past}."
        )
    if not in_time:
        return f"In hindsight: {figures}"
    said = {
        HELD: "The chances held",
        MORE: f"More {past} than expected",
        FEWER: f"Fewer {past} than expected",
    }[total.verdict]
    few = total.verdict == HELD and max(total.left_accounts, total.promised) < LEAVERS_TO_RANK
    return f"{said}: {figures}{' With so few, we would only notice a large error.' if few else ''}"


def _level_words(record: Record, words: TargetWords, *, in_time: bool = True) -> str:
    """`verdict_words`, and where the chances held in total alone the bands in which they did not.

    The chances of one band may be too high and of another too low: they add up, and each is wrong.
    """
    verdict = verdict_words(record.total, words, in_time=in_time)
    off = [
        f"among {band.replace('_', ' ')} accounts {'more' if tally.verdict == MORE else 'fewer'}"
        f" {words.past} than expected ({tally.left:,}, and luck alone makes {tally.chance_low} to"
        f" {tally.chance_high})"
        for band, tally in _off_bands(record)
    ]
    return f"{verdict} They held in total only: {'; '.join(off)}." if off and in_time else verdict


def _off_bands(record: Record) -> list[tuple[str, Tally]]:
    """Bands whose chances did not hold although those of all together did."""
    if record.total.verdict != HELD:
        return []
    return [(band, tally) for band, tally in record.bands if tally.verdict in (MORE, FEWER)]


def _happened(total: Tally, words: TargetWords) -> str:
    """`19 of 675 accounts left (2.8%, 1.8 to 4.4%)`; by score where accounts have several."""
    if total.scores == total.accounts:
        return f"{total.left:,} of {counted(total.accounts, 'account')} {words.past}{_rate(total)}"
    return (
        f"{total.left:,} of {counted(total.scores, 'score')} saw the account"
        f" {words.verb}{_rate(total)}"
    )


def ranking_words(record: Record, words: TargetWords) -> str:
    """Whether those that left were ranked before those that stayed."""
    if record.ranking == TOO_FEW:
        return (
            f"Ranking: too early to say, because fewer than {LEAVERS_TO_RANK} accounts"
            f" {words.past} or {words.opposite}."
        )
    assert record.auc is not None and record.auc_low is not None and record.auc_high is not None
    figures = (
        f"given one customer who {words.past} and one who {words.opposite}, it picked the right"
        f" one {100 * record.auc:.0f} times in 100 ({100 * record.auc_low:.0f}-"
        f"{100 * record.auc_high:.0f})"
    )
    by_chance = "" if record.ranking == RANKED else ", which is no better than chance"
    return f"Ranking: {figures}{by_chance}."


def next_step(record: Record, words: TargetWords, *, in_use: bool) -> str:
    """What to do about a record, in a sentence."""
    off = _off_bands(record)
    if record.ranking != NOT_RANKED and record.total.verdict in (HELD, "") and not off:
        return NOTHING_TO_DO
    if not in_use:
        return "That model is no longer in use: wait for the outcomes of the current one."
    if record.ranking == NOT_RANKED:
        return (
            "Next: the ranking does not hold, so train on what has become known since:"
            " `tenure run`."
        )
    if off:
        return (
            "Next: the level holds and the chances of single bands do not, which another level"
            " cannot mend: train on what has become known since, `tenure run`."
        )
    helped = record.total.verdict == (MORE if _is_good(record) else FEWER)
    worked = helped and record.treated is not None and record.treated.scores
    return (
        "Next: run `tenure features`, then `tenure recalibrate`, which corrects the chances if"
        " newer outcomes confirm the gap."
        + (
            " Look first at the accounts your team worked on: plays that help change how many"
            f" {words.verb}."
            if worked
            else ""
        )
    )


def run_words(each: JudgedRun, words: TargetWords) -> str:
    """The verdict of one run in a line: short, for a table."""
    record = each.record
    if not each.in_time:
        return f"scored after the fact, on {day(each.scored_on)}"
    if not record.total.verdict:
        ranks = {RANKED: "ranks", NOT_RANKED: "does not rank", TOO_FEW: "too early to say"}
        return f"scorecard: {ranks[record.ranking]}"
    said = {
        HELD: "the chances held in total only" if _off_bands(record) else "the chances held",
        MORE: f"more {words.past} than expected",
        FEWER: f"fewer {words.past} than expected",
    }
    return said[record.total.verdict] + (", does not rank" if record.ranking == NOT_RANKED else "")


def waiting_words(report: OutcomesReport) -> list[str]:
    """Runs whose outcome is not known yet, each with the day on which it will be."""
    listed = [f"{_when(each)} ({each.run.run_id})" for each in report.waiting[:LISTED]]
    more = len(report.waiting) - len(listed)
    return (
        [f"Still waiting: {'; '.join(listed)}{f'; and {more} more' if more else ''}."]
        if listed
        else []
    )


def first_words(report: OutcomesReport) -> str:
    """When the first scores can be judged; empty where none wait."""
    return (
        f"No earlier scores can be judged yet: {_when(report.waiting[0])}."
        if report.waiting
        else ""
    )


def apart_words(record: Record, words: TargetWords) -> list[str]:
    """Accounts counted apart, and the judged ones somebody worked on."""
    lines = [
        f"{each.reason}:"
        f" {counted(each.accounts, 'account')}{f', {each.left} {words.past}' if each.left else ''}"
        for each in record.apart
    ]
    lines = [f"Not judged: {'; '.join(lines)}."] if lines else []
    if record.treated is not None and record.untreated is not None and record.treated.scores:
        lines.append(
            f"Your team worked on {_short(record.treated, words)}. Of the others,"
            f" {_short(record.untreated, words)}. "
            + (
                f"Plays that help make more {words.verb} than expected."
                if _is_good(record)
                else (
                    "A play that helps makes a right warning look wrong, and nobody can work on"
                    f" accounts that {words.past} early."
                )
            )
        )
    return lines


def calm_words(record: Record, words: TargetWords, bands: Sequence[str]) -> str:
    """`Healthy accounts that left: 2 of 240. At risk that stayed: 29 of 33.`"""
    calm = next(BANDS_IN_WORDS[each] for each in bands if each in CALM_BANDS)
    red = next(BANDS_IN_WORDS[each] for each in bands if each in ALARM_BANDS)
    return (
        f"{calm.capitalize()} that {words.past}: {_of(record.calm_left, record.calm)}."
        f" {red.capitalize()} that {words.opposite}: {_of(record.alarms_stayed, record.alarms)}."
        + (" Counted are accounts whose contract came up." if record.is_of_decisions else "")
    )


def level_warning(report: OutcomesReport | None, words: TargetWords) -> str | None:
    """That chances read too low or too high, with the next step; empty where they held, None where
    no run of the model in use was published in time and has matured.
    """
    each = None if report is None else report.newest
    if each is None or not each.in_use:
        return None
    total = each.record.total
    if total.verdict not in (MORE, FEWER) or total.promised is None:
        return ""
    side = "low" if total.verdict == MORE else "high"
    return (
        f"Chances read too {side}: of the scores of {each.run.as_of:%-d %B %Y}, whose outcome is"
        f" known, {total.promised:.1f} were expected to {words.verb} and {total.left:,}"
        f" {words.past} (luck alone makes {total.chance_low} to {total.chance_high})."
        f" {next_step(each.record, words, in_use=each.in_use)}"
    )


def page_view(report: OutcomesReport | None, words: TargetWords) -> dict[str, Any] | None:
    """What the portfolio page shows of earlier scores; None where there is nothing to say."""
    if report is None:
        return None
    newest = report.judged[-1] if report.judged else None
    return {
        "first": first_words(report),
        "chance": CHANCE,
        "overall": [line for line in overall_words(report, words) if line != NOTHING_TO_DO],
        "rows": [
            {
                "as_of": each.run.as_of,
                "total": each.record.total,
                "words": run_words(each, words),
                "rate": _rate(each.record.total),
            }
            for each in reversed(report.judged)
        ],
        "newest": newest,
        "within": horizon_words(report.horizon_days),
        "calm": "" if newest is None else calm_words(newest.record, words, _band_names(newest)),
        "leavers": [] if newest is None else newest.calm_left.to_dict("records"),
    }


def _told(each: JudgedRun, words: TargetWords) -> list[Any]:
    record, run = each.record, each.run
    step = (
        next_step(record, words, in_use=each.in_use)
        if each.in_time
        else (
            f"Scored after the fact, on {each.scored_on}: the model may have seen what followed,"
            " so this is no test."
        )
    )
    level = _level_words(record, words, in_time=each.in_time)
    verdict = f"{level} {ranking_words(record, words)}"
    head = f"Scores of {run.as_of:%Y-%m-%d}, run {run.run_id}, model {run.model_version}"
    lines: list[Any] = [
        Text(head, style="bold"),
        Text(f"  {verdict}"),
        Text(f"  {step}"),
        _band_table(record, words),
        Text(f"  {calm_words(record, words, _band_names(each))}"),
    ]
    lines += [Text(f"    {_leaver(row, words)}") for row in each.calm_left.to_dict("records")]
    return [*lines, *(Text(f"  {line}") for line in apart_words(record, words))]


def _leaver(row: Mapping[Any, Any], words: TargetWords) -> str:
    chance = "" if pd.isna(row["probability"]) else f", {row['probability']:.1%}"
    left = "" if pd.isna(row["left_at"]) else f", {words.past} {row['left_at']:%Y-%m-%d}"
    value = (
        ""
        if pd.isna(row["value_per_year"])
        else f", {money(row['value_per_year'], text_of(row['currency']))} a year"
    )
    said = (
        f"pointed to {words.gerund}: {row['towards'] or 'nothing'}; pointed the other way:"
        f" {row['away'] or 'nothing'}"
    )
    return (
        f"{row['name']} ({row['account_id']}): score {int(row['health'])}{chance}{left}{value};"
        f" {said}"
    )


def _runs_table(report: OutcomesReport, words: TargetWords) -> Table:
    table = _table("scores of", words, "ranking", "verdict")
    for each in report.judged:
        record = each.record
        rank = (
            "too few"
            if record.auc is None
            else f"{record.auc:.2f} ({record.auc_low:.2f}-{record.auc_high:.2f})"
        )
        table.add_row(
            f"{each.run.as_of:%Y-%m-%d}", *_cells(record.total), rank, run_words(each, words)
        )
    return table


def _months_table(report: OutcomesReport, words: TargetWords) -> Table:
    table = _table("month", words)
    for month, record in report.months:
        table.add_row(month, *_cells(record.total))
    return table


def _band_table(record: Record, words: TargetWords) -> Table:
    table = _table("  band", words)
    for band, each in record.bands:
        table.add_row(f"  {BANDS_IN_WORDS[band]}", *_cells(each))
    return table


def _table(first: str, words: TargetWords, *more: str) -> Table:
    return Table(
        first,
        "scores",
        "expected",
        words.past,
        "range of luck",
        "rate",
        *more,
        box=None,
        pad_edge=False,
    )


def _cells(total: Tally) -> tuple[str, str, str, str, str]:
    promised = "-" if total.promised is None else f"{total.promised:.1f}"
    chance = "-" if total.chance_low is None else f"{total.chance_low} to {total.chance_high}"
    return (
        f"{total.scores:,}",
        promised,
        f"{total.left:,}",
        chance,
        _rate(total).strip(" ()") or "-",
    )


def _left_out_words(report: OutcomesReport) -> list[str]:
    lines = []
    if report.superseded:
        lines.append(f"Left out: {counted(report.superseded, 'run')} that you took back.")
    if report.replaced:
        lines.append(
            f"Left out: {counted(report.replaced, 'run')} replaced by a later run of the same date."
        )
    return lines + [
        f"Cannot be judged: run {run_id}: {reason}" for run_id, reason in report.unreadable
    ]


def _when(each: WaitingRun) -> str:
    when = "the end of open contracts" if each.matures_on is None else day(each.matures_on)
    return f"the outcome of scores of {day(each.run.as_of)} is known once the data reach {when}"


def _band_names(each: JudgedRun) -> list[str]:
    return [band for band, _ in each.record.bands]


def _is_good(record: Record) -> bool:
    return any(band == "high" for band, _ in record.bands)


def _rate(total: Tally) -> str:
    """` (4.3%, 3.0 to 6.1%)`; nothing under thirty accounts."""
    if total.rate is None or total.rate_low is None or total.rate_high is None:
        return ""
    return f" ({total.rate:.1%}, {100 * total.rate_low:.1f} to {total.rate_high:.1%})"


def _short(total: Tally, words: TargetWords) -> str:
    """`109 accounts: 1 left, 4.3 promised`, counted by score where accounts have several."""
    sized = counted(total.scores, "account" if total.scores == total.accounts else "score")
    return f"{sized}: {total.left:,} {words.past}" + (
        "" if total.promised is None else f", {total.promised:.1f} expected"
    )


def _of(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,}"
