"""One account on one page: what is wrong, how sure the score is, what to do, and how the points add
up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from models.drivers import (
    REASONS,
    REST,
    UNALTERABLE,
    Reason,
    account_chance,
    interval_in_words,
    paragraph,
    sentence,
)
from models.health.scale import GOOD_EVENT_BANDS
from models.health.words import base_words, is_decided_later
from pipeline.actions.account_rows import state_words
from pipeline.edge.page_values import plain, restored
from pipeline.jobs.account_facts import AccountFacts
from pipeline.jobs.explain import Explained
from pipeline.reports.account_facts import fact_tiles, source_lines, unknown_lines, weekly_pictures
from pipeline.reports.plan import EVIDENCE_WORDS
from pipeline.reports.render import day, money, render, style
from pipeline.reports.trajectory import account_view

SCORE_AGAIN = (
    "This run was published by an earlier version, without reasons. Run `tenure score` to get them."
)
# Points from which a driver is worth telling what else is counted in it.
_TOLD_TWINS = 2


@dataclass(frozen=True)
class WaterfallBar:
    """One bar: from one displayed score to the next; `row` None where all points start."""

    start: int
    end: int
    said: str
    compared: str | None = None
    reason: str = ""
    row: Mapping[str, Any] | None = None


def waterfall(
    drivers: Sequence[Mapping[str, Any]], base_displayed: int, *, alterable_first: bool = False
) -> list[WaterfallBar]:
    """The base, then what pulls down, what holds up and what is not listed, each by size; the last
    end is the score.

    Parameters
    ----------
    drivers
        Rows of the account's published drivers.
    alterable_first
        Who the account is and when its contract ends come after what a team can do something about.
    """

    def place(row: Mapping[str, Any]) -> tuple[Any, ...]:
        is_given = alterable_first and row["nature"] in UNALTERABLE
        kind = (row["points"] > 0) + 4 * (row["driver"] == REST) + 2 * is_given
        shown = -abs(int(row["points_displayed"])) if alterable_first else 0
        return kind, shown, -abs(row["points"]), row["driver"]

    steps = [WaterfallBar(base_displayed, base_displayed, base_words(base_displayed))]
    for row in sorted((each for each in drivers if each["points_displayed"] != 0), key=place):
        start = steps[-1].end
        end = start + int(row["points_displayed"])
        compared = None if pd.isna(row["compared"]) else row["compared"]
        steps.append(WaterfallBar(start, end, row["said"], compared, _reason_words(row), row))
    return steps


@dataclass(frozen=True)
class PointsRow:
    """A line of the table of points: its words, its points, and where its bar lies from 0 to
    100%.
    """

    said: str
    compared: str
    reason: str
    dimension: str
    points: str
    kind: str
    left: float
    width: float
    is_unsure: bool = False
    is_lagging: bool = False
    starts_group: str = ""


def points_rows(steps: Sequence[WaterfallBar]) -> list[PointsRow]:
    """The waterfall as lines of a table, the base first and the score last."""
    ends = [end for step in steps for end in (step.start, step.end)]
    low, high = min(0, *ends), max(100, *ends)

    def share(points: float) -> float:
        return round(100 * (points - low) / (high - low), 2)

    def total(said: str, points: int) -> PointsRow:
        width = round(share(points) - share(0), 2)
        return PointsRow(said, "", "", "", str(points), "total", share(0), width)

    rows, group = [total(steps[0].said, steps[0].end)], ""
    for step in steps[1:]:
        assert step.row is not None  # only the first step has none
        named = _group_of(step.row)
        left, right = sorted((share(step.start), share(step.end)))
        rows.append(
            PointsRow(
                said=step.said,
                compared=step.compared or "",
                reason=step.reason,
                dimension=step.row["dimension"],
                points=f"{step.end - step.start:+d}".replace("-", "−"),
                kind="down" if step.end < step.start else "up",
                left=left,
                width=max(0.6, round(right - left, 2)),
                is_unsure=step.row["is_sure"] is False,
                is_lagging=step.row["nature"] == "lagging",
                starts_group=named if named != group else "",
            )
        )
        group = named
    return [*rows, total("The score", steps[-1].end)]


def _group_of(row: Mapping[str, Any]) -> str:
    if row["driver"] == REST:
        return "Many small things together"
    if row["nature"] in UNALTERABLE:
        return "Who they are, and their contract"
    return "What a team can do something about"


def _reason_words(row: Mapping[Any, Any]) -> str:
    return "" if pd.isna(row["reason"]) else REASONS[row["reason"]].words


def planned_lines(explained: Explained) -> list[str]:
    """What the plan of plays asks: `on the list: success call by 8 Jun 2025, expected ...`."""
    planned, score = explained.planned, explained.score
    if planned is None:
        return []
    if not planned.is_listed:
        return [
            "drawn at random to be left alone, so that you learn what plays do: please do not call"
        ]
    line = f"on the list: {planned.play.replace('_', ' ')} by {day(planned.due)}"
    if planned.saves is None:
        return [line]
    currency = explained.account["currency"]
    amount = money(planned.saves, currency if isinstance(currency, str) else "")
    gain = "win" if score["band"] in GOOD_EVENT_BANDS else "save"
    evidence = EVIDENCE_WORDS.get(planned.evidence, planned.evidence)
    return [f"{line}, expected to {gain} {amount} a year (its effect is {evidence})"]


def open_action_lines(actions: Sequence[Mapping[str, Any]]) -> list[str]:
    """`open since 3 Mar 2025: success call (CSM 24)` per play that is assigned and not done."""
    return [
        f"open since {day(each['assigned_at'])}: {str(each['play']).replace('_', ' ')}"
        + (f" ({each['owner']})" if isinstance(each["owner"], str) and each["owner"] else "")
        for each in actions
    ]


def foot_lines(explained: Explained) -> list[str]:
    """What the marks of the drivers mean: sure or not, lagging, counted as one."""
    lines = []
    without = explained.score.get("without")
    if isinstance(without, str):
        lines.append(
            f"scored without {without.replace('_', ' ')}, which came too late: by a model of its"
            " own that reads the other sources and passed the same gates"
        )
    if explained.has_one_sentence:
        lines.append(SCORE_AGAIN)
    listed = [
        row
        for row in explained.driver_rows
        if row["driver"] != REST and row["points_displayed"] != 0
    ]
    if explained.reseeded_health is not None:
        unsure = sum(row["is_sure"] is False for row in listed)
        lines.append(
            f"{len(listed) - unsure} of {len(listed)} reasons are sure: the model retrained from"
            f" another seed scores this account {explained.reseeded_health} and gives them at"
            " least half of these points" + ("; ? marks the others" if unsure else "")
        )
    elif explained.score["basis"] == "calibrated":
        lines.append(
            "run `tenure verify ACCOUNT` to see which reasons hold up when the model is retrained"
        )
    if any(row["nature"] == "lagging" for row in listed):
        lines.append(
            "lagging: moves only after a customer has decided; the other signals move before"
        )
    joined = [
        f"{row['driver'].replace('_', ' ')}, {row['twins']}"
        for row in listed
        if row["twins"] and abs(row["points_displayed"]) >= _TOLD_TWINS
    ]
    if joined:
        lines.append(f"counted as one because they move together: {'; '.join(joined)}")
    return lines


@dataclass(frozen=True)
class SpokenChance:
    """The chance that says most of an account: within the horizon, or where its contract ends only
    later, when it comes up.
    """

    value: float | None
    words: str
    interval: tuple[float, float] | None
    interval_words: str


def chance_of(score: Mapping[str, Any], horizon_days: int | None, verb: str) -> SpokenChance:
    """The chance to speak of, from an account's published score; without words on a scorecard."""
    is_later = is_decided_later(score["as_of"], score.get("decides_on"), horizon_days)
    at = "probability_at_decision" if is_later else "probability"
    if pd.isna(score[at]):
        return SpokenChance(None, "", None, "")
    low, high = score[f"{at}_low"], score[f"{at}_high"]
    has_interval = not (pd.isna(low) or pd.isna(high))
    return SpokenChance(
        value=float(score[at]),
        words=account_chance(
            float(score["probability"]),
            horizon_days,
            score.get("probability_at_decision"),
            is_later=is_later,
            event=verb,
        ),
        interval=(float(low), float(high)) if has_interval else None,
        interval_words=interval_in_words(low, high) if has_interval else "",
    )


def account_paragraph(explained: Explained, horizon_days: int | None, verb: str) -> str:
    """The account in a few sentences, ready for a mail or a CRM."""
    score = explained.score
    # What holds a score up although it is trouble elsewhere ("no sponsor for 90 days") is for
    # analysts, not for a mail.
    reasons = [
        Reason(int(row["points_displayed"]), sentence(row["said"], row["compared"]))
        for row in explained.driver_rows
        if row["driver"] != REST
        and row["points_displayed"] != 0
        and (row["protects"] or (row["points"] < 0 and row["nature"] not in UNALTERABLE))
    ]
    health = None if pd.isna(score["health"]) else int(score["health"])
    reason = score["band_reason"] if isinstance(score["band_reason"], str) else ""
    chance = chance_of(score, horizon_days, verb)
    return paragraph(
        str(explained.account["name"]),
        health,
        explained.standing,
        chance.words,
        reasons,
        band_reason=reason,
        why=explained.why,
        advice=" ".join(explained.advice),
        interval=chance.interval,
        timing=explained.timing,
    )


def account_page(
    explained: Explained,
    *,
    horizon_days: int | None,
    verb: str,
    edges: tuple[int, int],
    project: str,
    now: datetime,
    facts: AccountFacts | None = None,
    first_page: str = "",
) -> str:
    """One self-contained HTML page about one account: no outside hosts, no script.

    Parameters
    ----------
    first_page
        Address of the first page; empty: it has none beside it.
    """
    view = account_tables(
        explained,
        horizon_days=horizon_days,
        verb=verb,
        edges=edges,
        project=project,
        now=now,
        facts=facts,
    )
    return render("account.html.j2", style=style(), first_page=first_page, **restored(view))


def account_tables(
    explained: Explained,
    *,
    horizon_days: int | None,
    verb: str,
    edges: tuple[int, int],
    project: str,
    now: datetime,
    facts: AccountFacts | None = None,
) -> dict[str, Any]:
    """Everything that the template of one account shows, as plain values (`pipeline.edge`): the
    page of a run and the page of the dashboard are drawn from the same.
    """
    score = explained.score
    has_score = not pd.isna(score["health"])
    steps = (
        waterfall(explained.driver_rows, int(score["base_displayed"]), alterable_first=True)
        if has_score
        else []
    )
    view = {
        "project": project,
        "now": now,
        "score": score,
        "standing": explained.standing,
        "account": explained.account,
        "has_score": has_score,
        "why": explained.why,
        "advice": (SCORE_AGAIN,) if explained.has_one_sentence else explained.advice,
        "protects": explained.protects,
        "unsure_band": explained.unsure_band,
        "to_edges": explained.to_edges,
        "chance": chance_of(score, horizon_days, verb),
        "scale_sentence": explained.scale_sentence,
        "timing": explained.timing,
        "actions": [*planned_lines(explained), *open_action_lines(explained.open_actions)],
        "history": explained.history_rows,
        "dimensions": explained.dimensions.to_dict("records"),
        "rows": points_rows(steps) if steps else [],
        "edges": edges,
        "since": explained.since,
        "state": state_words(explained.standing, score["band_reason"]),
        "foot": foot_lines(explained),
        **_facts(facts, explained.account),
        "trajectory": account_view(explained.trajectory, explained.history, edges, verb),
    }
    values: dict[str, Any] = plain(view)
    return values


def _facts(facts: AccountFacts | None, account: Mapping[str, Any]) -> dict[str, Any]:
    """Tiles and sources for the page; none where the sources were not asked."""
    if facts is None:
        return {"tiles": [], "sources": [], "weekly": [], "unknown": []}
    currency = account["currency"] if isinstance(account["currency"], str) else ""
    return {
        "tiles": fact_tiles(facts, account["value_per_year"], currency),
        "sources": source_lines(facts),
        "weekly": weekly_pictures(facts),
        "unknown": unknown_lines(facts),
    }
