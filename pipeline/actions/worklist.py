"""Whom to call first: accounts ranked per owner by the value that may be lost (or won)."""

import csv
from pathlib import Path

import pandas as pd

from features.dimensions.season import DRIVER as SEASON
from features.errors import ContractError
from models.drivers import (
    REASONS,
    REST,
    UNALTERABLE,
    Reason,
    account_chance,
    paragraph,
    reasons_in_words,
    sentence,
)
from models.health.standing import is_member
from models.health.words import is_decided_later, timing_words
from pipeline.edge.text import defused

WORKLIST_COLUMNS = (
    "owner",
    "rank",
    "account_id",
    "name",
    "segment",
    "value_per_year",
    "currency",
    "renewal_date",
    "health",
    "band",
    "probability",
    "value_at_risk",
    "priority",
    "chance",
    "reason_1",
    "reason_2",
    "why",
    "paragraph",
)
NO_OWNER = "no owner"
IF_MISSED, OF_CONTACT = "cost_if_missed", "cost_of_contact"
"""Columns of the portfolio where accounts have costs of their own."""
GOOD_BANDS = ("low", "medium", "high")


def worklist(
    scores: pd.DataFrame,
    drivers: pd.DataFrame,
    portfolio: pd.DataFrame,
    *,
    event: str = "leave",
    why: pd.DataFrame | None = None,
    save_share: float | None = None,
    less_contact: bool = True,
) -> pd.DataFrame:
    """Accounts to work on, ranked inside each owner's portfolio.

    Only members are ranked: accounts under notice, or lapsed, are decided, and unknown ones have no
    score. An account without a value is ranked as if it had the median value, and its own stays
    empty.

    Parameters
    ----------
    scores, drivers, portfolio
        Published rows of one run.
    event
        What accounts do, as a verb ("leave", "expand").
    why
        Reasons of the short list per account (`models.drivers.account_reasons`); None: not told.
    save_share
        Share of `cost_if_missed` that acting saves; None: all of it.
    less_contact
        Whether what acting costs is taken off the priority; plays count it themselves.

    Returns
    -------
    DataFrame
        owner; rank (1 is first, per owner); account_id; name; segment; value_per_year; currency;
        renewal_date; health; band; probability; value_at_risk (value x probability; null on a
        scorecard); priority (what the rank sorts by: value_at_risk; where the contract ends after
        the horizon value x the chance then x horizon / days to the end; on a scorecard value x
        share of accounts that score better; where the portfolio has costs, `cost_if_missed` in
        place of the value, less `cost_of_contact`, the middle one where unknown); chance (in
        words: within the horizon, or when the contract ends); reason_1, reason_2 (the two signals
        that move the account most towards the event, in words; empty where there is none); why
        (reasons of the short list; without any, accounts at risk are `not explained`; empty for
        good events and where none were given);
        paragraph (ready for a mail; accounts at risk only).

    Raises
    ------
    ContractError
        The scores are of several runs, or an account appears twice.
    """
    _refuse_several_runs(scores)
    ranked = scores[is_member(scores)].merge(
        portfolio.drop(columns=["as_of", "run_id"], errors="ignore"),
        on="account_id",
        how="left",
        validate="1:1",
    )
    value = ranked["value_per_year"].astype(float)
    assumed = value.fillna(value.median() if value.notna().any() else 1.0)
    probability = ranked["probability"].astype(float)
    ranked["value_at_risk"] = value * probability
    ranked["is_decided_later"] = [
        is_decided_later(*each)
        for each in ranked.reindex(columns=["as_of", "decides_on", "horizon_days"]).itertuples(
            index=False
        )
    ]
    ranked["priority"] = assumed * _weight(ranked).fillna(_share_scoring_better(ranked))
    if not is_good_event(scores) and probability.notna().any():
        ranked["priority"] = _by_costs(ranked, save_share, less_contact)
    ranked["owner"] = ranked["owner"].fillna(NO_OWNER).replace("", NO_OWNER)
    ranked["name"] = ranked["name"].fillna(ranked["account_id"])
    ranked["chance"] = _chances(ranked, event)
    reasons = _two_reasons(drivers, good_event=is_good_event(scores))
    ranked = ranked.merge(reasons, left_on="account_id", right_index=True, how="left")
    ranked[["reason_1", "reason_2"]] = ranked[["reason_1", "reason_2"]].fillna("")
    ranked["why"] = _why(ranked, why)
    ranked["paragraph"] = _paragraphs(ranked, drivers, why)
    ranked = ranked.sort_values(
        ["owner", "priority", "account_id"], ascending=[True, False, True], kind="stable"
    )
    ranked["rank"] = ranked.groupby("owner").cumcount() + 1
    return ranked[list(WORKLIST_COLUMNS)].reset_index(drop=True)


def _by_costs(
    ranked: pd.DataFrame, save_share: float | None, less_contact: bool
) -> "pd.Series[float]":
    """The priority where accounts have costs of their own; else as it is."""
    priority = ranked["priority"].astype(float)
    if IF_MISSED in ranked and ranked[IF_MISSED].notna().any():
        lost = ranked[IF_MISSED].astype(float)
        priority = lost.fillna(lost.median()) * _weight(ranked)
    if less_contact and OF_CONTACT in ranked and ranked[OF_CONTACT].notna().any():
        cost = ranked[OF_CONTACT].astype(float)
        kept = 1.0 if save_share is None else save_share
        priority = priority * kept - cost.fillna(cost.median())
    return priority


def _days_to_end(ranked: pd.DataFrame) -> "pd.Series[float]":
    """Days to the contract's end where health is read there; null elsewhere."""
    facts = ranked.reindex(columns=["as_of", "decides_on"])
    days = (pd.to_datetime(facts["decides_on"]) - pd.to_datetime(facts["as_of"])).dt.days
    return days.astype(float)


def _weight(ranked: pd.DataFrame) -> "pd.Series[float]":
    """What an account's value counts with: its chance within the horizon; where the contract ends
    later, its chance then, times the horizon over the days until then.

    There is more time to save what is decided later, and more will be known: at twice the horizon
    it counts half. Null on a scorecard.
    """
    probability = ranked["probability"].astype(float)
    later = ranked["is_decided_later"]
    if not later.any():
        return probability
    then = ranked["probability_at_decision"].astype(float)
    nearness = ranked["horizon_days"].astype(float) / _days_to_end(ranked)
    return probability.where(~later, then * nearness)


def largest_reasons(
    drivers: pd.DataFrame, *, good_event: bool = False, most: int = 2
) -> pd.DataFrame:
    """Rows of `drivers` that move each account most towards the event, largest first; `place`
    counts from 1.

    Towards leaving is down (points below 0), towards a good event up. Rests are no reasons, nor is
    what shows 0 points. Nor are facts of who they are and when their contract ends: nobody can do
    anything about them. A reason to call argues for its points: its value is worse than among
    others, or has become worse.
    """
    towards = drivers["points_displayed"].astype(int) * (1 if good_event else -1)
    is_told = ~drivers["driver"].isin((REST, SEASON)) & ~drivers["nature"].isin(UNALTERABLE)
    if not good_event:
        # Rows of runs before version 0.2 name no signal, and keep what they compare in `said`.
        argues = drivers[["reason", "compared"]].notna().any(axis=1)
        is_told &= argues | drivers["signal"].isna()
    real = drivers[is_told & (towards > 0)].assign(size=drivers["points"].abs())
    real = real.sort_values(
        ["account_id", "size", "driver"], ascending=[True, False, True], kind="stable"
    )
    real["place"] = real.groupby("account_id").cumcount() + 1
    return real[real["place"] <= most].drop(columns="size")


def _why(ranked: pd.DataFrame, why: pd.DataFrame | None) -> list[str]:
    """Reasons in words, the heaviest first."""
    if why is None or is_good_event(ranked):
        return [""] * len(ranked)
    by_account = why.groupby("account_id", sort=False)["reason"].agg(list).to_dict()
    # That nothing is found matters where something is wrong.
    return [
        (
            reasons_in_words(by_account.get(account, []))
            if account in by_account or band == "at_risk"
            else ""
        )
        for account, band in zip(ranked["account_id"], ranked["band"], strict=True)
    ]


def _paragraphs(ranked: pd.DataFrame, drivers: pd.DataFrame, why: pd.DataFrame | None) -> list[str]:
    """What `tenure explain --paragraph` says, without what holds the score up; empty for accounts
    that are not at risk.
    """
    is_red = ranked["band"] == "at_risk"
    first = (
        {}
        if why is None
        else dict(why.drop_duplicates("account_id")[["account_id", "reason"]].to_numpy().tolist())
    )
    mine = largest_reasons(
        drivers[drivers["account_id"].isin(set(ranked.loc[is_red, "account_id"]))]
    )
    reasons_of: dict[str, list[Reason]] = {}
    for row in mine.to_dict("records"):
        reasons_of.setdefault(row["account_id"], []).append(
            Reason(int(row["points_displayed"]), sentence(row["said"], row["compared"]))
        )
    return [
        (
            paragraph(
                str(row["name"]),
                int(row["health"]),
                row["band"],
                row["chance"],
                reasons_of.get(row["account_id"], []),
                timing=timing_words(row["as_of"], row.get("decides_on"), row["horizon_days"]),
                why=row["why"],
                advice=(
                    REASONS[first[row["account_id"]]].advice if row["account_id"] in first else ""
                ),
            )
            if red
            else ""
        )
        for row, red in zip(ranked.to_dict("records"), is_red, strict=True)
    ]


def _two_reasons(drivers: pd.DataFrame, *, good_event: bool) -> pd.DataFrame:
    """Columns reason_1 and reason_2, words with their points; index account_id."""
    real = largest_reasons(drivers, good_event=good_event)
    # Mapping no rows at all leaves them whole numbers.
    text = [
        f"{sentence(said, compared)} ({points:+d})"
        for said, compared, points in zip(
            real["said"], real["compared"], real["points_displayed"].astype(int), strict=True
        )
    ]
    real = real.assign(text=pd.Series(text, index=real.index, dtype="str"))
    firsts = {
        f"reason_{place}": real[real["place"] == place].set_index("account_id")["text"]
        for place in (1, 2)
    }
    return pd.DataFrame(firsts, columns=["reason_1", "reason_2"])


def is_good_event(scores: pd.DataFrame) -> bool:
    """Is the target one we want (bands low, medium, high)?"""
    return bool(scores["band"].isin(GOOD_BANDS).any())


def write_worklist_csv(ranked: pd.DataFrame, path: Path) -> None:
    """Write a worklist for a spreadsheet: UTF-8 with mark, all text quoted, formulas defused.

    Text that a spreadsheet would run (`=1+1`, `-2`, `@SUM`) starts with an apostrophe, identifiers
    too; numbers stay numbers. Quotes keep a `;` inside a name from opening a cell of its own.
    """
    safe = ranked.copy()
    for column in safe.columns[safe.dtypes.map(_is_text)]:
        safe[column] = safe[column].map(defused, na_action="ignore")
    safe.columns = [str(defused(name)) for name in safe.columns]
    safe.to_csv(
        path,
        index=False,
        encoding="utf-8-sig",
        quoting=csv.QUOTE_NONNUMERIC,
        date_format="%Y-%m-%d",
    )


def _is_text(dtype: object) -> bool:
    return not (
        pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_datetime64_any_dtype(dtype)  # type: ignore[arg-type]
    )


def _share_scoring_better(ranked: pd.DataFrame) -> pd.Series:
    """Share of accounts with a better score (0-1), for a scorecard, which has no probability."""
    ranks = ranked["health"].astype(float).rank(method="average")
    if is_good_event(ranked):
        return (ranks - 1) / max(len(ranked), 1)
    return (len(ranked) - ranks) / max(len(ranked), 1)


def _chances(ranked: pd.DataFrame, event: str) -> list[str]:
    at_decision = ranked.reindex(columns=["probability_at_decision"])["probability_at_decision"]
    return [
        account_chance(
            now, None if pd.isna(days) else int(days), then, is_later=is_later, event=event
        )
        for now, days, then, is_later in zip(
            ranked["probability"].astype(float),
            ranked["horizon_days"],
            at_decision.astype(float),
            ranked["is_decided_later"],
            strict=True,
        )
    ]


def _refuse_several_runs(scores: pd.DataFrame) -> None:
    if scores["run_id"].nunique() > 1:
        raise ContractError(
            f"scores of {scores['run_id'].nunique()} runs were given. Join `runs` and take the"
            " latest published one."
        )
    if scores["account_id"].duplicated().any():
        twice = scores.loc[scores["account_id"].duplicated(), "account_id"].iloc[0]
        raise ContractError(
            f"account {twice!r} is scored twice in one run. Pass one target and horizon."
        )
