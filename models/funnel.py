"""Onboarding as a funnel: how many reach each step in time, and how many leave of those who do not.

It is no effect: who misses a step is often in trouble already. It says where to look.
"""

from dataclasses import dataclass

import pandas as pd

from models.intervals import wilson


@dataclass(frozen=True)
class OnboardingStep:
    """One step of onboarding, among accounts that were still customers when it was due.

    Shares of leavers are of those with a known outcome, with Wilson intervals.
    """

    name: str
    due_after_days: int
    """Median days from its start until it is due."""
    accounts: int
    in_time: int
    late: int
    """Reached after it was due."""
    never: int
    left_in_time: float
    left_in_time_low: float
    left_in_time_high: float
    left_missed: float
    left_missed_low: float
    left_missed_high: float
    """Of those who had not reached it when it was due."""

    @property
    def tells(self) -> bool:
        """Whether those who missed it leave more often, by more than chance."""
        return self.left_missed_low > self.left_in_time_high


def onboarding_steps(rows: pd.DataFrame) -> tuple[OnboardingStep, ...]:
    """The steps in the order in which they are due.

    Parameters
    ----------
    rows
        One line per account and step that was due: milestone, assigned_at, due_at, reached_at
        (null: never), label (1 left within the horizon from the due date on; null: not known).
    """
    steps = [_step(str(name), part) for name, part in rows.groupby("milestone", sort=True)]
    return tuple(sorted(steps, key=lambda step: (step.due_after_days, step.name)))


def _step(name: str, rows: pd.DataFrame) -> OnboardingStep:
    in_time = rows["reached_at"] <= rows["due_at"]
    never = rows["reached_at"].isna()
    shares: dict[str, float] = {}
    for key, part in (("in_time", rows[in_time]), ("missed", rows[~in_time])):
        known = part["label"].dropna()
        share = float(known.mean()) if len(known) else float("nan")
        low, high = wilson(0.0 if not len(known) else share, len(known))
        shares |= {f"left_{key}": share, f"left_{key}_low": low, f"left_{key}_high": high}
    days = (rows["due_at"] - rows["assigned_at"]).dt.days.median()
    return OnboardingStep(
        name=name,
        due_after_days=int(days) if pd.notna(days) else 0,
        accounts=len(rows),
        in_time=int(in_time.sum()),
        late=int((~in_time & ~never).sum()),
        never=int(never.sum()),
        **shares,
    )
