"""A trajectory in plain words: one account in lines and for its page, the portfolio as tables and
as plain values.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from models.health.scale import BANDS_IN_WORDS
from models.health.words import band_names
from models.trajectory import (
    FALLEN,
    LOOK_BACK,
    MARGIN_DAYS,
    MARGIN_SHARE,
    RISING,
    SLOW,
    STEADY,
    SUDDEN,
    UNKNOWN,
    Measured,
)
from pipeline.jobs.history import AccountTrajectory, TrajectorySummary
from pipeline.reports.render import day, percent, short_money
from pipeline.reports.trajectory_picture import trajectory_svg

MOVEMENTS_IN_WORDS = {
    SUDDEN: "sudden drop",
    SLOW: "slow decline",
    RISING: "rising",
    STEADY: "steady",
    UNKNOWN: "too little history",
}
_THEN = ("leaving", "at_risk", "stable", "healthy")
_SHOWN_FALLS = 15
# Points from which what the calendar does to a score is worth saying.
_TOLD_CALENDAR = 5


# --- one account
# --------------------------------------------------------------------------------------------


def account_lines(trajectory: AccountTrajectory, verb: str) -> list[str]:
    """Own past, three ways, projection and bands of an account, a line each; what is not known is
    left out.
    """
    row = trajectory.row
    lines = (
        _past_words(row),
        _ways_words(trajectory, verb),
        _projection_words(trajectory),
        _band_words(trajectory),
    )
    return [each for each in lines if each]


def _past_words(row: Mapping[str, Any]) -> str:
    movement = str(row["movement"])
    if pd.isna(row["usual_health"]) or movement == UNKNOWN:
        return ""
    now, usual = int(row["health"]), round(float(row["usual_health"]))
    against = "compared with its own past, apart from the contract calendar"
    if movement == SUDDEN:
        return (
            f"sudden drop: {now}, while {usual} is usual for it at this point of its contract; the"
            f" largest drop was by {day(row['fell_by'])}{_was_healthy(row)}"
        )
    if movement in (SLOW, RISING):
        way = "falls" if movement == SLOW else "rises"
        return (
            f"{MOVEMENTS_IN_WORDS[movement]}: {way} {abs(float(row['slope_30d'])):.1f} points a"
            f" month {against}{_was_healthy(row)}"
        )
    return f"steady {against}: {now}, usually {usual}"


def _was_healthy(row: Mapping[str, Any]) -> str:
    return (
        f"; typical score over the last half year: {round(float(row['past_health']))}"
        if _fell_from_height(row)
        else ""
    )


def _fell_from_height(row: Mapping[str, Any]) -> bool:
    """Whether the median of its scores of the last half year was healthy."""
    return (
        row["movement"] in FALLEN
        and not pd.isna(row["past_health"])
        and float(row["past_health"]) > 70.5
    )


def _ways_words(trajectory: AccountTrajectory, verb: str) -> str:
    row = trajectory.row
    if pd.isna(row["p_rises"]):
        return ""
    leaves, rise, stays = (percent(row[name]) for name in ("p_leaves", "p_rises", "p_stays"))
    return (
        f"chances for the next {trajectory.summary.horizon_days} days: {leaves} that it will"
        f" {verb}, {rise} that it stays and uses the product more, {stays} that it stays as it is"
    )


def _projection_words(trajectory: AccountTrajectory) -> str:
    row = trajectory.row
    days = sorted(
        each for each in trajectory.summary.projections if not pd.isna(row[f"health_{each}d"])
    )
    if not days:
        return ""
    said = [
        f"{row[f'health_{each}d']:.0f}"
        f" ({row[f'health_low_{each}d']:.0f}-{row[f'health_high_{each}d']:.0f}) in {each} days"
        for each in days
    ]
    last = days[-1]
    calendar = float(row[f"calendar_health_{last}d"]) - float(row["health"])
    calendar_words = (
        f"; the contract calendar alone moves it by {calendar:+.0f}"
        if abs(calendar) >= _TOLD_CALENDAR
        else ""
    )
    return f"expected score if the customer stays: {', '.join(said)}{calendar_words}"


def _band_words(trajectory: AccountTrajectory) -> str:
    days = [
        each
        for each in trajectory.summary.projections
        if not pd.isna(trajectory.row[f"p_leaving_{each}d"])
    ]
    if not days:
        return ""
    last = max(days)
    chances = ", ".join(
        f"{percent(trajectory.row[f'p_{band}_{last}d'])} {BANDS_IN_WORDS.get(band, band)}"
        for band in _THEN
    )
    return f"chances in {last} days: {chances}"


def account_view(
    trajectory: AccountTrajectory | None,
    history: pd.DataFrame | None,
    edges: tuple[int, int],
    verb: str,
) -> dict[str, Any] | None:
    """What the account page shows; None where there is nothing to show."""
    if (
        trajectory is None
        or pd.isna(trajectory.row["health"])
        or str(trajectory.row["band"]) not in BANDS_IN_WORDS
    ):
        return None
    lines = account_lines(trajectory, verb)
    published = (
        pd.DataFrame({"as_of": [], "health": [], "marker": []}) if history is None else history
    )
    if not lines:
        return None
    return {
        "lines": lines,
        "alert": (
            MOVEMENTS_IN_WORDS[trajectory.row["movement"]]
            if trajectory.row["movement"] in FALLEN
            else ""
        ),
        "picture": trajectory_svg(
            trajectory, published, edges, band_names([str(trajectory.row["band"])])
        ),
        "foot": foot_words(trajectory.summary),
    }


def foot_words(summary: TrajectorySummary) -> str:
    """What the marks of the picture mean, and how far the projection can be trusted."""
    coverages = [
        f"{percent(each.coverage)} of {each.pairs:,} in {days} days"
        for days, each in sorted(summary.projections.items())
        if each is not None
    ]
    meant = percent(summary.nominal_coverage)
    measured = (
        f". The bars are meant to cover {meant} of later scores; when we tested them, they covered"
        f" {' and '.join(coverages)}"
        if coverages
        else ""
    )
    return (
        "line: what today's model would have scored; dots: scores as published at the time; bars:"
        f" expected score if the customer stays{measured}"
    )


# --- the portfolio
# ------------------------------------------------------------------------------------------


def trajectory_lines(
    accounts: pd.DataFrame, summary: TrajectorySummary, people: pd.DataFrame, verb: str
) -> list[Any]:
    """Renderables: who dropped, who declines, where scores will stand, which way accounts go, and
    how good that is.
    """
    rows = accounts.merge(people, on="account_id", how="left")
    counts = summary.movements
    lines: list[Any] = [
        Text(
            f"{summary.target} as of {summary.as_of}, run {summary.run_id}:"
            f" {summary.accounts:,} accounts compared with their own past, apart from the contract"
            f" calendar ({summary.past_dates} past dates, {summary.step_days} days apart, scored by"
            " today's model)"
        ),
        Text(
            "  ".join(
                f"{words} {counts.get(name, 0):,}" for name, words in MOVEMENTS_IN_WORDS.items()
            ),
            style="bold",
        ),
    ]
    for movement, title in (
        (
            SUDDEN,
            "sudden drops: far below what is usual for the account at this point of its contract",
        ),
        (
            SLOW,
            (
                f"slow declines: falling steadily over {LOOK_BACK * summary.step_days} days, not"
                " in one step"
            ),
        ),
    ):
        lines += _alert_table(rows, movement, title)
    lines += _ways_lines(rows, summary, verb) + _move_tables(rows, summary) + quality_lines(summary)
    lines.append(
        Text(
            "For one account, its past and its reasons: tenure explain ACCOUNT (add --page for a"
            " picture)"
        )
    )
    return lines + [Text(f"note: {note}", style="dim") for note in summary.notes]


def _alerts(rows: pd.DataFrame, movement: str) -> pd.DataFrame:
    """Accounts of a movement: those that were healthy first, then by what they pay."""
    mine = rows[rows["movement"] == movement]
    mine = mine.assign(was_healthy=[_fell_from_height(row) for row in mine.to_dict("records")])  # type: ignore[arg-type]
    return mine.sort_values(
        ["was_healthy", "value_per_year", "account_id"],
        ascending=[False, False, True],
        kind="stable",
    )


def _alert_table(rows: pd.DataFrame, movement: str, title: str) -> list[Any]:
    mine, is_sudden = _alerts(rows, movement), movement == SUDDEN
    if mine.empty:
        return []
    heading = Text(
        f"{title} ({min(_SHOWN_FALLS, len(mine))} of {len(mine)}; * typically healthy over the"
        " last half year)",
        style="bold",
    )
    table = Table(
        "account",
        "now",
        "usual",
        "points" if is_sudden else "in 30 days",
        "since" if is_sudden else "",
        "chance of leaving",
        "user-days",
        "value a year",
        "owner",
        box=None,
        pad_edge=False,
    )
    for row in mine.head(_SHOWN_FALLS).to_dict("records"):
        change = -float(row["fall"]) if is_sudden else float(row["slope_30d"])
        table.add_row(
            f"{row['name']} ({row['account_id']}){' *' if row['was_healthy'] else ''}",
            f"{int(row['health'])}",
            f"{row['usual_health']:.0f}",
            f"{change:+.0f}" if is_sudden else f"{change:+.1f}",
            f"{row['fell_by']:%Y-%m-%d}" if is_sudden and not pd.isna(row["fell_by"]) else "",
            percent(row["p_leaves"]),
            _use_words(row),
            short_money(row["value_per_year"], str(row["currency"] or "")),
            row["owner"] if isinstance(row["owner"], str) else "",
        )
    return [heading, table]


def _use_words(row: Mapping[Any, Any]) -> str:
    """User-days of the last stretch against the one before."""
    return f"{row['use_before']:,.0f} -> {row['use_last']:,.0f}"


def _ways_lines(rows: pd.DataFrame, summary: TrajectorySummary, verb: str) -> list[Any]:
    known = rows.dropna(subset=["p_rises"])
    if known.empty:
        return []
    leaves, rise, stay = (known[name].sum() for name in ("p_leaves", "p_rises", "p_stays"))
    return [
        Text(
            f"Of {len(known):,} accounts, we expect in the next {summary.horizon_days} days"
            f" {leaves:,.0f} to {verb}, {rise:,.0f} to stay and use the product more, and"
            f" {stay:,.0f} to stay as they are (more: at least {percent(MARGIN_SHARE)} and"
            f" {MARGIN_DAYS:.0f} user-days above the typical customer's change from one"
            f" {summary.use_days} days to the next)"
        )
    ]


def band_moves(accounts: pd.DataFrame, days: int) -> pd.DataFrame:
    """Mean chances by the band of today: band, accounts, and leaving, at_risk, stable, healthy."""
    columns = [f"p_{band}_{days}d" for band in _THEN]
    known = accounts.dropna(subset=columns)
    table = known.groupby("band")[columns].mean().set_axis(list(_THEN), axis=1)
    table.insert(0, "accounts", known.groupby("band").size())
    return table.reindex([band for band in _THEN if band in table.index]).reset_index()


def _move_tables(rows: pd.DataFrame, summary: TrajectorySummary) -> list[Any]:
    tables: list[Any] = []
    for days in sorted(summary.projections):
        moves = band_moves(rows, days)
        if moves.empty:
            continue
        heading = Text(
            f"where they will be in {days} days (leaving: gone, lapsed or under notice)",
            style="bold",
        )
        table = Table(
            "band now",
            "accounts",
            *(BANDS_IN_WORDS.get(each, each) for each in _THEN),
            box=None,
            pad_edge=False,
        )
        for row in moves.to_dict("records"):
            table.add_row(
                BANDS_IN_WORDS.get(row["band"], row["band"]),
                f"{row['accounts']:,}",
                *(f"{row[each]:.1%}" for each in _THEN),
            )
        expected = moves[list(_THEN)].mul(moves["accounts"], axis=0).sum()
        table.add_row(
            "accounts then",
            f"{moves['accounts'].sum():,}",
            *(f"{expected[each]:,.0f}" for each in _THEN),
            style="bold",
        )
        tables += [heading, table]
    return tables


def quality_lines(summary: TrajectorySummary) -> list[Any]:
    """How each part did on dates after the model's training, each date from outcomes known by
    then.
    """
    lines = (
        ["How good this is, measured on dates after the model's training"]
        if summary.tested_from
        else []
    )
    for name, record in summary.movement_records.items():
        if name in (*FALLEN, STEADY):
            lines.append(
                f"  {MOVEMENTS_IN_WORDS[name]}: {percent(record.happened, 1)} of"
                f" {record.rows:,} past cases ({record.accounts:,} accounts) left; their"
                f" scores had predicted {percent(record.said, 1)}"
            )
    for days, each in sorted(summary.projections.items()):
        if each is not None:
            lines += _projection_quality(days, each, summary.nominal_coverage)
    ways = summary.three_ways
    if ways is not None:
        pairs = zip(ways.rise_said, ways.rise_seen, strict=True)
        fifths = ", ".join(f"{percent(said)} {percent(seen)}" for said, seen in pairs)
        lines += [
            (
                f"  three ways: log loss {ways.log_loss:.4f} on {ways.rows:,} rows of"
                f" {ways.accounts:,} accounts; with a constant split of those who stay"
                f" {ways.log_loss_constant_split:.4f}, with three constants"
                f" {ways.log_loss_constant:.4f}"
            ),
            f"    use rises, predicted and seen in each fifth: {fifths}",
        ]
    return [Text(line, style="bold" if not line.startswith(" ") else "") for line in lines]


def _projection_quality(days: int, each: Measured, nominal: float) -> list[str]:
    bands = ", ".join(
        f"{BANDS_IN_WORDS.get(name, name)} {percent(share)} of {count:,}"
        for name, (count, share) in each.by_band.items()
    )
    coverage = f"{percent(each.coverage, 1)} ({percent(each.low, 1)} to {percent(each.high, 1)})"
    return [
        (
            f"  {days} days: ranges meant to cover {percent(nominal)} covered {coverage} of"
            f" {each.pairs:,} later scores of {each.accounts:,} accounts; by the band then:"
            f" {bands}"
        ),
        (
            f"    median width {each.width:.0f} points; median error {each.middle_error:.1f}"
            f" (assuming no change: {each.same_error:.1f}); log loss of the bands"
            f" {each.log_loss:.3f}, of counts by band {each.log_loss_counts:.3f}"
        ),
    ]


def trajectory_json(accounts: pd.DataFrame, summary: TrajectorySummary) -> dict[str, Any]:
    """Facts, band moves per days ahead, and the accounts with an alert, as plain values."""
    moves = {
        str(days): band_moves(accounts, days).to_dict("records") for days in summary.projections
    }
    alerts = accounts[accounts["movement"].isin(FALLEN)].drop(columns=["target", "run_id"])
    return {**summary.to_dict(), "band_moves": moves, "alerts": alerts.to_dict("records")}
