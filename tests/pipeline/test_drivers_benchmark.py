"""The benchmark of reasons against planted troubles: what counts as found, and what chance would
find.
"""

import pandas as pd

from benchmarks.drivers import TRACES, _first, _recovered, _stability
from models.drivers import REASONS
from pipeline.simulate.truth import TROUBLES


class Rows:
    """As much of a training set as is asked."""

    def __init__(self, keys):
        self.keys = keys

    def __len__(self):
        return len(self.keys)


def reasons_of(*rows):
    return pd.DataFrame(rows, columns=["account_id", "reason", "points"])


def test_traces_name_planted_troubles_and_reasons_of_the_list():
    assert set(TRACES) == set(TROUBLES) - {"unobserved"}
    assert set().union(*TRACES.values()) <= set(REASONS)


def test_first_three_leave_the_calendar_aside():
    reasons = reasons_of(
        *[
            ("000000", reason, -9.0)
            for reason in ("renewal_near", "price", "low_use", "payment", "unhappy")
        ]
    )
    assert _first(reasons, 2) == [["price", "low_use", "payment"], []]


def test_recovered_counts_rows_with_a_trouble_and_chance_asks_other_accounts():
    truth = pd.DataFrame(False, index=range(3), columns=[*TRACES, "unobserved"])
    truth.loc[0, "price_rise"] = truth.loc[1, "champion_lost"] = truth.loc[2, "unobserved"] = True
    rows = Rows(pd.DataFrame({"account_id": ["A", "B", "C"]}))
    found = _recovered(
        rows, reasons_of(("000000", "price", -5.0), ("000001", "low_use", -5.0)), truth
    )
    assert (found["with_trouble"], found["recovered"], found["by_chance"]) == (2, 0.5, 0.0)
    assert found["troubles"]["price_rise"] == {"rows": 1, "recovered": 1.0}
    assert found["troubles"]["bug_trouble"] == {"rows": 0, "recovered": None}


def test_stability_compares_the_first_three_of_two_seeds():
    one = reasons_of(
        ("000000", "price", -5.0), ("000000", "low_use", -3.0), ("000001", "payment", -3.0)
    )
    two = reasons_of(("000000", "low_use", -5.0), ("000001", "payment", -3.0))
    assert _stability(one, two, 2) == {"stable_overlap": 0.75, "first_reason_kept": 0.5}
