"""The page a customer-success leader opens first: whom to call, whether to believe it, what it does
not know.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd
from markupsafe import Markup

from features.errors import ContractError
from models.drivers import interval_in_words
from models.evaluation import TestFigures
from models.figures import side_by_side
from models.health import Promise, reads_decisions
from models.health.words import (
    base_words,
    health_horizon_words,
    horizon_words,
    is_decided_later,
    sentence_of,
    timing_words,
    unsure_band,
)
from models.target_words import TARGET_WORDS
from pipeline.actions.worklist import NO_OWNER, is_good_event, largest_reasons, worklist
from pipeline.jobs.outcomes import OutcomesReport
from pipeline.reports.hindsight import LEADS, Hindsight, count_of, interval_of, look_back
from pipeline.reports.outcomes import page_view
from pipeline.reports.reliability import reliability_rows, reliability_svg
from pipeline.reports.render import render, script_and_policy, style

SHOWN_PER_OWNER = 10
_SHOWN_ALARMS = 12
_LISTED_LEAVERS = 40


@dataclass(frozen=True)
class PortfolioInputs:
    """Everything the page is made of; nothing is looked up while it is drawn.

    Parameters
    ----------
    scores, drivers, portfolio
        Published rows of one run (one target and horizon).
    run
        The row of `runs`: run_id, as_of, target, horizon_days, model_version, published_at, ...
    backtest
        Scores of the untouched test dates: account_id, as_of, label, probability, health, band,
        left_at. Empty: the page says that nothing was tested.
    test
        Figures of the test of the model that scored; None where there are none.
    band_table
        `models.health.band_table` of the test dates: band, accounts, expected, observed.
    source_freshness
        source, newest_known, rows, share (of accounts with rows, 0-1), note.
    previous_counts
        Band -> accounts of the run before; None: this is the first.
    objective
        purpose, capacity, ... as declared.
    now
        Time of drawing, for the foot of the page.
    project
        Name of the project.
    target_kind, target_words
        Kind of the target ("churn"), and one sentence that says what exactly is predicted.
    names
        Account -> name of accounts that are not in the portfolio any more.
    limits
        Further sentences for "What the score does not know".
    ranges
        What ten points promise and what the test saw (`models.health.promises`).
    edges
        Last displayed score of the first and of the second band.
    why
        Reasons of the short list per account: account_id, reason, points; None: not told.
    earlier
        What became of earlier scores of the target; None: not told.
    """

    scores: pd.DataFrame
    drivers: pd.DataFrame
    portfolio: pd.DataFrame
    run: Mapping[str, Any]
    backtest: pd.DataFrame
    test: TestFigures | None
    band_table: pd.DataFrame
    source_freshness: pd.DataFrame
    previous_counts: Mapping[str, int] | None
    objective: Mapping[str, Any]
    now: datetime
    project: str
    target_kind: str = "churn"
    target_words: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    limits: tuple[str, ...] = ()
    ranges: tuple[Promise, ...] = ()
    edges: tuple[int, int] = (40, 70)
    why: pd.DataFrame | None = None
    earlier: OutcomesReport | None = None


@dataclass(frozen=True)
class BandTile:
    """Accounts and value of one band, against the run before."""

    band: str
    accounts: int
    share: float
    value: float | None
    change: int | None


@dataclass(frozen=True)
class OwnerList:
    """The first accounts of one owner's call list.

    Attributes
    ----------
    accounts, to_call
        Ranked accounts of the owner, and how many of them are at risk, or stable with a reason to
        call.
    expected
        Sum of value per year times chance over all of them: what is expected to be lost (or won).
    shown_share
        Share of `expected` that the rows carry.
    """

    owner: str
    anchor: str
    rows: list[dict[str, Any]]
    accounts: int
    at_risk: int
    to_call: int
    expected: float | None
    shown_share: float | None


@dataclass(frozen=True)
class ListedReason:
    """A reason beside an account: its points, what is so now, and what that is compared with."""

    points: int
    said: str
    compared: str | None


@dataclass(frozen=True)
class LeftOut:
    """How many accounts of a band have no place in the lists, and why."""

    band: str
    reason: str
    accounts: int


@dataclass(frozen=True)
class SourceRow:
    """How fresh a source is; `share` of accounts have rows in it (0-1)."""

    source: str
    newest: datetime | None
    age_days: int | None
    rows: int
    share: float
    note: str


def portfolio_page(inputs: PortfolioInputs) -> str:
    """One self-contained HTML page: no outside hosts, works without its script, prints, fits a
    phone.

    Raises
    ------
    ContractError
        There are no scores, or they are of several runs.
    """
    if inputs.scores.empty:
        raise ContractError("no scores to show. Run `tenure score` first, then draw the page.")
    words = TARGET_WORDS[inputs.target_kind]
    ranked = worklist(
        inputs.scores, inputs.drivers, inputs.portfolio, event=words.verb, why=inputs.why
    )
    good_event = is_good_event(inputs.scores)
    script, policy = script_and_policy("filter.js")
    return render(
        "portfolio.html.j2",
        style=style(),
        script=script,
        policy=policy,
        project=inputs.project,
        run=inputs.run,
        now=inputs.now,
        objective={"purpose": "", "capacity": None, **inputs.objective},
        verb=words.verb,
        gerund=words.gerund,
        past=words.past,
        opposite=words.opposite,
        good_event=good_event,
        is_scorecard=bool((inputs.scores["basis"] == "scorecard").any()),
        target_words=inputs.target_words,
        horizon=horizon_words(inputs.run.get("horizon_days")),
        at_decision=reads_decisions(inputs.scores),
        health_horizon=health_horizon_words(
            inputs.run.get("horizon_days"), at_decision=reads_decisions(inputs.scores)
        ),
        currency=_currency(inputs.portfolio),
        tiles=band_tiles(inputs.scores, inputs.portfolio, inputs.previous_counts),
        owners=owner_lists(
            ranked, inputs, reasons_of(inputs.drivers, good_event=good_event), words.verb
        ),
        base_words=_base_words(inputs.scores),
        left_out=left_out(inputs.scores),
        shown=SHOWN_PER_OWNER,
        sources=source_rows(inputs.source_freshness, inputs.run.get("as_of")),
        limits=inputs.limits,
        earlier=page_view(inputs.earlier, words),
        **_looking_back(inputs),
        **_trust(inputs, words.past),
    )


def band_tiles(
    scores: pd.DataFrame, portfolio: pd.DataFrame, previous_counts: Mapping[str, int] | None
) -> list[BandTile]:
    """Accounts and value per band, the worst first; bands without accounts now or before are left
    out.
    """
    order = ("high", "medium", "low") if is_good_event(scores) else ("at_risk", "stable", "healthy")
    values = portfolio[["account_id", "value_per_year"]]
    sums = (
        scores.merge(values, on="account_id", how="left")
        .groupby("band")["value_per_year"]
        .sum(min_count=1)
    )
    counts = scores["band"].value_counts()
    before = previous_counts or {}
    tiles = []
    for band in (*order, "leaving", "unknown"):
        accounts = int(counts.get(band, 0))
        if band in order or accounts or before.get(band):
            amount = sums.get(band, float("nan"))
            tiles.append(
                BandTile(
                    band,
                    accounts,
                    accounts / len(scores),
                    None if pd.isna(amount) and accounts else float(amount or 0),
                    None if previous_counts is None else accounts - int(before.get(band, 0)),
                )
            )
    return [tile if tile.accounts else _without_value(tile) for tile in tiles]


def reasons_of(drivers: pd.DataFrame, *, good_event: bool) -> dict[str, list[ListedReason]]:
    """Account -> its two reasons."""
    reasons: dict[str, list[ListedReason]] = {}
    for row in largest_reasons(drivers, good_event=good_event).to_dict("records"):
        compared = None if pd.isna(row["compared"]) else row["compared"]
        reason = ListedReason(int(row["points_displayed"]), row["said"], compared)
        reasons.setdefault(row["account_id"], []).append(reason)
    return reasons


def owner_lists(
    ranked: pd.DataFrame,
    inputs: PortfolioInputs,
    reasons: Mapping[str, list[ListedReason]],
    verb: str,
) -> list[OwnerList]:
    """The first `SHOWN_PER_OWNER` accounts to call of each owner; owners with most at risk
    first.
    """
    facts = inputs.scores.reindex(
        columns=[
            "account_id",
            "probability_low",
            "probability_high",
            "health_low",
            "health_high",
            "horizon_days",
            "decides_on",
        ]
    )
    merged = ranked.merge(facts, on="account_id", how="left")
    # Asked once: for every owner anew, all accounts' reasons took minutes with thousands of owners.
    to_call = _is_to_call(merged, reasons)
    lists = []
    for owner, group in merged.groupby("owner", sort=True):
        callable_ = group[to_call[group.index]].sort_values("rank")
        first = callable_.head(SHOWN_PER_OWNER)
        total = group["value_at_risk"].sum(min_count=1)
        lists.append(
            (
                float(group["priority"].sum()),
                OwnerList(
                    owner=str(owner),
                    anchor="",
                    rows=[
                        _account_row(row, reasons.get(row["account_id"], []), verb, inputs)
                        | {"place": place}
                        for place, row in enumerate(first.to_dict("records"), 1)
                    ],
                    accounts=len(group),
                    at_risk=int(group["band"].isin(["at_risk", "high"]).sum()),
                    to_call=len(callable_),
                    expected=None if pd.isna(total) else float(total),
                    shown_share=(
                        None
                        if pd.isna(total) or total == 0
                        else float(first["value_at_risk"].sum() / total)
                    ),
                ),
            )
        )
    lists.sort(key=lambda pair: (pair[1].owner == NO_OWNER, -pair[0], pair[1].owner))
    # Anchors are numbers: an owner's name may hold anything.
    return [
        OwnerList(**{**vars(one), "anchor": f"owner-{place}"})
        for place, (_, one) in enumerate(lists, 1)
    ]


def _is_to_call(
    ranked: pd.DataFrame, reasons: Mapping[str, list[ListedReason]]
) -> "pd.Series[bool]":
    """At risk (or of high chance) in any case; of the middle band those with a reason; nobody else,
    however much they pay.
    """
    has_reason = ranked["account_id"].isin(list(reasons))
    return ranked["band"].isin(["at_risk", "high"]) | (
        ranked["band"].isin(["stable", "medium"]) & has_reason
    )


def left_out(scores: pd.DataFrame) -> list[LeftOut]:
    """Accounts without a place in the lists, by band and reason."""
    outside = scores[scores["band"].isin(["leaving", "unknown"])]
    counted = (
        outside.assign(band_reason=outside["band_reason"].fillna("no reason recorded"))
        .groupby(["band", "band_reason"], sort=True)
        .size()
    )
    return [
        LeftOut(band, str(reason).replace("_", " "), int(n))
        for band, reason, n in counted.reset_index(name="accounts").itertuples(index=False)
    ]


def source_rows(freshness: pd.DataFrame, as_of: Any) -> list[SourceRow]:
    """Sources with the age of their newest row at `as_of`; a source without rows has none, and says
    so.
    """
    rows = []
    for source in freshness.to_dict("records"):
        newest = source["newest_known"]
        known = newest is not None and not pd.isna(newest)
        age = (
            (pd.Timestamp(as_of) - pd.Timestamp(newest)).days
            if known and as_of is not None
            else None
        )
        note = source.get("note")
        rows.append(
            SourceRow(
                source=source["source"],
                newest=newest if known else None,
                age_days=age,
                rows=int(source["rows"]),
                share=source["share"],
                note="" if note is None or pd.isna(note) else str(note),
            )
        )
    return rows


def _without_value(tile: BandTile) -> BandTile:
    return BandTile(tile.band, 0, 0.0, 0.0, tile.change)


def _base_words(scores: pd.DataFrame) -> str:
    base = scores.reindex(columns=["base_displayed"])["base_displayed"].dropna()
    return base_words(int(base.iloc[0])) if len(base) else ""


def _account_row(
    row: dict[Any, Any], reasons: list[ListedReason], verb: str, inputs: PortfolioInputs
) -> dict[str, Any]:
    low, high = row["probability_low"], row["probability_high"]
    horizon = None if pd.isna(row["horizon_days"]) else int(row["horizon_days"])
    has_interval = not (pd.isna(low) or pd.isna(high))
    return {
        **{str(key): value for key, value in row.items()},
        "health": int(row["health"]),
        "interval": f"{100 * low:.0f}–{100 * high:.0f}%" if has_interval else "",
        "interval_words": interval_in_words(low, high) if has_interval else "",
        "chance_short": str(row["chance"]).split(f" {verb} ")[0],
        "is_decided_later": is_decided_later(inputs.run["as_of"], row["decides_on"], horizon),
        "promise": (
            sentence_of(
                int(row["health"]),
                inputs.ranges,
                health_horizon_words(horizon, at_decision=reads_decisions(inputs.scores)),
                verb,
            )
            if inputs.ranges
            else ""
        ),
        "timing": timing_words(inputs.run["as_of"], row.get("decides_on"), horizon),
        "unsure_band": unsure_band(row, inputs.edges),
        "reasons": reasons,
    }


def _looking_back(inputs: PortfolioInputs) -> dict[str, Any]:
    if inputs.backtest.empty:
        return {"hindsight": None}
    seen = look_back(inputs.backtest)
    listed = inputs.portfolio.dropna(subset=["name"])
    names = {**inputs.names, **dict(zip(listed["account_id"], listed["name"], strict=True))}
    return {
        "hindsight": seen,
        "leads": LEADS,
        "name_of": lambda account: names.get(account, account),
        "shown_leavers": seen.leavers[:_LISTED_LEAVERS] if any(seen.scored.values()) else (),
        "shown_alarms": seen.unconfirmed[:_SHOWN_ALARMS],
        "warned_words": _warned_words(seen),
        "confirmed_words": count_of(seen.confirmed, seen.alarms),
        "missed_words": count_of(seen.missed, len(seen.leavers)),
        "missed_interval": interval_of(seen.missed, len(seen.leavers)),
        "false_interval": interval_of(seen.alarms - seen.confirmed, seen.alarms),
        "test_from": inputs.backtest["as_of"].min(),
        "test_until": inputs.backtest["as_of"].max(),
        "test_dates": int(inputs.backtest["as_of"].nunique()),
    }


def _warned_words(seen: Hindsight) -> list[tuple[int, str, int]]:
    """Lead, "9 of 14 were red" among those scored then, and how many were not scored yet; leads
    with nobody are left out.
    """
    return [
        (
            lead,
            count_of(seen.warned[lead], seen.scored[lead]),
            len(seen.leavers) - seen.scored[lead],
        )
        for lead in LEADS
        if seen.scored[lead]
    ]


def _trust(inputs: PortfolioInputs, past: str) -> dict[str, Any]:
    table = reliability_rows(inputs.backtest)
    return {
        # Made of numbers and our own words only.
        "reliability": Markup(reliability_svg(table, event=past)),  # noqa: S704
        "reliability_rows": table.to_dict("records"),
        "bands": inputs.band_table.to_dict("records"),
        "test": {} if inputs.test is None else side_by_side(inputs.test),
    }


def _currency(portfolio: pd.DataFrame) -> str:
    """The currency of sums; empty where accounts have several, since those cannot be added."""
    currencies = portfolio["currency"].dropna().unique()
    return str(currencies[0]) if len(currencies) == 1 else ""
