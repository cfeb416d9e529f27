"""Every key of `tenure.toml`, with its default; reading and error messages are in `read.py`."""

from datetime import date
from typing import Literal, get_args

from pydantic import ConfigDict, Field, field_validator, model_validator
from pydantic.dataclasses import dataclass

from features.definition import ReasonCode
from features.metrics import METRICS
from models.declared import (
    AT_RISK_UNTIL,
    CLUSTERS,
    MODEL_SHARE,
    STABLE_UNTIL,
    Action,
    Condition,
    CountedName,
    Match,
)
from models.declared import Rule as PointsRule
from models.plan import LEAST, TrainingPlan
from models.targets import Cause, TargetKind

_strict = ConfigDict(extra="forbid")
DAY_ZEROS = (date(1899, 12, 30), date(1904, 1, 1))
"""Days from which spreadsheets count; nearly all from the first."""
AlertKind = Literal[
    "crossing",
    "sudden_drop",
    "slow_decline",
    "renewal_ahead",
    "strategic",
    "notice",
    "payment",
]
Band = Literal["at_risk", "stable", "healthy"]
GoodBand = Literal["low", "medium", "high"]
_BANDS_OF = {"keep": get_args(Band), "grow": get_args(GoodBand)}
Scalar = str | int | float | bool | date


@dataclass(frozen=True, config=_strict)
class ColumnRule:
    """How one column of a contract is filled from the columns of your table.

    Exactly one of `column`, `join`, `value` starts the rule; the other keys refine it, in the
    order of this class.
    """

    column: str | None = None
    join: tuple[str, ...] = ()
    """Several columns joined by `/` into one text key."""
    value: Scalar | None = None
    """The same constant for every row."""
    codes: dict[str, Scalar] = Field(default_factory=dict)
    """Your code -> our value; other codes become `otherwise`, or stay where it is absent."""
    prefixes: dict[str, Scalar] = Field(default_factory=dict)
    """As `codes`, by how the value starts; codes win over prefixes."""
    otherwise: Scalar | None = None
    minus: str | None = None
    """Subtract this column (price less discount), before anything is multiplied; null where either
    is empty.
    """
    times: str | None = None
    """Multiply by this column (quantity x unit price)."""
    scale: float = 1.0
    """Multiply by this constant (0.01 where the column holds cents)."""
    per: str | None = None
    """Divide by the length of the period in this column: an amount per year, per quarter, ..."""
    per_codes: dict[str, float] = Field(default_factory=dict)
    """Code in the `per` column -> its length (Yearly -> 12 months)."""
    per_count: str | None = None
    """Periods in this column (interval_count): the length is multiplied by it."""
    plus: str | None = None
    """Add a duration read from this column (times only)."""
    plus_unit: Literal[
        "days",
        "hours",
        "minutes",
        "seconds",
        "milliseconds",
        "microseconds",
        "nanoseconds",
        "by_size",
    ] = "days"
    """by_size: numbers since 1970, each in the unit that its size says (seconds, milliseconds)."""
    plus_codes: dict[str, int] = Field(default_factory=dict)
    """Code in the `plus` column -> its duration (Monthly -> 31 days)."""
    format: str | None = None
    """How times are written, in strptime's letters."""
    time_zone: str | None = None
    type: Literal["text", "time", "money", "number", "flag"] | None = None
    """Type of an `extra` column; contract columns have theirs."""
    decimals: int | None = Field(default=None, ge=0, le=6)
    """Decimals kept of a number; default 2 for money, 3 for numbers."""

    @model_validator(mode="after")
    def _one_start(self) -> "ColumnRule":
        starts = [self.column is not None, bool(self.join), self.value is not None]
        if sum(starts) != 1:
            raise ValueError("exactly one of column, join, value must be given")
        if self.plus_codes and self.plus is None:
            raise ValueError("plus_codes needs plus")
        if (self.per_codes or self.per_count is not None) and self.per is None:
            raise ValueError("per_codes and per_count need per")
        if self.plus_unit == "by_size" and self.value is None:
            raise ValueError('plus_unit = "by_size" goes with value, the start of 1970')
        return self

    @property
    def day_zero(self) -> date | None:
        """The day from which a spreadsheet's numbers of days are counted; None for other rules."""
        if self.plus is None or self.plus_unit != "days" or self.plus_codes:
            return None
        return next((day for day in DAY_ZEROS if str(self.value) == day.isoformat()), None)


Rule = str | ColumnRule


@dataclass(frozen=True, config=_strict)
class Lookup:
    """Columns fetched from another table of yours before mapping: a left join on equal keys."""

    location: str
    on: dict[str, str]
    """Your column here -> its column in the other table."""
    take: tuple[str, ...]
    table: str | None = None
    repeats: bool = False
    """A row matches several there (a plan's due dates for each account on the plan) and is repeated
    for each; without it a repeated key is an error.
    """


@dataclass(frozen=True, config=_strict)
class SourcePart:
    """One of several files or tables that together make a source; keys left out come from the
    source.
    """

    location: str
    table: str | None = None
    columns: dict[str, Rule] = Field(default_factory=dict)
    extra: dict[str, Rule] = Field(default_factory=dict)
    rows_from: date | None = None
    rows_until: date | None = None
    """Rows on or after this date are left to another part (overlapping extracts)."""


@dataclass(frozen=True, config=_strict)
class Source:
    """One raw table: where it is, which contract it fills, and how its columns are named there."""

    contract: str | None = None
    """Default: the source's own name."""
    location: str | None = None
    """Path (Parquet, CSV, .csv.gz, .tsv, a glob, a .duckdb file), `postgresql://...`, or `env:NAME`
    for a PostgreSQL address kept in an environment variable. Relative to `--data`."""
    table: str | None = None
    """Table or view inside a DuckDB file or PostgreSQL."""
    parts: tuple[SourcePart, ...] = ()
    columns: dict[str, Rule] = Field(default_factory=dict)
    """Our column -> your column, or a rule. Columns of the same name (regardless of case) map
    themselves.
    """
    extra: dict[str, Rule] = Field(default_factory=dict)
    """Columns beyond the contract: numbers of an activity source, attributes of accounts."""
    lookups: tuple[Lookup, ...] = ()
    keep: dict[str, tuple[Scalar, ...]] = Field(default_factory=dict)
    """Your column -> values kept; rows with others (or none) are left out and counted."""
    drop: dict[str, tuple[Scalar, ...]] = Field(default_factory=dict)
    drop_missing: tuple[str, ...] = ()
    """Your columns that may be empty by design (guest orders without customer): such rows are left
    out and counted.
    """
    drop_duplicates: bool | None = None
    """Rows equal to another in every column of your table are copies: one of them stays, the others
    are left out and counted. false: they happened twice, and all count.
    """
    one_row_per: tuple[str, ...] = ()
    """Your columns that together name one row (an insert id): of several rows with the same values
    one stays, the others are left out and counted.
    """
    newest_by: str | None = None
    """With `one_row_per`: the row that is largest in this column of yours stays."""
    empty: dict[str, tuple[Scalar, ...]] = Field(default_factory=dict)
    """Your column -> values that mean there is none, such as 9999-12-31 for what has no end."""
    split: dict[str, str] = Field(default_factory=dict)
    """Your column -> the mark between several ids in one cell; such a row counts for each of
    them.
    """
    id_writing: tuple[
        Literal[
            "first_15_letters", "small_letters", "no_leading_zeros", "no_signs", "from_first_figure"
        ],
        ...,
    ] = ()
    """How ids of accounts are brought to one writing, where the sources write them differently.
    no_signs: small letters and figures only ({AB-1} is ab1); from_first_figure: without what stands
    before the first figure (acct_101 is 101).
    """
    rows_from: date | None = None
    rows_until: date | None = None
    time_zone: str | None = None
    """IANA zone of naive times in this source; default: the project's."""
    epochs_in: dict[str, str] = Field(default_factory=dict)
    """Our time column -> zone of the clock that its numbers since 1970 were counted on. "UTC": they
    are real moments; another IANA zone: a local clock was read as if it showed UTC.
    """
    day_zero: date | None = None
    """The day from which numbers of days (44927) count in all rules that start there: 1899-12-30,
    or 1904-01-01, from which Excel for Mac once counted. Default: what each rule says.
    """
    day_first: bool | None = None
    """Does 03/04/2024 mean 3 April (true) or 4 March (false)? It settles the order of day and month
    in `format`.
    """
    delimiter: str | None = None
    encoding: str = "utf-8"
    decimal: Literal[".", ","] | None = None
    """The mark before decimals; the other one groups thousands. Default: a point."""
    minor_units: tuple[str, ...] | None = None
    """Our columns of money that hold cents, pence, ... (hundredths); [] says that none does."""
    turn_sign: tuple[str, ...] | None = None
    """Our columns of money whose sign is turned: an export of costs; [] says that none is."""
    negative_letters: tuple[str, ...] | None = None
    """Letters behind an amount that make it negative (H of S and H, CR of DR and CR); others of
    their kind only end it. [] says that none does.
    """
    negative_where: dict[str, tuple[Scalar, ...]] | None = None
    """Your column -> values of it that make the amounts of their row negative; {} says that none
    does.
    """
    paid_above: float | None = None
    """Subscriptions only: a term whose amount per month is not above this is no paid cover, as a
    trial is none. 0: free is not paying; -1: a free plan is a customer, too.
    """
    convention: Literal["fixed_term", "open_until_cancelled"] = "open_until_cancelled"
    """Subscriptions only: is the end in the contract from the start, or written when it happens?"""
    end_day: Literal["included", "excluded"] | None = None
    """Subscriptions only: is the day in ends_at the last one paid for (1 to 31 January), or the
    first one that is not (1 January to 1 February)? Default: excluded.
    """
    trial_ends: str | None = None
    """Subscriptions only: your column with the end of a trial inside the row; paid cover begins
    there. "" says that such trials count as paid.
    """
    immutable: tuple[str, ...] = ()
    """Attributes without history that never change, and so may be features."""
    kinds: tuple[str, ...] = ()
    """Activity sources: event kinds with cards of their own; default: the commonest, chosen on
    training data.
    """
    key_features: tuple[str, ...] = ()
    """Usage: event names of the product features that matter; the share of them in use becomes a
    signal.
    """
    trouble_events: tuple[str, ...] = ()
    """Usage: event names of errors and given-up steps; people who keep meeting them are counted as
    stuck.
    """
    first_value_events: tuple[str, ...] = ()
    """Usage: event names that mean the product first brought value (the "aha" moment)."""
    session_gap_minutes: int | None = Field(default=None, ge=1, le=1440)
    """Usage: a person's events further apart than this are two visits; stated, the length of visits
    becomes a signal.
    """
    read_texts: bool = True
    """Tickets, surveys, notes: judge the tone of English texts, offline; false leaves them unread.
    """
    promoters_from: int = Field(default=9, ge=1, le=10)
    """Surveys: lowest NPS answer of a promoter."""
    passives_from: int = Field(default=7, ge=1, le=10)
    """Surveys: lowest NPS answer of a passive; below it is a detractor. As promoters_from: nobody
    is passive.
    """
    delay_days: float = Field(default=0.0, ge=0)
    """How late rows arrive, where there is no known_at."""
    data_until: date | dict[str, date] | None = None
    """First day no longer covered, for all or per partition; default: the day of the newest row."""
    max_age_days: float | None = Field(default=None, gt=0)
    """`score` refuses when the newest known_at is older."""
    silent_after_days: int = Field(default=15, ge=1)
    """A stretch this long without a single row is a dead feed, not quiet customers."""
    check_volume: bool = True
    """Activity sources: `score` refuses when the last day has under half of its weekday's usual
    rows.
    """
    fewest_rows: int | None = Field(default=None, ge=1)
    """Fewer rows are refused. So many and more are read although the source has lost rows since it
    was staged last, as a broken export has.
    """
    max_bad_share: float = Field(default=0.05, ge=0, le=1)
    features: bool = True
    """false: read for labels and checks only."""

    @model_validator(mode="after")
    def _day_zeros(self) -> "Source":
        if self.day_zero is not None and self.day_zero not in DAY_ZEROS:
            allowed = " or ".join(day.isoformat() for day in DAY_ZEROS)
            raise ValueError(f"day_zero must be {allowed}")
        return self

    @model_validator(mode="after")
    def _nps_cuts(self) -> "Source":
        if self.passives_from > self.promoters_from:
            raise ValueError(
                "passives_from must be at most promoters_from: an answer above it is a promoter's"
            )
        return self


@dataclass(frozen=True, config=_strict)
class Dates:
    """On which dates a target is asked: a grid, a list, or an anchor event and an offset."""

    every_days: int | None = Field(default=None, ge=1)
    every: Literal["week", "month", "quarter"] | None = None
    first: date | None = None
    last: date | None = None
    list: tuple[date, ...] = ()
    anchor: str | None = None
    """`source.column`, e.g. `subscriptions.ends_at` or `accounts.course_started_at`."""
    offset_days: tuple[int, ...] = (0,)

    @model_validator(mode="after")
    def _one_form(self) -> "Dates":
        forms = [
            self.every_days is not None,
            self.every is not None,
            bool(self.list),
            self.anchor is not None,
        ]
        if sum(forms) > 1:
            raise ValueError("give one of every_days, every, list, anchor")
        return self


@dataclass(frozen=True, config=_strict)
class Test:
    """The untouched last dates: from a date on, a list of its own, or the last few of the grid."""

    __test__ = False  # the name is the business's, not pytest's
    first: date | None = None
    last: date | None = None
    list: tuple[date, ...] = ()
    count: int | None = Field(default=None, ge=1)
    offset_days: tuple[int, ...] = ()
    """Anchored dates: only these offsets are tested."""


@dataclass(frozen=True, config=_strict)
class Population:
    """Which accounts are asked about on a date."""

    kind: Literal["customers", "active", "ever_active", "accounts", "trials"] | None = None
    """customers: a paid subscription covers the date. active: enough activity. ever_active: any
    activity before the date, however long ago (everybody who ever bought). accounts: all opened.
    trials: a trial covers the date. Default: customers where there are subscriptions, else active.
    """
    source: str | None = None
    """The activity source meant by active and inactivity; default: the only one."""
    event_names: tuple[str, ...] = ()
    """Only these kinds of event count as activity."""
    minimum: dict[str, float] = Field(default_factory=dict)
    """Only events whose number (`quantity` or an extra) is above this count as activity."""
    active_within_days: int | None = Field(default=None, ge=1)
    min_events: int = Field(default=1, ge=1)
    """Events needed within `active_within_days`."""
    min_events_ever: int = Field(default=1, ge=1)
    min_age_days: int = Field(default=0, ge=0)
    max_age_days: int | None = Field(default=None, ge=1)


@dataclass(frozen=True, config=_strict)
class Target:
    """What is predicted: a kind, a population, a horizon, and the dates it is asked on."""

    name: str
    kind: TargetKind
    horizon_days: int | None = Field(default=None, ge=1)
    horizon: Literal["next_renewal"] | None = None
    gap_days: int = Field(default=0, ge=0)
    grace_days: int = Field(default=0, ge=0)
    source: str | None = None
    """kind = "event": the outcomes source."""
    event_names: tuple[str, ...] = ()
    """kind = "event": only these kinds count."""
    first_event_only: bool = False
    """kind = "event": accounts that had one before the date are out of the population."""
    change_share: float = Field(default=0.0, ge=0, lt=1)
    """contraction and expansion: smallest change of the monthly amount that counts."""
    causes: tuple[Cause, ...] | None = None
    """contraction and expansion: changes that count, of seats, plan, product (a further term beside
    the others), discount and price. Default of an expansion: seats, plan and product, for a price
    rise is the vendor's own; of a contraction: all.
    """
    purpose: str | None = None
    """What the scores of this target are for; default: `[objective] purpose`, which is not
    said of a good event beside targets that are to be avoided.
    """
    population: Population = Field(default_factory=Population)
    dates: Dates = Field(default_factory=Dates)
    test: Test = Field(default_factory=Test)

    @model_validator(mode="after")
    def _horizon(self) -> "Target":
        if (self.horizon_days is None) == (self.horizon is None):
            raise ValueError('give horizon_days, or horizon = "next_renewal"')
        if self.horizon == "next_renewal" and self.kind not in (
            "churn",
            "voluntary",
            "involuntary",
        ):
            raise ValueError(
                'horizon = "next_renewal" goes with kind churn, voluntary or involuntary'
            )
        if self.kind == "event" and self.source is None:
            raise ValueError('kind = "event" needs source, the outcomes source that logs the event')
        return self


ValuePer = Literal["year", "month", "row"]


@dataclass(frozen=True, config=_strict)
class Objective:
    """What the scores are for; echoed in every report."""

    purpose: str = ""
    capacity: int | None = Field(default=None, ge=1)
    """Accounts the team can work on at a time."""
    cost_per_contact: float | None = Field(default=None, ge=0)
    save_share: float | None = Field(default=None, ge=0, le=1)
    """Share of leavers a contact keeps, as you believe it; used for expected profit only."""
    value: str | None = None
    """Column with what an account is worth: `source.column`, e.g. "purchases.sales_value". Default:
    `value_per_year` of accounts, `amount_per_month` of subscriptions, `amount` of activity, else
    `amount` of invoices.
    """
    value_per: ValuePer | None = None
    """What that column holds: money of a year, of a month, or of its row (rows of the last 364 days
    are added up). Default: year for accounts, row for dated tables, month for `amount_per_month`;
    for other columns of subscriptions it must be given.
    """


@dataclass(frozen=True, config=_strict)
class Ratio:
    """A signal of your own: one signal over another of the same account and date, null where the
    divisor is null or 0.

    `tenure ratios` looks for ratios that are worth declaring.
    """

    name: str
    """Its column; no other signal may have it."""
    numerator: str
    """Column of a signal."""
    divisor: str
    """Column of another signal."""
    worse: Literal["up", "down"] | None = None
    """The direction that means trouble; default: no opinion."""
    phrase: str | None = None
    """Said of an account, with {value}; default: made from the two columns."""


@dataclass(frozen=True, config=_strict)
class Features:
    """Which signals are built."""

    window_days: tuple[int, ...] = (7, 28, 91, 182, 364)
    off: tuple[str, ...] = ()
    """Cards, dimensions or sources left out."""
    leading_only: bool = False
    """Leave out signals that only say what has happened already (overdue invoices, survey answers,
    ratings).
    """
    season: bool = False
    """The time of year as a signal, for targets whose training dates reach back a year from the day
    on which the outcome of the last of them is known: a time of year that was never seen says
    nothing.
    """
    max_kinds: int = Field(default=12, ge=0)
    """Event kinds per source that get cards of their own."""
    ratios: tuple[Ratio, ...] = ()
    """Signals of your own, each one signal over another."""


@dataclass(frozen=True, config=_strict)
class MetricRules:
    """What the metrics of the whole portfolio mean here (`tenure metrics`)."""

    active_within_days: int = Field(default=28, ge=1)
    """How far back from the end of a period use is looked for."""
    active_days: int = Field(default=1, ge=1)
    """A customer uses the product with events on so many days of `active_within_days`."""
    active_events: tuple[str, ...] = ()
    """Only these event names count; default: the usage source's key_features, else all."""
    owners: dict[str, str] = Field(default_factory=dict)
    """Metric -> who answers for it; stands in the dictionary of the dashboard."""

    @field_validator("owners")
    @classmethod
    def _known_metrics(cls, owners: dict[str, str]) -> dict[str, str]:
        known = [metric.name for metric in METRICS]
        for name in owners:
            if name not in known:
                raise ValueError(f"{name!r} is no metric; there are: {', '.join(known)}.")
        return owners


@dataclass(frozen=True, config=_strict)
class Training:
    """How the model is searched for."""

    trials: int = Field(default=TrainingPlan.trials, ge=LEAST["trials"])
    minutes: float | None = Field(default=None, gt=0)
    """The search also ends after so many minutes; what it finds then depends on the machine."""
    workers: int = Field(default=1, ge=1)
    """Processes that search side by side, sharing `threads`; more than one: no two searches are the
    same.
    """
    folds: int = Field(default=TrainingPlan.folds, ge=LEAST["folds"])
    """Validation blocks, oldest first; the last one calibrates."""
    seed: int = TrainingPlan.seed
    bags: int = Field(default=TrainingPlan.bags, ge=LEAST["bags"])
    max_trees: int = Field(default=TrainingPlan.max_trees, ge=LEAST["max_trees"])
    threads: int = Field(default=TrainingPlan.threads, ge=LEAST["threads"])
    max_rows: int = Field(default=TrainingPlan.max_rows, ge=LEAST["max_rows"])
    """Rows that teach one fit; of more, as many are drawn by a hash of account and date."""
    search_rows: int = Field(default=TrainingPlan.search_rows, ge=LEAST["search_rows"])
    """Rows that teach, and rows that judge, one trial of the search; of more, as many are drawn by
    the same hash.
    """
    band_change_budget: float = Field(default=0.2, gt=0, le=1)
    """Share of accounts that a new model may move to another band on the same inputs."""
    cohorts: str | None = None
    """Attribute of accounts, as `segment`: its values get a level and a slope of their own where
    validation dates show a gain.
    """
    waivers: dict[str, str] = Field(default_factory=dict)
    """Signal -> why it is known at the date although it nearly tells the label alone; recorded with
    the model.
    """


@dataclass(frozen=True, config=_strict)
class Checks:
    """Findings of `tenure check` that stop training, accepted on purpose."""

    accept: dict[str, str] = Field(default_factory=dict)
    """Finding, or finding/source -> why it does no harm here; echoed in the report."""


@dataclass(frozen=True, config=_strict)
class ScoredAction(Action):
    __doc__ = Action.__doc__

    up_to: int | None = Field(default=None, ge=1)
    within_days: int | None = Field(default=None, ge=1)
    missed: int = Field(default=0, le=0)


@dataclass(frozen=True, config=_strict)
class RuleCondition(Condition):
    __doc__ = Condition.__doc__


@dataclass(frozen=True, config=_strict)
class ScoringRule(PointsRule):
    __doc__ = PointsRule.__doc__

    when: tuple[RuleCondition, ...]


@dataclass(frozen=True, config=_strict)
class Bench:
    """What `tenure bench` compares; nothing here moves a published score. What is absent is
    proposed from the signals.
    """

    match: Match = "all"
    """`[[rules]]`: the first that holds gives the points, or all that hold."""
    weights: dict[str, float] = Field(default_factory=dict)
    """Signal -> weight of the weighted average, sum 100; default: fitted on past outcomes."""
    frequency: tuple[str, ...] = ()
    """Signals of how often the product is used."""
    breadth: tuple[str, ...] = ()
    """Signals of how many people use it."""
    depth: tuple[str, ...] = ()
    """Signals of how much of it is used."""
    clusters: int = Field(default=CLUSTERS, ge=2, le=50)
    """Behavioural groups."""
    model_share: float = Field(default=MODEL_SHARE, ge=0, le=1)
    """The model's share of the hybrid, in log-odds; the rest are the rules, or the scorecard where
    none are declared.
    """


@dataclass(frozen=True, config=_strict)
class ScaleAnchors:
    """Anchors of the 0-100 score: the probability shown at the edge 40|41 and at 70|71."""

    p_at_risk: float | None = Field(default=None, gt=0, lt=1)
    p_healthy: float | None = Field(default=None, gt=0, lt=1)
    at_risk_until: int = Field(default=AT_RISK_UNTIL, ge=0, le=98)
    stable_until: int = Field(default=STABLE_UNTIL, ge=1, le=99)

    @model_validator(mode="after")
    def _ordered(self) -> "ScaleAnchors":
        if self.stable_until <= self.at_risk_until:
            raise ValueError("stable_until must be above at_risk_until")
        if (self.p_at_risk is None) != (self.p_healthy is None):
            raise ValueError("give both p_at_risk and p_healthy, or neither")
        if (
            self.p_at_risk is not None
            and self.p_healthy is not None
            and self.p_healthy >= self.p_at_risk
        ):
            raise ValueError(
                "p_healthy must be below p_at_risk: a healthy account is less likely to leave"
            )
        return self


@dataclass(frozen=True, config=_strict)
class Score:
    """Which score readers see, and what is asked of it before."""

    basis: Literal["model", "hybrid"] | CountedName = "model"
    """The trained model, or a score counted from what this file declares: `actions` from
    `[[actions]]`, `rules` from `[[rules]]`, `weighted_average`, `usage_score` and `four_indicators`
    from `[bench]`. A counted score gives no chances. `hybrid` trains a model of which `[[rules]]`
    (the scorecard where there are none) are a part; `[bench] model_share` says how large.
    """
    largest_shift: float | None = Field(default=0.25, gt=0)
    """Population stability index against the last run, whichever model made it, beyond which
    nothing is published.
    """


@dataclass(frozen=True, config=_strict)
class AlertRule:
    """When the owner of an account is told. Without any, six default rules hold; a declared list
    replaces them.
    """

    name: str
    kind: AlertKind
    enter: int | None = Field(default=None, ge=0, le=100)
    """An episode begins at this score or below; default: the last score of band at_risk."""
    leave: int | None = Field(default=None, ge=0, le=100)
    """It is over at this score or above; default: ten points above `enter`."""
    points: float | None = Field(default=None, gt=0, le=100)
    """Least fall below what is usual for the account, by what the customer did. Default: 8, of a
    sudden drop 15, of a slow decline 12. An account that wobbles more by itself must fall further.
    """
    within_days: int | None = Field(default=None, ge=1)
    """Days in which the fall happened (sudden_drop 28, slow_decline 182), or until the contract
    ends (renewal_ahead 90).
    """
    overdue_days: int = Field(default=14, ge=1)
    """payment: an invoice is unpaid so many days after it was due."""
    value_at_least: float | None = Field(default=None, ge=0)
    """Only accounts that are worth so much a year."""
    segments: tuple[str, ...] = ()
    """Only accounts of these segments."""
    to: str | None = None
    """Who is told, instead of the account's owner; strategic needs it."""
    play: str | None = None
    """What to do; it stands in the message. Where [[plays]] are declared the name of one of them,
    else your words.
    """
    due_days: int = Field(default=7, ge=0)
    """Days until the owner should have acted."""
    cooldown_days: int = Field(default=28, ge=0)
    """After an episode the account is left in peace by this rule for so many days."""

    @model_validator(mode="after")
    def _edges(self) -> "AlertRule":
        if self.enter is not None and self.leave is not None and self.leave <= self.enter:
            raise ValueError("leave must be above enter, or a score that jitters opens it again")
        if self.kind == "strategic" and not (self.to and (self.value_at_least or self.segments)):
            raise ValueError(
                'kind = "strategic" needs to (who is told) and value_at_least or segments'
            )
        return self


@dataclass(frozen=True, config=_strict)
class Sender:
    """Where alerts go. Passwords, tokens and addresses that are secret come from the environment:
    `"env:NAME"`.
    """

    name: str
    kind: Literal["file", "webhook", "slack", "mail"]
    path: str | None = None
    """file: JSON lines are appended to it, relative to tenure.toml."""
    url: str | None = None
    """webhook and slack: where to post, or `env:NAME`; an address that holds a secret must be
    `env:NAME`.
    """
    token: str | None = None
    """webhook: `env:NAME` of a bearer token."""
    host: str | None = None
    """mail: the server."""
    port: int = Field(default=587, ge=1, le=65535)
    user: str | None = None
    password: str | None = None
    """mail: `env:NAME`."""
    encryption: Literal["starttls", "tls", "none"] = "starttls"
    """mail: `none` sends no password."""
    sender: str | None = None
    """mail: the address that digests come from."""
    to: str | None = None
    """mail: who gets the digest of an owner without an address."""

    @model_validator(mode="after")
    def _whole(self) -> "Sender":
        needed = {
            "file": ("path",),
            "webhook": ("url",),
            "slack": ("url",),
            "mail": ("host", "sender", "to"),
        }
        missing = [key for key in needed[self.kind] if getattr(self, key) is None]
        if missing:
            raise ValueError(f'kind = "{self.kind}" needs {" and ".join(missing)}')
        for key in ("token", "password"):
            if getattr(self, key) is not None and not getattr(self, key).startswith("env:"):
                raise ValueError(f'{key} must be "env:NAME": secrets stay out of the file')
        if self.password is not None and self.encryption == "none":
            raise ValueError('password needs encryption = "starttls" or "tls"')
        return self


@dataclass(frozen=True, config=_strict)
class Alerting:
    """How many alerts there may be, and where they go; nothing here moves a score."""

    per_owner_and_week: int = Field(default=5, ge=1)
    """The most urgent are told first, by value at risk; the others wait and are counted."""
    operator: str = "operator"
    """Who is told of feeds and models: an address, or a name in `addresses`."""
    addresses: dict[str, str] = Field(default_factory=dict)
    """Owner -> mail address; an owner that is an address needs none."""
    senders: tuple[Sender, ...] = ()


@dataclass(frozen=True, config=_strict)
class Play:
    """What is done with an account, with whom, and what it costs. What it achieves is measured
    (`tenure effects`); nothing here moves a score.

    An account is meant by a play where every list that is given holds it.
    """

    name: str
    """As in the source of interventions."""
    aim: Literal["keep", "grow"] = "keep"
    """keep: for lists of targets about leaving; grow: for those of targets about growth, such as an
    upgrade or another product to offer.
    """
    bands: tuple[Band | GoodBand, ...] = ()
    """Only accounts of these bands; default: of all."""
    reasons: tuple[ReasonCode, ...] = ()
    """Only accounts with one of these reasons in the short list."""
    segments: tuple[str, ...] = ()
    """Only accounts of these segments."""
    alerts: tuple[str, ...] = ()
    """Alerts that ask for this play: it stands in their messages, where the alert names none."""
    role: str = ""
    """Who carries it out, in your words; default: the account's owner."""
    due_days: int = Field(default=7, ge=0)
    """Days until it should be done."""
    minutes: int = Field(default=45, ge=1, le=6000)
    """Working time it takes of the owner's hours."""
    cost: float | None = Field(default=None, ge=0)
    """Money it costs; default: `[objective] cost_per_contact`, else 0."""
    save_share: float | None = Field(default=None, ge=0, le=1)
    """Share of leavers it keeps, as you believe it, until its effect is known; default:
    `[objective] save_share`, else 0.2.
    """
    win_share: float | None = Field(default=None, ge=0, le=10)
    """aim = "grow": how many more grow with it, as a share of those who would without, as you
    believe it: 0.2 makes 12 of 10. Default 0.2.
    """
    cooldown_days: int = Field(default=90, ge=0)
    """Days after a play of any kind in which the account is left in peace."""
    strategic_from: float | None = Field(default=None, ge=0)
    """Accounts worth so much a year or more come first whatever it saves, and no lot leaves them
    alone.
    """
    consent: str | None = None
    """Column of the accounts (an `extra` of type flag) that must be true."""
    asks: Literal["nps", "csat", "ces"] | None = None
    """A questionnaire: the answer, told on the dashboard, becomes a row of `surveys`, known from
    when it was told.
    """
    holdout: float | None = Field(default=None, gt=0, lt=1)
    """Share of the accounts in its source that were left alone by lot (`is_holdout`); with it the
    sizes of both sides are checked.
    """

    @model_validator(mode="after")
    def _of_one_aim(self) -> "Play":
        allowed = _BANDS_OF[self.aim]
        wrong = [band for band in self.bands if band not in allowed]
        if wrong:
            raise ValueError(
                f'bands names "{wrong[0]}", but aim = "{self.aim}" has {", ".join(allowed)}'
            )
        if self.aim == "grow" and self.save_share is not None:
            raise ValueError('aim = "grow" has win_share, not save_share')
        if self.aim == "keep" and self.win_share is not None:
            raise ValueError('aim = "keep" has save_share, not win_share')
        return self


@dataclass(frozen=True, config=_strict)
class WorklistRules:
    """What a list may take, and how much of it teaches; used where `[[plays]]` are declared."""

    hours: float = Field(default=10.0, gt=0, le=1000)
    """Hours of an owner for one list."""
    owner_hours: dict[str, float] = Field(default_factory=dict)
    """Owner -> hours of their own."""
    growth_share: float = Field(default=0.25, ge=0, le=1)
    """Part of each owner's hours for plays with aim = "grow", where there are any; the rest is for
    those that keep.
    """
    grows_by: float | None = Field(default=None, gt=0)
    """What an account that grows pays more, as a share of what it pays now; default: the target's
    `change_share`, the least that counts as growth.
    """
    lot_share: float = Field(default=0.15, ge=0, le=0.5)
    """Part of each list that is drawn by lot on each side of its end, so that effects become known;
    0: nobody.
    """


@dataclass(frozen=True, config=_strict)
class Lever:
    """Something that can be done with an account and shows in a table: rows that would be added, or
    rows that are open and would be closed. `tenure path` looks for the least of them by which an
    account would read a better band.
    """

    name: str
    """In your words, as pages say it."""
    source: str
    """The source whose rows change."""
    add: dict[str, str | bool | int | float] | None = None
    """Columns of an added row, by our names, and their values; its time and, where it is left out,
    the person are filled in.
    """
    close: str | None = None
    """The time that an open row lacks, such as `closed_at` or `paid_at`; the oldest are closed
    first.
    """
    rows: int = Field(default=1, ge=1, le=1000)
    """Rows of one step."""
    most: int = Field(default=4, ge=1, le=50)
    """Steps at most."""
    effort: float = Field(default=1.0, gt=0)
    """Of one step, in any unit that all levers share."""
    within_days: int = Field(default=28, ge=1, le=366)
    """Added rows are spread over so many days before the score."""

    @model_validator(mode="after")
    def _one_way(self) -> "Lever":
        if (self.add is None) == (self.close is None):
            raise ValueError("needs add (columns of a new row) or close (the time a row lacks)")
        return self


@dataclass(frozen=True, config=_strict)
class StoreSettings:
    """Where everything the pipeline writes goes."""

    uri: str = "./store"
    replay_days: int = Field(default=90, ge=1)
    """How long replaced versions of staged tables are kept, so that `replay` and `changes` can go
    back to them.
    """
    keep_runs_days: int | None = Field(default=None, ge=1)
    """Published rows of dates further back than this are removed after every run; default: kept for
    ever.
    """


@dataclass(frozen=True, config=_strict)
class EngineSettings:
    """What a command may take of the machine."""

    memory_gb: float | None = Field(default=None, gt=0)
    """Gigabytes of memory; default: half of the machine's. DuckDB spills to disk beyond its share,
    accounts are scored as many at a time as fit, and a model learns from a sample where not all
    rows fit, which is then said. At least 1.
    """


@dataclass(frozen=True, config=_strict)
class Mlflow:
    """Where runs and models are recorded; default: everything under ./mlruns."""

    tracking_uri: str | None = None


@dataclass(frozen=True, config=_strict)
class Night:
    """What `tenure night` may do by itself, and when `tenure status` calls it late."""

    allow_stale: dict[str, str] = Field(default_factory=dict)
    """Source -> why a night may score although it is stale; accounts that depend on it become
    unknown, and the reason is recorded with the run.
    """
    late_after_hours: float = Field(default=36.0, gt=0)
    """Hours after the last whole night from which `tenure status` says late."""


@dataclass(frozen=True, config=_strict)
class Notify:
    """Who is told that a night began, ended or failed."""

    ping_url: str | None = None
    """Address of a dead man's switch, or `env:NAME` for one kept in an environment variable. It is
    asked for `/start` when a night begins, for itself when it is done, for `/fail` when it failed
    or was refused.
    """
    metrics_file: str | None = None
    """File for Prometheus' textfile collector, written anew after every night; relative to
    tenure.toml.
    """


@dataclass(frozen=True, config=_strict)
class Publish:
    """Where copies of what was published go, beside the store."""

    postgres: str | None = None
    """An address such as `postgresql://writer@db.example.com/warehouse`; with a password it must be
    `env:NAME` of an environment variable.
    """
    schema: str = "tenure"
    """Schema of the tables there; one for each project."""
    json: bool = False
    """Also write each run as one JSON file, `reports/<target>/exports/<date>_<run>.json`."""


@dataclass(frozen=True, config=_strict)
class Project:
    """A whole `tenure.toml`."""

    name: str
    currency: str = "USD"
    time_zone: str | None = None
    """IANA zone of naive times with a time of day; pure dates need none."""
    roll_up: Literal["none", "parent"] = "none"
    """parent: every row of a child account counts for its topmost parent, which alone is scored."""
    metrics: MetricRules = Field(default_factory=MetricRules)
    sources: dict[str, Source] = Field(default_factory=dict)
    targets: tuple[Target, ...] = ()
    objective: Objective = Field(default_factory=Objective)
    features: Features = Field(default_factory=Features)
    training: Training = Field(default_factory=Training)
    checks: Checks = Field(default_factory=Checks)
    bench: Bench = Field(default_factory=Bench)
    actions: tuple[ScoredAction, ...] = ()
    rules: tuple[ScoringRule, ...] = ()
    scale: ScaleAnchors = Field(default_factory=ScaleAnchors)
    score: Score = Field(default_factory=Score)
    alerts: tuple[AlertRule, ...] = ()
    alerting: Alerting = Field(default_factory=Alerting)
    plays: tuple[Play, ...] = ()
    worklist: WorklistRules = Field(default_factory=WorklistRules)
    levers: tuple[Lever, ...] = ()
    store: StoreSettings = Field(default_factory=StoreSettings)
    engine: EngineSettings = Field(default_factory=EngineSettings)
    mlflow: Mlflow = Field(default_factory=Mlflow)
    night: Night = Field(default_factory=Night)
    notify: Notify = Field(default_factory=Notify)
    publish: Publish = Field(default_factory=Publish)
