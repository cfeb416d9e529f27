"""State beside band, also of runs that told the one in the place of the other."""

import numpy as np
import pandas as pd
import pytest

from models.health.standing import is_leaving, is_member, standing, standing_of, with_state

NOW = pd.DataFrame(
    {
        "health": [20, 55, 90, 32, np.nan, np.nan],
        "band": ["at_risk", "stable", "healthy", "at_risk", None, None],
        "band_reason": [None, None, None, "notice", "lapsed", "no data"],
        "state": ["member", "member", "member", "notice", "lapsed", "unknown"],
    }
)
SHOWN = ["at_risk", "stable", "healthy", "leaving", "leaving", "unknown"]
# As version 0.2 published the same accounts.
BEFORE = NOW.drop(columns="state").assign(band=SHOWN)


@pytest.mark.parametrize("scores", [NOW, BEFORE, BEFORE.assign(state=None), NOW.assign(band=SHOWN)])
def test_state_is_told_whichever_release_published(scores: pd.DataFrame) -> None:
    read = with_state(scores)
    assert read["state"].tolist() == NOW["state"].tolist()
    assert read["band"].tolist()[:3] == NOW["band"].tolist()[:3]
    assert set(read["band"].dropna()) == {"at_risk", "stable", "healthy"}
    assert standing(scores).tolist() == SHOWN
    assert [standing_of(row) for row in scores.to_dict("records")] == SHOWN
    assert is_member(scores).tolist() == [True] * 3 + [False] * 3
    assert is_leaving(scores).tolist() == [False] * 3 + [True, True, False]


def test_a_band_that_was_not_kept_is_not_made_up() -> None:
    assert with_state(BEFORE)["band"].isna().tolist() == [False] * 3 + [True] * 3
    assert with_state(NOW)["band"].tolist()[3] == "at_risk"
