"""Pulse and model: when they disagree, who was right, what the pulse weighs; no opinion is never a
good one.
"""

import numpy as np
import pandas as pd
import pytest

from features.definition import Signal
from models.pulse import (
    MODEL_WARNS,
    PULSE_WARNS,
    disagreement,
    opinion,
    pulse_signals,
    verdicts,
    weight,
)


@pytest.mark.parametrize(
    ("pulse", "status", "band", "wanted"),
    [
        (4, "current", "at_risk", MODEL_WARNS),
        (5, "current", "at_risk", MODEL_WARNS),
        (3, "current", "at_risk", ""),
        (5, "expired", "at_risk", ""),
        (5, "old", "at_risk", ""),
        (np.nan, "never", "at_risk", ""),
        (5, "current", "stable", ""),
        (2, "current", "healthy", PULSE_WARNS),
        (1, "expired", "healthy", ""),
        (2, "current", "stable", ""),
        (5, "current", "leaving", ""),
        (1, "current", "unknown", ""),
        (2, "current", "at_risk", ""),
        (4, "current", "healthy", ""),
    ],
)
def test_disagreement_needs_a_pulse_that_counts(pulse, status, band, wanted):
    said = opinion(pd.Series([pulse], dtype=float), pd.Series([status]))
    assert disagreement(said, pd.Series([band])).tolist() == [wanted]


def scores_of(*groups):
    """Rows of (count, pulse, status, band, left, probability); every row an account of its own."""
    rows = [
        (p, s, b, left, chance) for count, p, s, b, left, chance in groups for _ in range(count)
    ]
    table = pd.DataFrame(rows, columns=["pulse", "status", "band", "label", "probability"])
    return table.assign(
        account_id=[f"A{i}" for i in range(len(table))],
        treated=pd.Series(False, table.index, dtype="boolean"),
    )


def test_who_was_right_is_counted_by_hand():
    rows = scores_of(
        (3, 5.0, "current", "at_risk", 1, 0.2),
        (7, 4.0, "current", "at_risk", 0, 0.1),
        (40, 4.0, "current", "healthy", 0, 0.01),
        (10, 5.0, "current", "stable", 1, 0.05),
        (5, 5.0, "expired", "at_risk", 1, 0.3),
        (2, 1.0, "current", "healthy", 1, 0.01),
    )
    model, pulse = verdicts(rows)
    assert (model.kind, model.scores, model.left, model.model_right, model.pulse_right) == (
        MODEL_WARNS,
        10,
        3,
        3,
        7,
    )
    assert (
        model.promised == pytest.approx(0.13)
        and model.others == 50
        and model.others_left == pytest.approx(0.2)
    )
    assert model.share_right(model.model_right) is None  # under thirty accounts: counts only
    assert (pulse.kind, pulse.scores, pulse.left, pulse.model_right, pulse.pulse_right) == (
        PULSE_WARNS,
        2,
        2,
        0,
        2,
    )


def test_shares_have_intervals_for_accounts_not_for_scores():
    rows = scores_of((40, 2.0, "current", "healthy", 0, 0.01))
    once = verdicts(rows)[1]
    three_dates = verdicts(pd.concat([rows] * 3, ignore_index=True))[1]
    assert once.share_right(40) == pytest.approx(three_dates.share_right(120))
    assert three_dates.scores == 120 and three_dates.accounts == 40
    assert once.left_share == 0.0 and once.left_high == pytest.approx(0.088, abs=1e-3)


def test_no_record_of_plays_is_unknown_not_none_played():
    rows = scores_of((3, 5.0, "current", "at_risk", 1, 0.2))
    assert verdicts(rows)[0].treated == 0
    assert verdicts(rows.assign(treated=pd.Series([None] * 3, dtype="boolean")))[0].treated is None


def test_weight_by_hand():
    found = weight(
        np.array([-2.0, 0.5, 0.0]),
        np.array([10.0, 5.0, 5.0]),
        np.array(["at_risk", "stable", "stable"]),
        np.array(["stable", "stable", "stable"]),
        2,
    )
    assert (found.accounts, found.signals, found.felt, found.bands_moved) == (3, 2, 1, 1)
    assert found.mean_size == pytest.approx(2.5 / 3) and found.share == pytest.approx(2.5 / 20)
    assert (found.largest_down, found.largest_up) == (-2.0, 0.5)


def test_pulse_signals_are_known_by_what_they_read():
    note = {"source": "notes", "contract": "csm_notes"}
    cards = {
        "pulse": {**note, "state": "max(t.pulse)"},
        "pulse_mean_364d": {**note, "measure": "mean", "number": "pulse"},
        "pulse_trend": {"numerator": {**note, "state": "max(t.pulse)"}, "divisor": {}},
        "note_tone_91d": {**note, "number": "text_sentiment"},
        "pulse_of_others": {"source": "devices", "number": "pulse"},
    }
    signals = [
        Signal(name, name, "relationship", "notes", "", "rating", "{value}", definition=d)
        for name, d in cards.items()
    ]
    assert pulse_signals(signals, "notes").tolist() == [True, True, True, False, False]
