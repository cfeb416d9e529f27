"""One account on one page: what is wrong, how sure the score is, what to do, and how the points add
up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
from markupsafe import Markup, escape

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
from models.health.words import band_names, base_words, is_decided_later
from pipeline.jobs.account_facts import AccountFacts
from pipeline.jobs.driver_rows import keeps_one_sentence
from pipeline.jobs.explain import Explained
from pipeline.reports.account_facts import fact_tiles, source_lines
from pipeline.reports.render import day, render, style
from pipeline.reports.trajectory import account_view

_WIDTH, _ROW, _TOP, _LABELS, _RIGHT = 860, 24, 26, 372, 44
_LABEL_LETTERS = 56
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


def waterfall(drivers: pd.DataFrame, base_displayed: int) -> list[WaterfallBar]:
    """The base, then what pulls down, what holds up and what is not listed, each by size; the last
    end is the score.
    """
    rows = drivers[drivers["points_displayed"] != 0]
    rows = rows.assign(
        kind=(rows["points"] > 0).astype(int) + 2 * (rows["driver"] == REST),
        size=-rows["points"].abs(),
    )
    steps = [WaterfallBar(base_displayed, base_displayed, base_words(base_displayed))]
    ordered: list[Any] = rows.sort_values(["kind", "size", "driver"], kind="stable").to_dict(
        "records"
    )
    for row in ordered:
        start = steps[-1].end
        end = start + int(row["points_displayed"])
        compared = None if pd.isna(row["compared"]) else row["compared"]
        steps.append(WaterfallBar(start, end, row["said"], compared, _reason_words(row), row))
    return steps


def _reason_words(row: Mapping[Any, Any]) -> str:
    return "" if pd.isna(row["reason"]) else REASONS[row["reason"]].words


def open_action_lines(actions: Sequence[Mapping[str, Any]]) -> list[str]:
    """`open since 3 Mar 2025: success call (CSM 24)` per play that is assigned and not done."""
    return [
        f"open since {day(each['assigned_at'])}: {str(each['play']).replace('_', ' ')}"
        + (f" ({each['owner']})" if isinstance(each["owner"], str) and each["owner"] else "")
        for each in actions
    ]


def foot_lines(explained: Explained) -> list[str]:
    """What the marks of the drivers mean: sure or not, lagging, counted as one."""
    drivers, lines = explained.drivers, []
    if keeps_one_sentence(drivers):
        lines.append(SCORE_AGAIN)
    listed = drivers[(drivers["driver"] != REST) & (drivers["points_displayed"] != 0)]
    if explained.reseeded_health is not None:
        unsure = int((listed["is_sure"] == False).sum())  # noqa: E712 - null is neither
        lines.append(
            f"{len(listed) - unsure} of {len(listed)} reasons are sure: the model retrained from"
            f" another seed scores this account {explained.reseeded_health} and gives them at"
            " least half of these points" + ("; ? marks the others" if unsure else "")
        )
    elif explained.score["basis"] == "calibrated":
        lines.append(
            "run `tenure verify ACCOUNT` to see which reasons hold up when the model is retrained"
        )
    if (listed["nature"] == "lagging").any():
        lines.append(
            "lagging: moves only after a customer has decided; the other signals move before"
        )
    joined = listed[(listed["twins"] != "") & (listed["points_displayed"].abs() >= _TOLD_TWINS)]
    if len(joined):
        lines.append(
            "counted as one because they move together: "
            + "; ".join(
                f"{row['driver'].replace('_', ' ')}, {row['twins']}"
                for row in joined.to_dict("records")
            )
        )
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
    listed = explained.drivers[
        (explained.drivers["driver"] != REST) & (explained.drivers["points_displayed"] != 0)
    ]
    # What holds a score up although it is trouble elsewhere ("no sponsor for 90 days") is for
    # analysts, not for a mail.
    reasons = [
        Reason(int(row["points_displayed"]), sentence(row["said"], row["compared"]))
        for row in listed.to_dict("records")
        if row["protects"] or (row["points"] < 0 and row["nature"] not in UNALTERABLE)
    ]
    health = None if pd.isna(score["health"]) else int(score["health"])
    reason = score["band_reason"] if isinstance(score["band_reason"], str) else ""
    chance = chance_of(score, horizon_days, verb)
    return paragraph(
        str(explained.account["name"]),
        health,
        str(score["band"]),
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
) -> str:
    """One self-contained HTML page about one account: no outside hosts, no script."""
    score, drivers = explained.score, explained.drivers
    has_score = not pd.isna(score["health"])
    rows = [_table_row(row) for row in drivers.to_dict("records") if int(row["points_displayed"])]
    steps = waterfall(drivers, int(score["base_displayed"])) if has_score else []
    return render(
        "account.html.j2",
        style=style(),
        project=project,
        now=now,
        score=score,
        account=explained.account,
        has_score=has_score,
        why=explained.why,
        advice=(SCORE_AGAIN,) if keeps_one_sentence(drivers) else explained.advice,
        protects=explained.protects,
        unsure_band=explained.unsure_band,
        to_edges=explained.to_edges,
        chance=chance_of(score, horizon_days, verb),
        scale_sentence=explained.scale_sentence,
        timing=explained.timing,
        actions=open_action_lines(explained.open_actions),
        history=[] if explained.history is None else explained.history.to_dict("records")[::-1],
        dimensions=explained.dimensions.to_dict("records"),
        rows=rows,
        foot=foot_lines(explained),
        **_facts(facts, explained.account),
        trajectory=account_view(explained.trajectory, explained.history, edges, verb),
        picture=waterfall_svg(steps, edges, band_names([score["band"]])) if has_score else "",
    )


def _facts(facts: AccountFacts | None, account: Mapping[str, Any]) -> dict[str, Any]:
    """Tiles and sources for the page; none where the sources were not asked."""
    if facts is None:
        return {"tiles": [], "sources": []}
    currency = account["currency"] if isinstance(account["currency"], str) else ""
    return {
        "tiles": fact_tiles(facts, account["value_per_year"], currency),
        "sources": source_lines(facts),
    }


def _table_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        **row,
        "compared": "" if pd.isna(row["compared"]) else row["compared"],
        "reason": _reason_words(row),
        "unsure": row["is_sure"] is False,
        "lagging": row["nature"] == "lagging",
    }


def waterfall_svg(
    steps: Sequence[WaterfallBar], edges: tuple[int, int], names: Sequence[str]
) -> Markup:
    """Bars from the base to the score over the three bands; whole words as tooltips, no libraries,
    no script.
    """
    health = steps[-1].end
    low = min(0, *(min(s.start, s.end) for s in steps))
    high = max(100, *(max(s.start, s.end) for s in steps))
    height = _TOP + _ROW * (len(steps) + 1) + 8

    def across(points: float) -> float:
        return round(_LABELS + (points - low) / (high - low) * (_WIDTH - _LABELS - _RIGHT), 1)

    parts = [
        f'<svg class="waterfall" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="Points from {steps[0].end} to the score {health}">'
    ]
    bands = zip(
        names,
        (low, edges[0] + 0.5, edges[1] + 0.5),
        (edges[0] + 0.5, edges[1] + 0.5, high),
        strict=True,
    )
    parts += [
        f'<rect class="{band}" x="{across(left)}" y="{_TOP - 6}"'
        f' width="{round(across(right) - across(left), 1)}" height="{height - _TOP}"'
        ' fill="var(--b)"/>'
        for band, left, right in bands
    ]
    parts += [
        f'<text x="{across(tick)}" y="13" text-anchor="middle">{tick}</text>'
        for tick in (0, edges[0], edges[1], 100)
    ]
    for place, step in enumerate(steps):
        parts += _bar_svg(
            place,
            step.said,
            sentence(step.said, step.compared),
            step.start,
            step.end,
            across,
            is_total=step.row is None,
        )
    parts += _bar_svg(
        len(steps), "the score", f"the score: {health}", health, health, across, is_total=True
    )
    # Numbers of ours, and labels escaped one by one.
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704


def _bar_svg(
    place: int, label: str, words: str, start: int, end: int, across: Any, *, is_total: bool
) -> list[str]:
    top = _TOP + _ROW * place
    left, right = sorted((across(0 if is_total else start), across(end)))
    kind = "total" if is_total else "down" if end < start else "up"
    shown = label if len(label) <= _LABEL_LETTERS else f"{label[: _LABEL_LETTERS - 1].rstrip()}…"
    points = str(end) if is_total else f"{end - start:+d}".replace("-", "−")
    return [
        f'<g><title>{escape(words)}</title><text class="label" x="{_LABELS - 10}" y="{top + 13}"'
        f' text-anchor="end">{escape(shown)}</text><rect class="{kind}" x="{left}" y="{top + 2}"'
        f' width="{max(1.5, round(right - left, 1))}" height="{_ROW - 8}" rx="2"/><text'
        f' class="points" x="{right + 5}" y="{top + 14}">{points}</text></g>'
    ]
