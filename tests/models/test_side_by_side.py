"""Two scores of the same accounts: which was right, on worked numbers and in worlds with a known
answer.
"""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from models.side_by_side import EVEN, OURS, THEIRS, TOO_FEW, judge


def _world(seed: int, ours_noise: float, theirs_noise: float, **more: Any) -> pd.DataFrame:
    """400 accounts on two dates, an account's chance of leaving seen through noise by two scores."""
    rng = np.random.default_rng(seed)
    count = 400
    truth = np.repeat(rng.normal(-2.0, 1.5, count), 2)
    label = (rng.random(2 * count) < 1 / (1 + np.exp(-truth))).astype(float)
    return pd.DataFrame(
        {
            "account_id": np.repeat([f"A{n}" for n in range(count)], 2),
            "as_of": np.tile(pd.to_datetime(["2025-01-05", "2025-02-02"]), count),
            "label": label,
            "ours": truth + rng.normal(0, ours_noise, 2 * count),
            "theirs": truth + rng.normal(0, theirs_noise, 2 * count),
            **more,
        }
    )


def test_the_lists_of_both_are_counted_by_hand() -> None:
    rows = pd.DataFrame(
        {
            "account_id": list("abcd") * 2,
            "as_of": pd.to_datetime(["2025-01-05"] * 4 + ["2025-02-02"] * 4),
            "label": [1.0, 0, 0, 0, 1, 1, 0, 0],
            "ours": [0.9, 0.1, 0.2, 0.3, 0.8, 0.9, 0.1, 0.2],
            "theirs": [1.0, 9.0, 8.0, 2.0, 5.0, 5.0, 5.0, 5.0],
        }
    )
    told = judge(rows, capacity=2)
    # Ours calls a, d and then b, a; theirs b, c and, all equal, a, b.
    assert (told.listed, told.ours_caught, told.theirs_caught) == (4, 3, 2)
    assert told.verdict == TOO_FEW and np.isnan(told.ours_auc)


@pytest.mark.parametrize(
    ("noise", "verdict"), [((0.2, 5.0), OURS), ((5.0, 0.2), THEIRS), ((1.0, 1.0), EVEN)]
)
def test_the_score_that_sees_more_is_found_and_equal_ones_are_even(
    noise: tuple[float, float], verdict: str
) -> None:
    told = judge(_world(3, *noise), capacity=40)
    assert told.verdict == verdict
    assert told.auc.low <= told.ours_auc - told.theirs_auc <= told.auc.high
    assert told.caught.value == told.ours_caught - told.theirs_caught


def test_equal_scores_are_told_apart_in_one_world_of_twenty() -> None:
    verdicts = [judge(_world(seed, 1.0, 1.0), capacity=40).verdict for seed in range(60)]
    # 5% are expected; more than eight of sixty would come about once in 500 times.
    assert sum(verdict != EVEN for verdict in verdicts) <= 8


def test_of_two_probabilities_the_log_loss_decides() -> None:
    rows = _world(3, 0.5, 0.5)
    chance = 1 / (1 + np.exp(-rows["ours"]))
    # The same order, and three times too bold.
    bold = 1 / (1 + np.exp(-3 * rows["ours"]))
    rows = rows.assign(theirs=rows["ours"], ours_probability=chance, theirs_probability=bold)
    told = judge(rows, capacity=40)
    assert told.auc.value == 0 and told.verdict == OURS
    assert told.log_loss is not None and told.log_loss.high < 0
