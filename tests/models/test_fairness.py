"""Segments: a gap is found where there is one, named, and never invented from a handful of
leavers.
"""

import numpy as np
import pandas as pd

from models.fairness import by_segment, worst
from models.gates import fair


def _portfolio(
    off: float, rows: int = 4_000
) -> tuple[np.ndarray, np.ndarray, pd.Series, list[str]]:
    """Two large segments and a tiny one; the rate of `smb` is `off` above what is said."""
    generator = np.random.default_rng(3)
    probability = generator.uniform(0.05, 0.25, rows)
    segment = np.where(np.arange(rows) % 2 == 0, "smb", "enterprise")
    segment[:40] = "public"
    truth = probability + np.where(segment == "smb", off, 0.0)
    labels = (generator.random(rows) < truth).astype(np.int8)
    return labels, probability, pd.Series([f"a{n}" for n in range(rows)]), segment.tolist()


def test_calibrated_segments_pass_and_small_ones_are_not_judged() -> None:
    checks = by_segment(*_portfolio(0.0))
    assert [each.segment for each in checks] == ["enterprise", "smb", "public"]
    assert not any(each.is_off for each in checks)
    assert checks[2].gap_low is None and checks[2].n == 40
    gate = fair(checks)
    assert gate.verdict == "passed" and "2 of 3 segments" in gate.reason


def test_segment_whose_rate_is_far_off_stops_the_model_by_name() -> None:
    checks = by_segment(*_portfolio(0.12))
    assert worst(checks).segment == "smb" and worst(checks).is_off and worst(checks).gap < -0.08
    gate = fair(checks)
    assert not gate.passed and "smb" in gate.reason


def test_rows_of_one_account_count_once() -> None:
    """Forty rows of two leaving accounts say no more than two accounts do."""
    labels = np.tile([1, 1, 0, 0], 20).astype(np.int8)
    accounts = pd.Series(np.tile(["a", "b", "c", "d"], 20))
    checks = by_segment(labels, np.full(80, 0.1), accounts, ["x"] * 80)
    assert checks[0].leaving_accounts == 2 and not checks[0].is_judged
    assert fair(checks).passed and fair(checks).verdict == "not applicable"


def test_accounts_without_a_segment_are_a_segment() -> None:
    labels, probability, accounts, _ = _portfolio(0.0, 400)
    assert [each.segment for each in by_segment(labels, probability, accounts, [None] * 400)] == [
        "(none)"
    ]


def test_a_segment_whose_accounts_are_not_told_apart_is_seen_by_its_error() -> None:
    """Everybody of `smb` is given its rate; `enterprise` is told apart. Both are calibrated."""
    labels, probability, accounts, segments = _portfolio(0.0, 8_000)
    smb = np.array(segments) == "smb"
    flat = np.where(smb, probability[smb].mean(), probability)
    found = {each.segment: each for each in by_segment(labels, flat, accounts, segments)}
    assert not any(each.is_off for each in found.values())
    assert (
        found["enterprise"].gain_high < 0.0 < found["smb"].gain_high
        and abs(found["smb"].gain) < 1e-3
    )
    expected = -(labels[smb] * np.log(flat[smb]) + (1 - labels[smb]) * np.log(1 - flat[smb])).mean()
    assert abs(found["smb"].error - expected) < 1e-12
    assert found["public"].gain_low is None and np.isfinite(found["public"].gain)
