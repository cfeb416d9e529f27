"""Use that falls or grows by script moves the score itself: twins of accounts in mid-score, one use
changed, one not.
"""

import numpy as np
import pandas as pd
import pytest
from small_company import Company

WEEKS = 13
TWINS = 8
SCRIPTS = ("steady", "decline", "ramp")


def scripted(usage: pd.DataFrame, as_of: pd.Timestamp, script: str) -> pd.DataFrame:
    """An account's events; over the last 13 weeks they fade evenly to none, or grow evenly to three
    times as many.
    """
    if script == "steady":
        return usage
    weeks_ago = (as_of - usage["event_time"]) // pd.Timedelta(days=7)
    share = (1 - weeks_ago / WEEKS).clip(lower=0)  # 0 until then, 1 in the last week
    turn = np.random.default_rng(5).random(len(usage))
    if script == "decline":
        return usage[turn >= share]
    # More days and more people: each copy is somebody else's, a day away.
    copies = [
        usage[turn < share].assign(
            event_time=usage["event_time"] + shift,
            known_at=usage["known_at"] + shift,
            user_id=usage["user_id"] + f"{shift.days:+d}",
            session_id=usage["session_id"] + f"{shift.days:+d}",
        )
        for shift in (pd.Timedelta(days=1), pd.Timedelta(days=-1))
    ]
    return pd.concat(
        [usage, *(copy[copy["known_at"] < as_of] for copy in copies)], ignore_index=True
    )


def add_twins(company: Company, accounts: list[str], as_of: pd.Timestamp) -> None:
    """Three more of each account, equal in every table; the use of two of them is rewritten."""
    for path in sorted((company.folder / "data").glob("*.parquet")):
        table = company.table(path.stem)
        twins = [table]
        for account in accounts:
            mine = table[table["account_id"] == account]
            for script in SCRIPTS:
                rows = scripted(mine, as_of, script) if path.stem == "usage_events" else mine
                # Rows of one key would be versions of each other.
                keys = {"row_key": rows["row_key"] + f"-{script}"} if "row_key" in rows else {}
                twins.append(rows.assign(account_id=f"{account}-{script}", **keys))
        company.replace_table(path.stem, pd.concat(twins, ignore_index=True))


def test_a_scripted_decline_lowers_the_score_and_a_ramp_raises_it(company_copy: Company) -> None:
    before = company_copy.published("scores").dropna(subset=["health_exact"])
    as_of = before["as_of"].iloc[0]
    usage = company_copy.table("usage_events")
    lately = (
        usage[usage["event_time"] >= as_of - pd.Timedelta(days=7 * WEEKS)]
        .groupby("account_id")
        .size()
    )
    users = before[before["account_id"].map(lately).fillna(0) >= 5 * WEEKS]
    middle = users.assign(away=(users["health_exact"] - 55).abs()).sort_values(
        ["away", "account_id"]
    )["account_id"][:TWINS]
    add_twins(company_copy, middle.tolist(), as_of)

    scored = company_copy.score().scores.set_index("account_id")["health_exact"]
    steady, decline, ramp = (scored[middle + f"-{script}"].to_numpy() for script in SCRIPTS)
    # The twin is the account: what follows is the script's doing alone.
    assert len(middle) == TWINS and steady == pytest.approx(scored[middle].to_numpy())
    assert (decline < steady).all() and (decline - steady).mean() < -3
    # Thirty trees of a small company know only so many levels of use, so a ramp need not lift
    # everybody.
    assert (ramp >= steady).all() and (ramp > steady).sum() >= 2 and (ramp - steady).mean() > 0.3
