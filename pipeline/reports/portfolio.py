"""The page a customer-success leader opens first: whom to call, whether to believe it, what it does
not know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd
from markupsafe import Markup

from features.errors import ContractError
from models.evaluation import TestFigures
from models.figures import side_by_side
from models.health import Promise, reads_decisions
from models.health.standing import LEAVING, UNKNOWN, is_member, standing
from models.health.words import (
    base_words,
    health_horizon_words,
    horizon_words,
)
from models.target_words import TARGET_WORDS
from models.targets import WITHOUT_MOMENT
from pipeline.actions.account_rows import (
    ALARM_BANDS,
    AccountRow,
    Fallen,
    ListInputs,
    account_rows,
    fallen,
    leaving,
    list_length,
    of_band,
    shown_columns,
    state_words,
    to_call,
    total,
)
from pipeline.actions.plays import (
    BELOW,
    LEFT_ALONE,
    NO_PLAY,
    ON_LIST,
    RESTING,
    PlannedWorklist,
)
from pipeline.actions.worklist import NO_OWNER, is_good_event
from pipeline.config.schema import Objective
from pipeline.jobs.outcomes import OutcomesReport
from pipeline.ledger import RunRow
from pipeline.reports.hindsight import LEADS, Hindsight, count_of, interval_of, look_back
from pipeline.reports.outcomes import level_warning, page_view
from pipeline.reports.plan import plan_words
from pipeline.reports.reliability import reliability_rows, reliability_svg
from pipeline.reports.render import NO_SCRIPT, render, style

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
    counted
        What the score is counted from, where no model makes it; empty: a model or the scorecard.
    level_in_test
        That all chances of the test were too low, or too high; empty: they were not. What became of
        published scores speaks before it.
    fallen
        Accounts whose score fell suddenly; None: not known.
    pages
        Account -> address of its own page, for those that have one.
    planned
        The run's plays under the owners' hours; None: none are planned, and value times chance
        ranks.
    """

    scores: pd.DataFrame
    drivers: pd.DataFrame
    portfolio: pd.DataFrame
    run: RunRow
    backtest: pd.DataFrame
    test: TestFigures | None
    band_table: pd.DataFrame
    source_freshness: pd.DataFrame
    previous_counts: Mapping[str, int] | None
    objective: Objective
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
    counted: str = ""
    level_in_test: str = ""
    fallen: Fallen | None = None
    pages: Mapping[str, str] = field(default_factory=dict)
    planned: PlannedWorklist | None = None

    @property
    def of_the_list(self) -> ListInputs:
        """What the lists of accounts are made of."""
        return ListInputs(
            scores=self.scores,
            drivers=self.drivers,
            portfolio=self.portfolio,
            verb=TARGET_WORDS[self.target_kind].verb,
            why=self.why,
            ranges=self.ranges,
            edges=self.edges,
            fallen=self.fallen,
            pages=self.pages,
            planned=None if self.planned is None else self.planned.ranked,
            save_share=self.objective.save_share,
        )


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
    """All accounts of one owner, and the first of those to call.

    Attributes
    ----------
    number
        Place of the owner among all, from 1: names may hold anything, anchors may not.
    rows
        The first accounts to call.
    accounts, at_risk, to_call, listed, leaving
        How many accounts the owner has, how many are at risk, worth a call, on the one list, and
        leaving.
    value
        Value per year of all of them; None where none is known.
    at_stake
        Sum of value times the chance that is shown; None where none is known.
    """

    owner: str
    number: int
    rows: tuple[AccountRow, ...]
    accounts: int
    at_risk: int
    to_call: int
    listed: int
    leaving: int
    value: float | None
    at_stake: float | None


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
    """One self-contained HTML page: no outside hosts, no script, prints, fits a phone.

    Raises
    ------
    ContractError
        There are no scores, or they are of several runs.
    """
    if inputs.scores.empty:
        raise ContractError("no scores to show. Run `tenure score` first, then draw the page.")
    words = TARGET_WORDS[inputs.target_kind]
    rows = list_rows(inputs)
    calls = to_call(rows)
    listed = calls[: list_length(rows, inputs.objective.capacity)]
    owners = owner_lists(rows, len(listed))
    level = level_warning(inputs.earlier, words)
    return render(
        "portfolio.html.j2",
        style=style(),
        policy=NO_SCRIPT,
        project=inputs.project,
        run=inputs.run,
        now=inputs.now,
        objective=inputs.objective,
        verb=words.verb,
        gerund=words.gerund,
        past=words.past,
        opposite=words.opposite,
        good_event=is_good_event(inputs.scores),
        is_scorecard=bool((inputs.scores["basis"] == "scorecard").any()),
        counted=inputs.counted,
        target_words=inputs.target_words,
        horizon=horizon_words(inputs.run.horizon_days),
        horizon_days=inputs.run.horizon_days,
        at_decision=reads_decisions(inputs.scores),
        health_horizon=health_horizon_words(
            inputs.run.horizon_days, at_decision=reads_decisions(inputs.scores)
        ),
        currency=_currency(inputs.portfolio),
        tiles=band_tiles(inputs.scores, inputs.portfolio, inputs.previous_counts),
        accounts_in_all=len(rows),
        shown_per_owner=SHOWN_PER_OWNER,
        shown=shown_columns(rows),
        listed=listed,
        to_call=len(calls),
        plan_words=_plan_words(inputs),
        left_alone=left_alone(inputs),
        alarms_words=alarms_words(inputs),
        listed_value=total(row.value for row in listed),
        listed_at_stake=total(row.at_stake for row in listed),
        leaving=leaving(rows),
        leaving_value=total(row.value for row in leaving(rows)),
        fallen=inputs.fallen,
        falls=fallen(rows),
        owners=owners if len(owners) > 1 else [],
        base_words=_base_words(inputs.scores),
        left_out=left_out(inputs.scores),
        sources=source_rows(inputs.source_freshness, inputs.run.as_of),
        limits=inputs.limits,
        level_warning=inputs.level_in_test if level is None else level,
        earlier=page_view(inputs.earlier, words),
        **_looking_back(inputs),
        **_trust(inputs, words.past),
    )


def left_alone(inputs: PortfolioInputs) -> int:
    """How many accounts a lot left alone, so that effects become known."""
    if inputs.planned is None:
        return 0
    return int(inputs.planned.ranked["listed"].eq(LEFT_ALONE).sum())


def alarms_words(inputs: PortfolioInputs) -> str:
    """Where those at risk are in the plan: a list without them would puzzle everybody who reads
    it.
    """
    if inputs.planned is None:
        return ""
    ranked = inputs.planned.ranked
    mine = ranked.loc[ranked["band"].isin(ALARM_BANDS), "listed"].value_counts()
    state_words = {
        ON_LIST: "on the list",
        RESTING: "left in peace after a recent play",
        LEFT_ALONE: "drawn at random to be left alone",
        BELOW: "waiting until somebody has time",
        NO_PLAY: "where no play is worth its cost",
    }
    parts = [f"{mine[state]} {words}" for state, words in state_words.items() if mine.get(state)]
    what = "of high chance" if is_good_event(inputs.scores) else "at risk"
    return f"Of the {mine.sum()} {what}: {', '.join(parts)}." if parts else ""


def _plan_words(inputs: PortfolioInputs) -> list[str]:
    if inputs.planned is None:
        return []
    ranked = inputs.planned.ranked
    return plan_words(
        inputs.planned.plan,
        ranked[ranked["listed"] == ON_LIST],
        _currency(inputs.portfolio),
        inputs.run.horizon_days,
        good_event=is_good_event(inputs.scores),
    )


def list_rows(inputs: PortfolioInputs) -> tuple[AccountRow, ...]:
    """Every account of the run, as the lists show it."""
    return account_rows(inputs.of_the_list)


def band_tiles(
    scores: pd.DataFrame, portfolio: pd.DataFrame, previous_counts: Mapping[str, int] | None
) -> list[BandTile]:
    """Accounts and value per band, the worst first; bands without accounts now or before are left
    out.
    """
    order = ("high", "medium", "low") if is_good_event(scores) else ("at_risk", "stable", "healthy")
    values = portfolio[["account_id", "value_per_year"]]
    shown = standing(scores)
    sums = (
        scores[["account_id"]]
        .assign(band=shown)
        .merge(values, on="account_id", how="left")
        .groupby("band")["value_per_year"]
        .sum(min_count=1)
    )
    counts = shown.value_counts()
    before = previous_counts or {}
    tiles = []
    for band in (*order, LEAVING, UNKNOWN):
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


def owner_lists(rows: Sequence[AccountRow], listed: int) -> list[OwnerList]:
    """Accounts by owner, the owner with most at stake first; those of nobody come last.

    Parameters
    ----------
    rows
        Every account of the run.
    listed
        Length of the one list.
    """
    groups: dict[str, list[AccountRow]] = {}
    for row in rows:
        groups.setdefault(row.owner, []).append(row)
    numbers = owner_numbers(rows)
    return [
        OwnerList(
            owner=owner or NO_OWNER,
            number=numbers[owner],
            rows=tuple(to_call(mine)[:SHOWN_PER_OWNER]),
            accounts=len(mine),
            at_risk=len(of_band(mine, *ALARM_BANDS)),
            to_call=len(to_call(mine)),
            listed=sum((row.place or listed + 1) <= listed for row in mine),
            leaving=len(of_band(mine, LEAVING)),
            value=total(row.value for row in mine),
            at_stake=total(row.at_stake for row in mine),
        )
        for owner, mine in sorted(groups.items(), key=lambda each: numbers[each[0]])
    ]


def owner_numbers(rows: Sequence[AccountRow]) -> dict[str, int]:
    """Owner -> place, from 1: most at stake first, accounts without an owner last."""
    at_stake: dict[str, float] = {}
    for row in rows:
        at_stake[row.owner] = at_stake.get(row.owner, 0.0) + (row.at_stake or 0.0)
    ordered = sorted(at_stake, key=lambda owner: (not owner, -at_stake[owner], owner))
    return {owner: number for number, owner in enumerate(ordered, 1)}


def left_out(scores: pd.DataFrame) -> list[LeftOut]:
    """Accounts without a place in the lists, by band and reason."""
    shown = scores.assign(band=standing(scores))
    outside = shown[~is_member(scores)]
    counted = (
        outside.assign(band_reason=outside["band_reason"].fillna(""))
        .groupby(["band", "band_reason"], sort=True)
        .size()
    )
    return [
        LeftOut(band, state_words(band, reason), int(n))
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


def dated_backtest(inputs: PortfolioInputs) -> pd.DataFrame:
    """Scores of the test with the moment of leaving; without it where the kind has none."""
    if inputs.target_kind not in WITHOUT_MOMENT:
        return inputs.backtest
    return inputs.backtest.assign(left_at=None).astype({"left_at": "datetime64[us]"})


def _looking_back(inputs: PortfolioInputs) -> dict[str, Any]:
    if inputs.backtest.empty:
        return {"hindsight": None}
    seen = look_back(dated_backtest(inputs))
    listed = inputs.portfolio.dropna(subset=["name"])
    names = {**inputs.names, **dict(zip(listed["account_id"], listed["name"], strict=True))}
    return {
        "hindsight": seen,
        "has_moment": inputs.target_kind not in WITHOUT_MOMENT,
        "leads": LEADS,
        "name_of": lambda account: names.get(account, account),
        "shown_leavers": seen.leavers[:_LISTED_LEAVERS] if any(seen.scored.values()) else (),
        "shown_alarms": seen.unconfirmed[:_SHOWN_ALARMS],
        "warned_words": _warned_words(seen),
        "confirmed_words": count_of(seen.confirmed, seen.alarms),
        "missed_words": count_of(seen.missed, len(seen.leavers)),
        "missed_interval": interval_of(seen.missed, len(seen.leavers)),
        "worked_on": seen.alarms - seen.untouched,
        "false_words": count_of(seen.false_alarms, seen.untouched),
        "false_interval": interval_of(seen.false_alarms, seen.untouched),
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
