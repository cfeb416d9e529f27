"""Owners on the accounts they have: the funnel is honest, and a bad one is found."""

import numpy as np
import pandas as pd
import pytest

from models.peers import chance_limits, compare_peers, independent_rows


def owners(seed: int, *, bad: float = 1.0, count: int = 20, each: int = 60) -> pd.DataFrame:
    """Owners with unequally risky accounts; of O00 leave `bad` times as many as expected."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(count), each)
    chance = np.clip(rng.beta(1, 12, count * each) * (0.5 + owner / count), 0.002, 0.6)
    truth = np.clip(np.where(owner == 0, bad, 1.0) * chance, 0, 1)
    return pd.DataFrame(
        {
            "group": [f"O{each:02d}" for each in owner],
            "probability": chance,
            "label": (rng.random(len(chance)) < truth).astype(int),
        }
    )


def test_at_most_one_in_twenty_is_flagged_where_all_are_alike() -> None:
    flagged = [
        peer.standing != "as expected" for seed in range(40) for peer in compare_peers(owners(seed))
    ]
    assert np.mean(flagged) <= 0.05


def test_a_planted_bad_owner_is_found() -> None:
    found = 0
    for seed in range(20):
        peers = {peer.group: peer for peer in compare_peers(owners(seed, bad=4.0, each=120))}
        found += peers["O00"].standing == "more"
    assert found >= 18


def test_risky_accounts_are_no_bad_mark() -> None:
    """Twice the leavers of another owner, of accounts twice as risky."""
    rows = pd.DataFrame(
        {
            "group": ["a"] * 100 + ["b"] * 100,
            "probability": [0.1] * 100 + [0.2] * 100,
            "label": [1] * 10 + [0] * 90 + [1] * 20 + [0] * 80,
        }
    )
    assert {peer.standing for peer in compare_peers(rows)} == {"as expected"}
    assert [peer.ratio for peer in compare_peers(rows)] == pytest.approx([1.0, 1.0], abs=0.01)


def test_few_accounts_are_pulled_towards_the_others() -> None:
    rows = pd.concat(
        [
            owners(1, each=200),
            pd.DataFrame({"group": "new", "probability": [0.1] * 3, "label": [1, 1, 0]}),
        ]
    )
    newest = next(peer for peer in compare_peers(rows) if peer.group == "new")
    assert newest.left / newest.expected > 5 and newest.ratio < 2


def test_limits_are_those_of_unequal_coins() -> None:
    assert chance_limits([0.5]) == (0, 1)
    assert chance_limits([1.0, 1.0, 0.0]) == (2, 2)
    assert compare_peers(pd.DataFrame(columns=["group", "probability", "label"])) == ()


def test_windows_of_one_account_do_not_overlap() -> None:
    days = pd.to_datetime(["2025-01-01", "2025-02-01", "2025-04-05"])
    rows = pd.DataFrame({"account_id": "A", "as_of": days})
    assert independent_rows(rows, 90)["as_of"].tolist() == [days[2], days[0]]
