"""The onboarding funnel: in time, late, never, and who left, counted by hand."""

import pandas as pd
import pytest

from models.funnel import onboarding_steps

DAY = pd.Timestamp("2025-01-01")


def rows(step: str, due: int, *reached: int | None, labels: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "milestone": step,
            "assigned_at": DAY,
            "due_at": DAY + pd.Timedelta(days=due),
            "reached_at": [
                pd.NaT if each is None else DAY + pd.Timedelta(days=each) for each in reached
            ],
            "label": labels,
        }
    )


def test_a_table_worked_by_hand() -> None:
    """On the day it is due is in time; an outcome not known counts nowhere."""
    steps = onboarding_steps(
        pd.concat(
            [
                rows("import", 20, 10, 20, 21, None, labels=[0, 1, 1, float("nan")]),
                rows("kickoff", 7, 1, labels=[0]),
            ]
        )
    )
    assert [step.name for step in steps] == ["kickoff", "import"]
    late = steps[1]
    assert (late.accounts, late.in_time, late.late, late.never) == (4, 2, 1, 1)
    assert (late.left_in_time, late.left_missed) == pytest.approx((0.5, 1.0))
    assert not late.tells and steps[0].left_missed != steps[0].left_missed


def test_a_step_tells_where_more_leave_than_chance_gives() -> None:
    many = rows(
        "import",
        20,
        *[10] * 200,
        *[None] * 100,
        labels=[0.0] * 190 + [1.0] * 10 + [1.0] * 30 + [0.0] * 70,
    )
    assert onboarding_steps(many)[0].tells
