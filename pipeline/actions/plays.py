"""The plays of a worklist: which play for whom under an owner's hours, and who is drawn by lot.

For each owner: what is on the list and not done yet stays; the hours left go to the accounts and
plays that save most; near the end of the list a lot decides. Everybody else is told why not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from models.methods.base import Floats
from models.plays import choose_plays, comes_back, draw_lot, lot_cost
from pipeline.actions.worklist import OF_CONTACT
from pipeline.config.schema import Play, WorklistRules

ON_LIST, BELOW, LEFT_ALONE, RESTING, NO_PLAY = (
    "on the list",
    "below the line",
    "left alone by lot",
    "resting",
    "no play fits",
)
PLEASE_WAIT = "Drawn at random to be left alone: please do not call"
"""What owners are told of an account that a lot left alone."""
Evidence = Literal["lot", "holdout", "observed", "prior"]
PLAN_COLUMNS = (
    "listed",
    "play",
    "value_saved",
    "minutes",
    "carried_out_by",
    "due",
    "evidence",
    "drawn",
)
"""What a worklist says beside each account where plays are declared."""
ASSIGNED_COLUMNS = (
    "account_id",
    "as_of",
    "owner",
    "play",
    "rank",
    "priority",
    "minutes",
    "propensity",
    "on_list",
    "evidence",
    "save_share",
    "assigned_on",
)


@dataclass(frozen=True)
class Belief:
    """What a play is counted on: the share of leavers it keeps, or how many more it wins as a
    share, and how that is known.
    """

    save_share: float
    evidence: Evidence


@dataclass(frozen=True, eq=False)
class Past:
    """What was done or drawn before the date.

    `open_plays`: account -> (play, day it was assigned, propensity), on a list and not done yet.
    `resting`: accounts a play of any kind was assigned to so lately that they are left in peace, by
    play (its cooldown is the play's own). `held`: accounts that a lot left alone and whose horizon
    is not over.
    """

    open_plays: Mapping[str, tuple[str, pd.Timestamp, float]]
    resting: Mapping[str, frozenset[str]]
    held: frozenset[str]


@dataclass(frozen=True)
class OwnerPlan:
    """One owner's list in figures; money of the reporting currency."""

    owner: str
    hours: float
    listed: int
    minutes: int
    saved: float
    by_risk: float
    """What the same hours save spent on the riskiest accounts first."""
    drawn: int
    """Accounts that the lot decided about, on the list or not."""
    lot_cost: float


@dataclass(frozen=True, eq=False)
class PlayPlan:
    """A whole list: `accounts` has account_id and `PLAN_COLUMNS`; `assigned` has
    `ASSIGNED_COLUMNS`, one row for each account that is on the list or was drawn.
    """

    accounts: pd.DataFrame
    assigned: pd.DataFrame
    owners: tuple[OwnerPlan, ...]

    @property
    def saved(self) -> float:
        """Expected value saved of all lists."""
        return sum(each.saved for each in self.owners)

    @property
    def regret_of_risk(self) -> float:
        """Share of it that calling the riskiest first would lose; 0 where nothing is saved."""
        by_risk = sum(each.by_risk for each in self.owners)
        return 1 - by_risk / self.saved if self.saved > 0 else 0.0

    @property
    def lot_share(self) -> float:
        """Share of it that the lot gives up."""
        cost = sum(each.lot_cost for each in self.owners)
        return cost / (self.saved + cost) if self.saved + cost > 0 else 0.0


@dataclass(frozen=True)
class PlannedPlay:
    """What the plan of a run says of one account: its play, or that a lot left it alone."""

    play: str
    is_listed: bool
    due: pd.Timestamp
    saves: float | None
    """Expected value a year; wins, where the target is about growth."""
    evidence: str


@dataclass(frozen=True, eq=False)
class PlannedWorklist:
    """A run's list: `ranked` is the worklist with the plan's columns, in the order of the plan."""

    ranked: pd.DataFrame
    plan: PlayPlan


def plan_plays(
    ranked: pd.DataFrame,
    plays: Sequence[Play],
    rules: WorklistRules,
    beliefs: Mapping[str, Belief],
    costs: Mapping[str, float],
    past: Past,
    *,
    as_of: pd.Timestamp,
    key: str,
    reasons: Mapping[str, frozenset[str]],
    consents: Mapping[str, frozenset[str]],
    left_out: frozenset[str] = frozenset(),
    share_of_hours: float = 1.0,
) -> PlayPlan:
    """Choose the plays of all owners.

    Parameters
    ----------
    ranked
        The worklist: owner, account_id, band, segment, value_per_year, probability, priority (value
        x chance).
    costs
        Play -> money. Of a play that declares none, `cost_of_contact` of an account goes first.
    key
        What makes this draw another than the last, such as the project, target and date.
    reasons
        Account -> codes of its reasons.
    consents
        Column of the accounts -> accounts of which it is true.
    left_out
        Accounts that no play fits now.
    share_of_hours
        Part of an owner's hours that this list may take.
    """
    parts, assigned, owners = [], [], []
    for owner, group in ranked.groupby("owner", sort=True):
        listed, rows, plan = _plan_owner(
            str(owner),
            group.reset_index(drop=True),
            plays,
            rules,
            beliefs,
            costs,
            past,
            as_of,
            f"{key}/{owner}",
            reasons,
            consents,
            left_out,
            share_of_hours,
        )
        parts.append(listed)
        assigned.append(rows)
        owners.append(plan)
    columns = ["account_id", *PLAN_COLUMNS]
    return PlayPlan(
        pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns),
        pd.concat(assigned, ignore_index=True) if assigned else pd.DataFrame(),
        tuple(owners),
    )


def in_planned_order(planned: pd.DataFrame) -> pd.DataFrame:
    """A planned worklist as one ranking: what is on a list first, then by value saved."""
    ordered = planned.assign(is_listed=planned["listed"].eq(ON_LIST)).sort_values(
        ["is_listed", "value_saved", "priority", "account_id"],
        ascending=[False, False, False, True],
        kind="stable",
        na_position="last",
        ignore_index=True,
    )
    return ordered.drop(columns="is_listed")


def _plan_owner(
    owner: str,
    group: pd.DataFrame,
    plays: Sequence[Play],
    rules: WorklistRules,
    beliefs: Mapping[str, Belief],
    costs: Mapping[str, float],
    past: Past,
    as_of: pd.Timestamp,
    key: str,
    reasons: Mapping[str, frozenset[str]],
    consents: Mapping[str, frozenset[str]],
    left_out: frozenset[str],
    share_of_hours: float,
) -> tuple[pd.DataFrame, pd.DataFrame, OwnerPlan]:
    """One owner's list."""
    accounts = group["account_id"].astype(str).tolist()
    names = [play.name for play in plays]
    minutes = np.array([play.minutes for play in plays], dtype=np.int64)
    saved = _saved(group, plays, beliefs, costs, past, reasons, consents)
    saved[group["account_id"].isin(left_out)] = np.nan
    open_plays = [past.open_plays.get(account) for account in accounts]
    is_open = np.array([each is not None for each in open_plays], dtype=np.bool_)
    strategic = _strategic(group, plays) & ~is_open
    hours = rules.owner_hours.get(owner, rules.hours) * share_of_hours
    budget = int(60 * hours)
    taken = sum(_minutes_of(each[0], plays) for each in open_plays if each is not None)
    free = np.where(is_open[:, None], np.nan, saved)
    is_held = np.array([account in past.held for account in accounts], dtype=np.bool_)
    unheld = np.where(is_held[:, None], np.nan, free)
    left = max(budget - taken, 0)
    line = _line(choose_plays(unheld, minutes, left, must=strategic).play, unheld)
    returns = is_held & comes_back(_best(free), line)
    candidates = np.where((is_held & ~returns)[:, None], np.nan, free)
    choice = choose_plays(candidates, minutes, left, must=strategic & ~(is_held & ~returns))
    play = choice.play
    best = _best_play(candidates)
    order = _order(candidates, play, best, minutes)
    capacity = int((play >= 0).sum())
    lot_play = int(play[order[capacity - 1]]) if capacity else -1
    shown = np.where(play >= 0, play, best)
    may_draw = (shown == lot_play) & ~strategic & ~returns
    lot = draw_lot(
        [accounts[place] for place in order],
        capacity,
        key=f"{key}/{names[lot_play]}" if capacity else key,
        share=rules.lot_share,
        may_draw=may_draw[order],
    )
    worth = _at(candidates, shown)
    cost = lot_cost(lot, np.nan_to_num(worth[order]), capacity)
    on_list, propensity = np.zeros((2, len(group)))
    on_list[order], propensity[order] = lot.on_list, lot.propensity
    play = shown
    listed = is_open | (on_list > 0)
    drawn = (propensity > 0) & (propensity < 1)
    rows = pd.DataFrame(
        {
            "account_id": accounts,
            "owner": owner,
            "listed": np.select(
                [
                    listed,
                    is_held & ~returns | drawn,
                    play >= 0,
                    np.array([_is_resting(account, past) for account in accounts]),
                ],
                [ON_LIST, LEFT_ALONE, BELOW, RESTING],
                NO_PLAY,
            ),
            "play": [names[each] if each >= 0 else "" for each in play],
            "value_saved": worth,
            "propensity": propensity,
            "on_list": listed,
            "assigned_on": as_of,
            "drawn": drawn,
        }
    )
    for place, each in enumerate(open_plays):
        if each is not None:
            rows.loc[place, ["play", "assigned_on", "propensity"]] = each
            rows.loc[place, "drawn"] = 0 < each[2] < 1
            rows.loc[place, "value_saved"] = (
                saved[place, names.index(each[0])] if each[0] in names else np.nan
            )
    facts = {each.name: each for each in plays}
    mine = rows["play"].map(facts)
    rows["minutes"] = [None if each is None else each.minutes for each in _or_none(mine)]
    rows["carried_out_by"] = ["" if each is None else each.role or owner for each in _or_none(mine)]
    rows["due"] = [
        start + pd.Timedelta(days=each.due_days) if each is not None and is_listed else pd.NaT
        for start, each, is_listed in zip(rows["assigned_on"], _or_none(mine), listed, strict=True)
    ]
    rows["evidence"] = [beliefs[name].evidence if name in beliefs else "" for name in rows["play"]]
    rows["save_share"] = [
        beliefs[name].save_share if name in beliefs else np.nan for name in rows["play"]
    ]
    rows["as_of"], rows["priority"] = as_of, rows["value_saved"]
    ranks = rows.sort_values(["on_list", "value_saved"], ascending=False, kind="stable")
    rows["rank"] = pd.Series(np.arange(1, len(ranks) + 1), index=ranks.index)
    assigned = rows[rows["on_list"] | drawn][list(ASSIGNED_COLUMNS)]
    plan = OwnerPlan(
        owner=owner,
        hours=hours,
        listed=int(listed.sum()),
        minutes=int(rows.loc[listed, "minutes"].fillna(0).sum()),
        saved=float(np.nansum(worth[on_list > 0])),
        by_risk=_by_risk(group, candidates, minutes, left),
        drawn=int(drawn.sum()),
        lot_cost=cost,
    )
    return rows, assigned, plan


def _saved(
    group: pd.DataFrame,
    plays: Sequence[Play],
    beliefs: Mapping[str, Belief],
    costs: Mapping[str, float],
    past: Past,
    reasons: Mapping[str, frozenset[str]],
    consents: Mapping[str, frozenset[str]],
) -> Floats:
    """Expected value saved, shape (n_accounts, n_plays); nan where a play is not for the account.

    `priority` is value x chance, weighed less the farther the contract's end is.
    """
    saved = np.full((len(group), len(plays)), np.nan)
    for index, play in enumerate(plays):
        cost: float | pd.Series[float] = costs[play.name]
        if play.cost is None and OF_CONTACT in group:
            cost = group[OF_CONTACT].astype(float).fillna(costs[play.name])
        worth = group["priority"].astype(float) * beliefs[play.name].save_share - cost
        fits = pd.Series(True, index=group.index)
        if play.bands:
            fits &= group["band"].isin(play.bands)
        if play.segments:
            fits &= group["segment"].isin(play.segments)
        if play.reasons:
            fits &= group["account_id"].isin(
                [one for one, codes in reasons.items() if not codes.isdisjoint(play.reasons)]
            )
        if play.consent is not None:
            fits &= group["account_id"].isin(consents[play.consent])
        fits &= ~group["account_id"].isin(past.resting.get(play.name, frozenset()))
        saved[:, index] = worth.where(fits)
    return saved


def _strategic(group: pd.DataFrame, plays: Sequence[Play]) -> Any:
    """Accounts that come first for one of the plays."""
    floors = [play.strategic_from for play in plays if play.strategic_from is not None]
    if not floors:
        return np.zeros(len(group), dtype=np.bool_)
    return (group["value_per_year"].astype(float) >= min(floors)).to_numpy(dtype=np.bool_)


def _minutes_of(name: str, plays: Sequence[Play]) -> int:
    return next((play.minutes for play in plays if play.name == name), 0)


def _is_resting(account: str, past: Past) -> bool:
    return any(account in each for each in past.resting.values())


def _or_none(plays: "pd.Series[Any]") -> list[Play | None]:
    return [each if isinstance(each, Play) else None for each in plays]


def _best(saved: Floats) -> Floats:
    """Saved value of the best play of each account; below every line where there is none."""
    return np.asarray(np.nan_to_num(saved, nan=-np.inf).max(axis=1, initial=-np.inf))


def _best_play(saved: Floats) -> Any:
    """The play that saves most, -1 where none saves anything."""
    filled = np.nan_to_num(saved, nan=-np.inf)
    return np.where(filled.max(axis=1, initial=-np.inf) > 0, filled.argmax(axis=1), -1)


def _at(saved: Floats, play: Any) -> Floats:
    """Saved value of a play of each account; nan where there is none."""
    values = saved[np.arange(len(saved)), np.maximum(play, 0)]
    return np.asarray(np.where(play >= 0, values, np.nan))


def _line(play: Any, saved: Floats) -> float:
    """Saved value of the last account on the list; infinite without any."""
    chosen = play >= 0
    return float(_at(saved, play)[chosen].min()) if chosen.any() else np.inf


def _order(saved: Floats, play: Any, best: Any, minutes: Any) -> Any:
    """Accounts in the order of the ranking: the chosen by value saved a minute, then the others."""
    shown = np.where(play >= 0, play, best)
    rate = np.nan_to_num(_at(saved, shown) / minutes[np.maximum(shown, 0)], nan=-np.inf)
    return np.lexsort((-rate, play < 0))


def _by_risk(group: pd.DataFrame, saved: Floats, minutes: Any, budget: int) -> float:
    """What the same minutes save spent on the riskiest first, each with its best play."""
    best, left, total = _best_play(np.where(np.isnan(saved), -np.inf, saved)), budget, 0.0
    for place in np.argsort(-group["probability"].astype(float).to_numpy(), kind="stable"):
        play = int(best[place])
        if play >= 0 and minutes[play] <= left:
            left -= int(minutes[play])
            total += float(saved[place, play])
    return total
