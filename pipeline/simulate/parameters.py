"""Options and constants of the simulated company, each with its reason; fixed before any
modelling.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from features.errors import ConfigError

HORIZON_DAYS = 90
GRACE_DAYS = 14
GRID_DAYS = 28
GRID_COUNT = 22
"""Dates of the demo's grid: 22 x 28 days reach back to where half a year of usage exists."""
TRUTH_COUNT = 13
"""Dates of that grid that get a truth by default: its last year, which holds every test date."""

ANNUAL, QUARTERLY, MONTHLY = 0, 1, 2
TERM_NAMES = ("annual", "quarterly", "monthly")
TERM_MONTHS = np.array([12, 3, 1])

NEVER = 10**6
"""A day index beyond every span: 'has not happened'."""

# --- leaving -------------------------------------------------------------------------------------
# Annual customers think about leaving in the quarter before the renewal, because notice is due
# 30-60 days before the end; monthly ones at any time. Days before the end of the term, first and
# last.
DECIDE_FROM = np.array([90, 55, 31])
DECIDE_UNTIL = np.array([28, 8, 2])
# The window is shorter than the term, so the daily hazard inside it is larger; long contracts still
# lose fewer customers per year (0.8 and 0.9 of the monthly rate).
TERM_SCALE = np.array([0.8 * 365 / 63, 0.9 * 91 / 48, 31 / 30], dtype=np.float32)
NOTICE_MEAN_DELAY = np.array([6.0, 4.0, 2.0], dtype=np.float32)
SILENT_LEAVER_SHARE = 0.08
"""Leavers who give no notice and let the term run out."""
BASE_LOG_HAZARD = -8.1
"""Daily log hazard at all factors zero: about 0.19 leavers per customer-year in the default world.
"""
LARGEST_HAZARD = 0.2

# Log hazard per unit of each factor. Published work finds contract calendar > use > relationship >
# support; these make the truth's AUC land between 0.75 and 0.88 and are not tuned to any model.
WEIGHT_LOW_USE = 0.42
WEIGHT_LOW_FIT = 0.3
WEIGHT_BAD_MOOD = 0.28
WEIGHT_CHAMPION_LOST = 0.8
WEIGHT_BUG = 0.35
WEIGHT_PRICE = 5.0
WEIGHT_BUDGET_CUT = 1.0
WEIGHT_YOUNG = 0.5
WEIGHT_SMALL = 0.18
REGIME_LOG_HAZARD = 0.6
"""What a competitor's entry adds for everybody."""

# --- troubles: daily rates and durations ---------------------------------------------------------
CHAMPION_LEAVES_DAILY = 1 / 1000
"""People stay in such a role for under three years."""
CHAMPION_REPLACED_DAILY = 1 / 130
SPONSOR_LEAVES_DAILY = 1 / 1500
SPONSOR_REPLACED_DAILY = 1 / 90
CHAMPION_GAP_DAYS = 45
"""Days until a lost champion is felt in full."""
BUG_OWN_DAILY = 1 / 260
BUG_OWN_SIZE = 0.9
BUG_DECAY = 0.965
WAVE_DAILY = 1 / 300
"""A bad release per product area every ten months."""
WAVE_DAYS = 24
WAVE_DAILY_SIZE = 0.07
PAYMENT_TROUBLE_DAILY = 0.09 / 365
PAYMENT_CLEARS_DAILY = 1 / 45
SUSPEND_AFTER_DAYS = 45
"""Days from a failed due date until the service is cut off."""
DUE_DAYS = np.array([30, 30, 14])
"""Invoices are due in 30 days; monthly customers pay by card, in 14."""
BUDGET_CUT_DAILY = 0.10 / 365
BUDGET_CUT_DAYS = 200

# --- slow state ----------------------------------------------------------------------------------
USE_LOGIT_MEAN = -1.45
"""Log-odds that a licensed seat is in use on a working day (19%): DAU/seat of a weekly-rhythm tool.
"""
USE_SPEED = 0.035
"""Share of the way to its target per day: use slides over about four weeks."""
USE_NOISE = 0.06
MOOD_SPEED = 0.04
MOOD_NOISE = 0.09
FIT_SPEED = 0.0015
FIT_NOISE = 0.03
RAMP_DAYS = 35.0
WIND_DOWN = 0.7
"""Drop of the use logit's target once the decision to leave is made."""

# --- price, seats --------------------------------------------------------------------------------
PLAN_NAMES = ("starter", "team", "business")
PLAN_PRICE = np.array([15.0, 26.0, 39.0])
"""List price per seat and month."""
PLAN_SEATS = np.array([10, 50])
"""Seats from which the next plan is the usual choice."""
PRICE_NOTICE_LEAD = np.array([75, 45, 25])
"""Days before the renewal on which a price rise is announced."""
PRICE_EVERY_DAYS = 330
NO_RISE_SHARE = 0.4
SIGN_LEAD = np.array([18, 7, 1])
"""Renewals are signed at most so many days ahead: after the window to decide has closed."""
LATE_RENEWAL_SHARE = np.array([0.05, 0.03, 0.0])
EXPAND_DAILY = 0.006
CONTRACT_AT_RENEWAL = np.array([0.5, 0.18, 0.07])
SMALLEST_CHANGE_GAP_DAYS = 60

# --- plays ---------------------------------------------------------------------------------------
PLAY_NAMES = ("success_call", "training_offer", "discount_offer", "pilot_call")
PLAY_EFFECT = np.array([-0.6, -0.25, -0.05, -0.9], dtype=np.float32)
"""True effect on the log hazard of deciding to leave, while it lasts."""
PLAY_LASTS_DAYS = 90
PLAY_DAILY = 0.0011
PLAY_PAUSE_DAYS = 120
PLAY_DONE_SHARE = 0.85
PILOT_PLAY = 3
PILOT_SHARE = 0.10
PILOT_FIRST_DAY = 420
PILOT_ROUNDS = 6

# --- product -------------------------------------------------------------------------------------
AREA_NAMES = ("planning", "reporting", "integrations", "mobile")
SEGMENT_NAMES = ("small", "mid", "large")
SEGMENT_SEATS = np.array([10, 40])
INDUSTRIES = (
    "food",
    "logistics",
    "retail",
    "software",
    "construction",
    "health",
    "education",
    "energy",
)
COUNTRIES = ("DE", "FR", "GB", "NL", "SE", "ES", "US", "CA")
CURRENCY = "USD"

BLOCK_ACCOUNTS = 2_000
"""Accounts simulated together: bounds memory at any size (part of what a seed reproduces)."""


@dataclass(frozen=True)
class DeadFeed:
    """A source that falls silent: its rows that happened in `days` days from `first_day` never
    arrive.
    """

    source: str
    first_day: date
    days: int


@dataclass(frozen=True)
class WorldOptions:
    """What kind of company to simulate.

    Attributes
    ----------
    first_day, last_day
        Events lie in `[first_day, last_day)`; `last_day` is when the data were extracted.
    as_exported
        Tables as a CRM export would leave them: no history of attributes, leavers deleted or
        zeroed.
    truth_dates
        Dates for which the true probability is computed; None: the last year of the demo's dates.
    truth_replicates
        Futures simulated per account and date.
    yearly_churn
        Leavers per customer-year to aim at; None: the default intercept (about 0.19).
    existing_share
        Share of the accounts that were customers on `first_day`.
    monthly_share, quarterly_share
        Shares of accounts on such terms; the others have annual ones.
    late_share
        Share of usage rows that arrive one to five days late.
    regime_change_at
        Date on which a competitor enters and the hazard rises for everybody.
    dead_feed
        A source that falls silent.
    memory_days
        Days over which troubles add up before customers decide by them: at 120 a decision follows
        months of decline that can be seen. 0: they decide by how things stand on the day, so that a
        trouble is forgiven as soon as it has passed.
    planted_leaks
        Adds columns of the account table that hold values as of `last_day`.
    """

    first_day: date = date(2023, 1, 1)
    last_day: date = date(2025, 6, 1)
    as_exported: bool = False
    truth_dates: tuple[date, ...] | None = None
    truth_replicates: int = 12
    yearly_churn: float | None = None
    existing_share: float = 0.68
    monthly_share: float = 0.40
    quarterly_share: float = 0.15
    late_share: float = 0.05
    regime_change_at: date | None = None
    dead_feed: DeadFeed | None = None
    memory_days: float = 0.0
    planted_leaks: bool = False

    def __post_init__(self) -> None:
        """Refuse options that cannot work."""
        if (self.last_day - self.first_day).days < 30:
            raise ConfigError(
                f"first_day={self.first_day} and last_day={self.last_day} leave fewer than 30 days."
                " Choose a later last_day."
            )
        if (
            self.monthly_share < 0
            or self.quarterly_share < 0
            or self.monthly_share + self.quarterly_share > 1
        ):
            raise ConfigError(
                f"monthly_share={self.monthly_share} and quarterly_share={self.quarterly_share}"
                " must be at least 0 and add to at most 1; the rest of the accounts is annual."
            )
        for name in ("existing_share", "late_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(
                    f"{name}={getattr(self, name)} is not a share. Give a value from 0 to 1."
                )
        if self.yearly_churn is not None and not 0.02 <= self.yearly_churn <= 0.6:
            raise ConfigError(
                f"yearly_churn={self.yearly_churn} is not possible here. Give a value from 0.02 to"
                " 0.6."
            )
        if self.memory_days and self.memory_days < 1:
            raise ConfigError(
                f"memory_days={self.memory_days} is shorter than a day. Give at least 1, or 0 for"
                " customers who decide by the day."
            )
        if self.truth_replicates < 1:
            raise ConfigError(
                f"truth_replicates={self.truth_replicates} is too few. Give at least 1."
            )
        for day in self.truth_dates or ():
            if not self.first_day <= day < self.last_day:
                raise ConfigError(
                    f"truth_dates holds {day}, outside the world. "
                    f"Choose dates from {self.first_day} until before {self.last_day}."
                )

    @property
    def days(self) -> int:
        """Length of the span in days."""
        return (self.last_day - self.first_day).days

    def day_index(self, day: date) -> int:
        """Days from `first_day` to `day`."""
        return (day - self.first_day).days

    @property
    def grid(self) -> tuple[date, ...]:
        """Dates every 28 days whose 90-day labels, with grace, are complete before `last_day`."""
        last = self.last_day - timedelta(days=HORIZON_DAYS + GRACE_DAYS + 1)
        dates = (last - timedelta(days=GRID_DAYS * back) for back in range(GRID_COUNT))
        return tuple(
            sorted(day for day in dates if day >= self.first_day + timedelta(days=GRID_DAYS))
        )

    @property
    def truth_grid(self) -> tuple[date, ...]:
        """Dates for which the truth is computed, in order."""
        return (
            self.grid[-TRUTH_COUNT:]
            if self.truth_dates is None
            else tuple(sorted(set(self.truth_dates)))
        )
