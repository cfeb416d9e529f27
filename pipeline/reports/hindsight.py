"""Would it have warned you? What untouched test dates said about accounts that later left."""

from dataclasses import dataclass

import pandas as pd

from models.health import decided
from models.intervals import FEWEST_ACCOUNTS, wilson

LEADS = (90, 60, 30)
"""Days before leaving at which the page looks back."""
_ALARM = {"at_risk", "high"}
_CALM = {"healthy", "low"}


@dataclass(frozen=True)
class Look:
    """What was shown some days before an account left; `band` is empty where there was no score
    yet.
    """

    lead_days: int
    days_before: int | None
    health: int | None
    band: str


@dataclass(frozen=True)
class Leaver:
    """An account that left inside the horizon of a test date; `left_at` None: when is not known."""

    account_id: str
    left_at: pd.Timestamp | None
    looks: tuple[Look, ...]
    last_band: str
    """Band on the last test date whose horizon held the departure."""


@dataclass(frozen=True)
class Alarm:
    """An account that was shown red on a test date and did not leave inside the horizon."""

    account_id: str
    as_of: pd.Timestamp
    health: int
    left_at: pd.Timestamp | None
    was_worked_on: bool = False
    """Whether somebody did a play with it after a red score, before its outcome."""


@dataclass(frozen=True)
class Hindsight:
    """All leavers and unconfirmed alarms of the test months, with the counts the page speaks of.

    `alarms` counts accounts ever shown red, `confirmed` those of them that left inside the horizon
    after a red score, `later` those that left after it, `stayed` the others. `untouched` are alarms
    after which nobody worked on the account, `false_alarms` those of them that were not confirmed:
    whether a play kept an account, or a warning was wrong, cannot be told of one.
    """

    leavers: tuple[Leaver, ...]
    warned: dict[int, int]
    scored: dict[int, int]
    missed: int
    alarms: int
    confirmed: int
    later: int
    stayed: int
    untouched: int
    false_alarms: int
    unconfirmed: tuple[Alarm, ...]
    has_dates: bool


def look_back(backtest: pd.DataFrame) -> Hindsight:
    """What the test dates would have shown, account by account.

    Parameters
    ----------
    backtest
        Scores of the untouched test dates: account_id, as_of, label (1 left inside the horizon),
        health, band, left_at (null: did not leave as far as is known), treated (whether somebody
        worked on it before the outcome; null or absent: nobody says).

    Notes
    -----
    The look "about 60 days before" is the latest test date at or before `left_at - 60 days`;
    nothing later is used. `missed` counts leavers that were shown healthy on the last test date
    before they left.
    """
    rows = backtest.sort_values(["account_id", "as_of"], kind="stable")
    events = rows[rows["label"] == 1]
    has_dates = bool(events["left_at"].notna().any()) or events.empty
    # Who left long after the last test date would be looked up far too early, and is nobody's miss.
    left_at = events.groupby("account_id")["left_at"].min()
    gone = rows[rows["account_id"].isin(left_at.index)].groupby("account_id", sort=True)
    leavers = [_leaver(str(account), group, left_at[account]) for account, group in gone]
    leavers.sort(key=lambda one: (one.left_at or pd.Timestamp.max, one.account_id))
    # Where contracts decide, nobody is a false alarm whose contract did not come up.
    red = decided(rows)
    red = red[red["band"].isin(_ALARM)]
    alarms = [
        _alarm(str(account), group) for account, group in red.groupby("account_id", sort=True)
    ]
    unconfirmed = sorted(
        (one for one in alarms if one is not None), key=lambda one: (one.health, one.account_id)
    )
    later = sum(one.left_at is not None for one in unconfirmed)
    return Hindsight(
        leavers=tuple(leavers),
        warned={lead: sum(_look(one, lead).band in _ALARM for one in leavers) for lead in LEADS},
        scored={lead: sum(_look(one, lead).band != "" for one in leavers) for lead in LEADS},
        missed=sum(one.last_band in _CALM for one in leavers),
        alarms=len(alarms),
        confirmed=len(alarms) - len(unconfirmed),
        later=later,
        stayed=len(unconfirmed) - later,
        untouched=len(alarms) - int(_worked_on(red).sum()),
        false_alarms=sum(not one.was_worked_on for one in unconfirmed),
        unconfirmed=tuple(unconfirmed),
        has_dates=has_dates,
    )


def days_of_warning(backtest: pd.DataFrame) -> "pd.Series[float]":
    """Days from the first alarm to the event, per account that had one inside a test window; NaN:
    never an alarm before it.

    Parameters
    ----------
    backtest
        As for `look_back`.
    """
    events = backtest[backtest["label"] == 1].dropna(subset=["left_at"])
    left_at = events.groupby("account_id")["left_at"].min()
    if left_at.empty:
        return pd.Series(dtype="float64")
    alarms = backtest[backtest["band"].isin(_ALARM)]
    before = alarms[alarms["as_of"] <= alarms["account_id"].map(left_at)]
    first = before.groupby("account_id")["as_of"].min()
    return (left_at - first.reindex(left_at.index)).dt.total_seconds() / 86_400.0


def count_of(part: int, whole: int) -> str:
    """`14 of 23`; from thirty on with the percentage, `45 of 60 (75%)`."""
    return f"{part} of {whole}" + (f" ({part / whole:.0%})" if whole >= FEWEST_ACCOUNTS else "")


def interval_of(part: int, whole: int) -> str:
    """`, 95% interval 1% to 30%` of a share of accounts; empty without any."""
    if not whole:
        return ""
    low, high = wilson(part / whole, whole)
    return f", 95% interval {low:.0%} to {high:.0%}"


def _leaver(account: str, group: pd.DataFrame, left_at: pd.Timestamp) -> Leaver:
    last_band = str(group.loc[group["label"] == 1, "band"].iloc[-1])
    if pd.isna(left_at):
        return Leaver(account, None, tuple(Look(lead, None, None, "") for lead in LEADS), last_band)
    return Leaver(
        account, left_at, tuple(_looked(group, left_at, lead) for lead in LEADS), last_band
    )


def _looked(group: pd.DataFrame, left_at: pd.Timestamp, lead: int) -> Look:
    earlier = group[group["as_of"] <= left_at - pd.Timedelta(days=lead)]
    if earlier.empty:
        return Look(lead, None, None, "")
    row = earlier.iloc[-1]
    health = None if pd.isna(row["health"]) else int(row["health"])
    return Look(lead, int((left_at - row["as_of"]).days), health, str(row["band"]))


def _look(leaver: Leaver, lead: int) -> Look:
    return next(look for look in leaver.looks if look.lead_days == lead)


def _alarm(account: str, red: pd.DataFrame) -> Alarm | None:
    """The lowest red score of an account, or None where one of its red scores came true."""
    if (red["label"] == 1).any():
        return None
    worst = red.sort_values(["health", "as_of"], kind="stable").iloc[0]
    left = red["left_at"].dropna()
    return Alarm(
        account,
        pd.Timestamp(worst["as_of"]),
        int(worst["health"]),
        None if left.empty else pd.Timestamp(left.min()),
        bool(_worked_on(red).any()),
    )


def _worked_on(red: pd.DataFrame) -> "pd.Series[bool]":
    """Per account, whether somebody worked on it after one of these scores."""
    if "treated" not in red:
        return pd.Series(False, index=red["account_id"].unique())
    worked = red["treated"].astype("boolean").fillna(False).astype(bool)
    return worked.groupby(red["account_id"]).any()
