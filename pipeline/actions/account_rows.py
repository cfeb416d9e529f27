"""One row per account of a run, as every list of accounts shows it: in the order of the worklist,
with the same words and numbers wherever the account stands.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from models.drivers import REASONS, interval_in_words
from models.health import Promise, reads_decisions
from models.health.standing import LEAVING, UNKNOWN, standing
from models.health.words import (
    health_horizon_words,
    sentence_of,
    timing_words,
    unsure_band,
)
from pipeline.actions.plays import (
    BELOW,
    LEFT_ALONE,
    ON_LIST,
    PLEASE_WAIT,
    RESTING,
    in_planned_order,
)
from pipeline.actions.worklist import NO_OWNER, is_good_event, largest_reasons, worklist

ALARM_BANDS, MIDDLE_BANDS = ("at_risk", "high"), ("stable", "medium")
_BAND_ORDER = ("at_risk", "high", "stable", "medium", "healthy", "low", LEAVING, UNKNOWN)
_BAND_REASONS = {
    "notice": "gave notice",
    "lapsed": "contract ended, not renewed yet",
}
NOT_RECORDED = "no reason recorded"
_OF_THE_PLAN = ("listed", "play", "due", "value_saved")
DEFAULT_LENGTH = 20
"""Accounts on the one list where the project does not say how many the team can take on."""


@dataclass(frozen=True)
class ListedReason:
    """A reason beside an account: its points, what is so now, and what that is compared with."""

    points: int
    said: str
    compared: str | None


@dataclass(frozen=True)
class Fall:
    """A sudden drop of an account's score: what is usual for it, and when it came."""

    usual: int
    by: pd.Timestamp | None


@dataclass(frozen=True)
class Fallen:
    """Accounts whose score fell suddenly, and what became of such accounts before.

    `since` says what the score is compared with; empty `falls` with `since`: nobody fell.
    """

    falls: Mapping[str, Fall]
    since: str
    record: str = ""


@dataclass(frozen=True)
class ListInputs:
    """What the rows of a run are made of.

    Parameters
    ----------
    scores, drivers, portfolio
        Published rows of one run.
    why
        Reasons of the short list per account: account_id, reason, points; None: not told.
    verb
        What accounts do ("leave").
    ranges, edges
        What ten points promise, and the last displayed score of the first and second band.
    fallen
        Sudden drops; None: not known.
    pages
        Account -> address of its own page, for those that have one.
    planned
        The worklist in the order of its plays (`with_plan`); None: no plays are planned, and value
        times chance ranks.
    save_share
        As for `worklist`.
    """

    scores: pd.DataFrame
    drivers: pd.DataFrame
    portfolio: pd.DataFrame
    verb: str
    why: pd.DataFrame | None = None
    ranges: tuple[Promise, ...] = ()
    edges: tuple[int, int] = (40, 70)
    fallen: Fallen | None = None
    pages: Mapping[str, str] = field(default_factory=dict)
    planned: pd.DataFrame | None = None
    save_share: float | None = None


@dataclass(frozen=True)
class AccountRow:
    """One account in a list.

    Attributes
    ----------
    place
        Place among the accounts to call, from 1; None: not to call.
    value, at_stake
        Value per year, and value times the chance that is shown; None where unknown.
    chance, chance_words, chance_note
        Probability that says most of the account, `about 1 in 13`, and its range or when the
        contract decides; None and empty where there is none.
    ends_on, timing
        End of the contract, and how far it is.
    band, standing
        Band of the health, empty without one; and where lists show the account: its band, or
        `leaving` or `unknown`, whatever it scores.
    state
        What a score cannot say: `gave notice`.
    summary, reasons
        Reasons of the short list in words, and the two largest drivers.
    is_listed
        Whether the owner's hours reach it; None: no plays are planned.
    todo, saves
        What the plan says of it in words (`Success call by 8 Jun 2025`), and what that is expected
        to save a year; empty and None where it says nothing.
    """

    account_id: str
    name: str
    owner: str
    segment: str
    value: float | None
    currency: str
    band: str
    standing: str
    health: int | None
    state: str
    chance: float | None
    chance_words: str
    chance_note: str
    is_decided_later: bool
    at_stake: float | None
    ends_on: pd.Timestamp | None
    timing: str
    meaning: str
    unsure: str
    summary: tuple[str, ...]
    reasons: tuple[ListedReason, ...]
    fall: Fall | None
    page: str
    place: int | None
    is_listed: bool | None = None
    todo: str = ""
    saves: float | None = None

    @property
    def month(self) -> str:
        """Month in which the contract ends, as in `2025-09`; empty without an end."""
        return "" if self.ends_on is None else f"{self.ends_on:%Y-%m}"


def account_rows(inputs: ListInputs) -> tuple[AccountRow, ...]:
    """Every account of the run: those to call in their order, then the others by band and value."""
    reasons = _reasons_of(inputs)
    if inputs.planned is None:
        ranked = worklist(
            inputs.scores,
            inputs.drivers,
            inputs.portfolio,
            event=inputs.verb,
            why=inputs.why,
            save_share=inputs.save_share,
        ).sort_values(
            ["priority", "account_id"], ascending=[False, True], kind="stable", ignore_index=True
        )
        to_call = _is_to_call(ranked, reasons)
    else:
        ranked = in_planned_order(inputs.planned)
        to_call = ranked["listed"].isin([ON_LIST, BELOW])
    plan_columns = [name for name in _OF_THE_PLAN if name in ranked]
    place = to_call.cumsum().where(to_call)
    facts = (
        inputs.scores.assign(standing=standing(inputs.scores))
        .merge(
            inputs.portfolio.drop(columns=["as_of", "run_id"], errors="ignore"),
            on="account_id",
            how="left",
        )
        .merge(
            ranked[["account_id", "chance", *plan_columns]].assign(
                place=place, order=range(len(ranked))
            ),
            on="account_id",
            how="left",
        )
    )
    # The short list says what speaks against an account; where the event is wished for, the lines
    # beside it say what speaks for it.
    summaries = {} if is_good_event(inputs.scores) else _summaries(inputs.why)
    at_decision = reads_decisions(inputs.scores)
    rows = [
        _account_row(
            row,
            inputs,
            reasons.get(row["account_id"], ()),
            summaries,
            at_decision=at_decision,
        )
        for row in facts.assign(
            band_order=facts["standing"].map({band: n for n, band in enumerate(_BAND_ORDER)})
        )
        .sort_values(["place", "band_order", "order", "account_id"], na_position="last")
        .to_dict("records")
    ]
    return tuple(rows)


def list_length(rows: Iterable[AccountRow], capacity: int | None) -> int:
    """How many accounts the one list has: as many as the owners' hours reach where plays are
    planned, else as many as the team can take on.
    """
    planned = [row.is_listed for row in rows if row.is_listed is not None]
    if planned:
        return sum(planned)
    return DEFAULT_LENGTH if capacity is None else capacity


def to_call(rows: Iterable[AccountRow]) -> list[AccountRow]:
    """The accounts to work on, the first one first."""
    return [row for row in rows if row.place is not None]


def of_band(rows: Iterable[AccountRow], *bands: str) -> list[AccountRow]:
    """Accounts that lists show in some bands, or as leaving or unknown."""
    return [row for row in rows if row.standing in bands]


def leaving(rows: Iterable[AccountRow]) -> list[AccountRow]:
    """Accounts that gave notice or whose contract ended: the largest value first, then the soonest
    end.
    """
    far = pd.Timestamp.max
    return sorted(
        of_band(rows, LEAVING),
        key=lambda row: (-(row.value or 0.0), row.ends_on or far, row.account_id),
    )


def fallen(rows: Iterable[AccountRow]) -> list[AccountRow]:
    """Accounts whose score fell suddenly, by what is at stake."""
    return sorted(
        (row for row in rows if row.fall is not None),
        key=lambda row: (-(row.at_stake or 0.0), -(row.value or 0.0), row.account_id),
    )


def total(amounts: Iterable[float | None]) -> float | None:
    """Sum of the amounts that are known; None where none is."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known else None


def shown_columns(rows: Sequence[AccountRow]) -> dict[str, bool]:
    """Which columns have anything to say; the others do not stand."""
    return {
        "owner": any(row.owner for row in rows),
        "segment": any(row.segment for row in rows),
        "value": any(row.value is not None for row in rows),
        "ends": any(row.ends_on is not None for row in rows),
        "chance": any(row.chance_words for row in rows),
        "fall": any(row.fall is not None for row in rows),
        "todo": any(row.todo for row in rows),
    }


def _is_to_call(
    ranked: pd.DataFrame, reasons: Mapping[str, Sequence[ListedReason]]
) -> "pd.Series[bool]":
    """At risk (or of high chance) in any case; of the middle band those with a reason; nobody else,
    however much they pay.
    """
    has_reason = ranked["account_id"].isin(list(reasons))
    return ranked["band"].isin(ALARM_BANDS) | (ranked["band"].isin(MIDDLE_BANDS) & has_reason)


def _reasons_of(inputs: ListInputs) -> dict[str, tuple[ListedReason, ...]]:
    """Account -> its two reasons."""
    reasons: dict[str, list[ListedReason]] = {}
    largest = largest_reasons(inputs.drivers, good_event=is_good_event(inputs.scores))
    for row in largest.to_dict("records"):
        compared = None if pd.isna(row["compared"]) else row["compared"]
        reason = ListedReason(int(row["points_displayed"]), row["said"], compared)
        reasons.setdefault(row["account_id"], []).append(reason)
    return {account: tuple(each) for account, each in reasons.items()}


def _summaries(why: pd.DataFrame | None) -> dict[str, list[str]]:
    if why is None:
        return {}
    words = why["reason"].map(lambda reason: REASONS[reason].words)
    grouped = words.groupby(why["account_id"], sort=False)
    return {str(account): list(mine) for account, mine in grouped}


def _account_row(
    row: Mapping[Any, Any],
    inputs: ListInputs,
    reasons: tuple[ListedReason, ...],
    summaries: Mapping[str, list[str]],
    *,
    at_decision: bool,
) -> AccountRow:
    account, band = str(row["account_id"]), str(row["standing"])
    value = None if pd.isna(row["value_per_year"]) else float(row["value_per_year"])
    ends_on = None if pd.isna(row["renewal_date"]) else pd.Timestamp(row["renewal_date"])
    horizon = None if pd.isna(row["horizon_days"]) else int(row["horizon_days"])
    is_ranked = band not in (LEAVING, UNKNOWN)
    health = None if pd.isna(row["health"]) or band == UNKNOWN else int(row["health"])
    timing = timing_words(row["as_of"], row.get("decides_on"), horizon)
    is_later = is_ranked and timing.startswith("cannot leave")
    at = "probability_at_decision" if is_later else "probability"
    chance = float(row[at]) if is_ranked and not pd.isna(row[at]) else None
    return AccountRow(
        account_id=account,
        name=row["name"] if isinstance(row["name"], str) and row["name"] else account,
        owner=_text(row["owner"]) if _text(row["owner"]) != NO_OWNER else "",
        segment=_text(row["segment"]),
        value=value,
        currency=_text(row["currency"]),
        band=_text(row["band"]) if health is not None else "",
        standing=band,
        health=health,
        state=state_words(band, row["band_reason"]),
        chance=chance,
        chance_words=_text(row["chance"]).split(f" {inputs.verb} ")[0],
        chance_note=_chance_note(row, at, is_later=is_later, has_chance=chance is not None),
        is_decided_later=is_later,
        at_stake=None if value is None or chance is None else value * chance,
        ends_on=ends_on,
        timing=timing,
        meaning=(
            sentence_of(
                health,
                inputs.ranges,
                health_horizon_words(horizon, at_decision=at_decision),
                inputs.verb,
            )
            if inputs.ranges and health is not None and is_ranked
            else ""
        ),
        unsure=unsure_band(row, inputs.edges) if is_ranked and "health_low" in row else "",
        summary=tuple(summaries.get(account, ())[:3]) if is_ranked else (),
        reasons=reasons if is_ranked else (),
        fall=None if inputs.fallen is None else inputs.fallen.falls.get(account),
        page=inputs.pages.get(account, ""),
        place=None if pd.isna(row["place"]) else int(row["place"]),
        is_listed=None if inputs.planned is None else row["listed"] == ON_LIST,
        todo=_todo(row) if inputs.planned is not None else "",
        saves=_saves(row) if inputs.planned is not None else None,
    )


def _todo(row: Mapping[Any, Any]) -> str:
    """What the plan says of an account."""
    listed, play = row["listed"], _text(row["play"]).replace("_", " ")
    play = f"{play[:1].upper()}{play[1:]}"
    if listed == ON_LIST:
        due = pd.Timestamp(row["due"])
        return f"{play} by {due.day} {due:%b %Y}"
    if listed == BELOW:
        return f"{play}, once hours are free"
    if listed == LEFT_ALONE:
        return PLEASE_WAIT
    return "Rests after a play" if listed == RESTING else ""


def _saves(row: Mapping[Any, Any]) -> float | None:
    is_told = row["listed"] in (ON_LIST, BELOW) and not pd.isna(row["value_saved"])
    return float(row["value_saved"]) if is_told else None


def _chance_note(row: Mapping[Any, Any], at: str, *, is_later: bool, has_chance: bool) -> str:
    """When it is decided, or how sure the chance is."""
    low, high = row.get(f"{at}_low"), row.get(f"{at}_high")
    if not has_chance or low is None or high is None or pd.isna(low) or pd.isna(high):
        return ""
    span = interval_in_words(low, high)
    if not is_later:
        return span
    ends = pd.Timestamp(row["decides_on"])
    return f"when the contract ends on {ends.day} {ends:%b %Y}; {span}"


def state_words(standing: str, reason: Any) -> str:
    """Why an account is leaving or unknown, as people say it; empty for others."""
    if standing not in (LEAVING, UNKNOWN):
        return ""
    if not isinstance(reason, str) or not reason:
        return NOT_RECORDED
    return _BAND_REASONS.get(reason, reason.replace("_", " "))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
