"""From a published run to horizons, renewals and remaining value: what the store holds, hazards
fitted on it, tables written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from features.errors import ConfigError, GateRefused
from models.forecast import (
    AccountForecast,
    Chance,
    Renewals,
    draws_of,
    forecast_accounts,
    shock_variances,
)
from models.hazards import STEP_DAYS, Hazards, Known, fit_hazards, period_edges
from models.health.standing import is_leaving, is_member
from models.methods.base import Floats, logit
from models.methods.cohort import NO_SEGMENT
from models.term_dates import ends_before, nth_end, share_of_year
from pipeline.artefacts import note_tables
from pipeline.config.schema import Target
from pipeline.engine.duckdb import Connection
from pipeline.jobs.accounts import account_named
from pipeline.jobs.event_history import MIN_CLASS, History, event_history, known_rows, terms_on
from pipeline.jobs.stage import load_staged
from pipeline.ledger import RunRow, calibrated_run
from pipeline.published import read_scores
from pipeline.workspace import Workspace

LEAVING = frozenset({"churn", "voluntary", "involuntary", "inactivity"})
"""Targets after which nothing more is paid."""
CURVE_DAYS = 360
MONTHS_OF_RENEWALS = 12
REACH_DAYS = 390
"""An edge after the last day of the twelfth month, which is 366 days away at most."""
ALL = "(all)"
_TEXT, _NUMBER, _TIME, _WHOLE = pa.string(), pa.float64(), pa.timestamp("us"), pa.int64()
HORIZONS = (
    ("account_id", _TEXT),
    ("as_of", _TIME),
    ("run_id", _TEXT),
    ("target", _TEXT),
    ("days", _WHOLE),
    ("probability", _NUMBER),
    ("probability_low", _NUMBER),
    ("probability_high", _NUMBER),
    ("kind", _TEXT),
)
REMAINING = (
    ("account_id", _TEXT),
    ("as_of", _TIME),
    ("run_id", _TEXT),
    ("target", _TEXT),
    ("expected_days", _NUMBER),
    ("expected_days_low", _NUMBER),
    ("expected_days_high", _NUMBER),
    ("curve_days", _WHOLE),
    ("value_per_year", _NUMBER),
    ("currency", _TEXT),
    ("months", _WHOLE),
    ("yearly_discount", _NUMBER),
    ("remaining_value", _NUMBER),
    ("remaining_value_low", _NUMBER),
    ("remaining_value_high", _NUMBER),
)
RENEWALS = (
    ("account_id", _TEXT),
    ("as_of", _TIME),
    ("run_id", _TEXT),
    ("target", _TEXT),
    ("renewal_date", _TIME),
    ("days_to_renewal", _WHOLE),
    ("name", _TEXT),
    ("owner", _TEXT),
    ("segment", _TEXT),
    ("value_per_year", _NUMBER),
    ("currency", _TEXT),
    ("probability", _NUMBER),
    ("probability_low", _NUMBER),
    ("probability_high", _NUMBER),
    ("value_at_risk", _NUMBER),
    ("reason", _TEXT),
)
MONTHLY = (
    ("as_of", _TIME),
    ("run_id", _TEXT),
    ("target", _TEXT),
    ("month", _TIME),
    ("segment", _TEXT),
    ("currency", _TEXT),
    ("value_due", _NUMBER),
    ("value_due_low", _NUMBER),
    ("value_due_high", _NUMBER),
    ("renewed", _NUMBER),
    ("renewed_low", _NUMBER),
    ("renewed_high", _NUMBER),
    ("lost", _NUMBER),
    ("lost_per_year", _NUMBER),
    ("lost_per_year_low", _NUMBER),
    ("lost_per_year_high", _NUMBER),
    ("value_under_notice", _NUMBER),
)


@dataclass(frozen=True)
class ForecastOptions:
    """How far remaining value looks, and what a year's delay costs."""

    months: int = 36
    yearly_discount: float = 0.0

    def __post_init__(self) -> None:
        if not 12 <= self.months <= 120:
            raise ConfigError(f"--months {self.months} must be between 12 and 120.")
        if not 0.0 <= self.yearly_discount < 1.0:
            raise ConfigError(
                f"--discount {self.yearly_discount} must be a yearly share from 0 up to, not"
                " including, 1."
            )

    @property
    def value_days(self) -> int:
        """The cap of remaining value in days."""
        return round(self.months * 365 / 12)


@dataclass(frozen=True)
class Recurring:
    """What all accounts of a run pay a year, by whether it comes up for renewal in the months of
    the forecast; the parts add up to `per_year`.

    Parameters
    ----------
    comes_up
        What is due if every account renews.
    ends_later
        Of terms that end after these months.
    no_known_end, under_notice, not_scored
        Of accounts without a known end, of those that have given notice or lapsed, and of those
        without a chance.
    """

    currency: str
    per_year: float
    comes_up: float
    ends_later: float
    no_known_end: float
    under_notice: float
    not_scored: float


@dataclass(frozen=True)
class ForecastSummary:
    """What a forecast rests on, and what must be known about it.

    Parameters
    ----------
    snapshots, past_accounts
        What hazards were fitted on.
    events
        Cause -> events among them.
    observed_until_day
        History shows events up to this day of a horizon.
    shock_deviation
        Deviation that all accounts of a month share; None under 6 months of history.
    has_calendar
        Some contract end is known ahead.
    """

    target: str
    run_id: str
    as_of: pd.Timestamp
    horizon_days: int | None
    accounts: int
    curve_days: int
    months: int
    yearly_discount: float
    snapshots: int
    past_accounts: int
    events: Mapping[str, int]
    observed_until_day: float
    shock_deviation: float | None
    has_calendar: bool
    recurring: "Recurring"
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Forecast:
    """What was published; tables have the published columns.

    `renewals` and `monthly` are empty where the target has no contracts; `remaining` where it is no
    leaving.
    """

    horizons: pd.DataFrame
    remaining: pd.DataFrame
    renewals: pd.DataFrame
    monthly: pd.DataFrame
    summary: ForecastSummary


def forecast_target(
    workspace: Workspace,
    connection: Connection,
    target: Target,
    as_of: date | None = None,
    options: ForecastOptions | None = None,
) -> Forecast:
    """Fit hazards on what had happened by the run's date, pass every curve through its published
    probability, publish.

    Raises
    ------
    ConfigError
        Where the target has no moment of its own (contraction, expansion).
    GateRefused
        Where the run has a scorecard instead of probabilities.
    """
    options = options or ForecastOptions()
    _refuse_kind(target)
    run = calibrated_run(workspace.store, target.name, as_of)
    staged = load_staged(workspace, connection)
    day = run.as_of
    people = _people(workspace, target, run)
    member = people[people["probability"].notna() & is_member(people)].reset_index(drop=True)
    if member.empty:
        raise GateRefused(
            f"run {run.run_id} holds no account with a probability; look at `tenure score`."
        )
    terms = terms_on(workspace, connection, staged, target, member.assign(as_of=day))
    if target.horizon_days is None:
        # The chance of not renewing needs an end to be about.
        has_end = terms["renewal_days"].notna().to_numpy()
        member, terms = (
            member[has_end].reset_index(drop=True),
            terms[has_end].reset_index(drop=True),
        )
    history = event_history(workspace, connection, staged, target, day)
    now = known_rows(target, terms, logit(member["probability"].to_numpy(dtype=np.float64)))
    edges = _edges(
        target,
        options,
        float(np.nanmax(np.concatenate([now.anchor_days, history.known.anchor_days]))),
    )
    hazards = fit_hazards(
        history.known,
        history.outcomes,
        history.accounts,
        edges,
        history.causes,
        seed=workspace.project.training.seed,
    )
    variances = _shocks(hazards, history)
    segments = sorted(people["segment"].fillna(NO_SEGMENT).unique())
    renewals = _due(target, now, member, edges, segments, day)
    chance = Chance(
        *(
            member[c].to_numpy(dtype=np.float64)
            for c in ("probability", "probability_low", "probability_high")
        )
    )
    account_forecast = forecast_accounts(
        hazards,
        now,
        chance,
        _own(target, history.causes),
        renewals,
        len(segments),
        MONTHS_OF_RENEWALS,
        draws_of(hazards, variances, seed=workspace.project.training.seed),
        curve_days=CURVE_DAYS,
        value_days=options.value_days,
        yearly_discount=options.yearly_discount,
    )
    common: dict[str, pd.Timestamp | str] = {
        "as_of": day,
        "run_id": run.run_id,
        "target": target.name,
    }
    forecast = Forecast(
        _horizons(target, account_forecast, now, member, history.causes).assign(**common),
        _remaining(target, account_forecast, member, options).assign(**common),
        _calendar(target, account_forecast, now, people, member, day).assign(**common),
        _monthly(target, account_forecast, people, segments, day).assign(**common),
        _summary(
            target,
            run,
            hazards,
            history,
            variances,
            options,
            member,
            now,
            _recurring(people, member, now, renewals),
        ),
    )
    _publish(workspace, run, forecast)
    return forecast


def forecast_account(workspace: Workspace, forecast: Forecast, wanted: str) -> str:
    """The id of an account of the forecast, named by its id or name.

    Raises
    ------
    NotFound
        Naming the nearest, where the forecast holds no such account.
    """
    run_id = forecast.summary.run_id
    people = workspace.store.read(
        "portfolio", columns=["account_id", "name"], filters=[("run_id", "=", run_id)]
    )
    people = people[people["account_id"].isin(forecast.horizons["account_id"])]
    return account_named(wanted, people, f"with a probability in run {run_id}")


def _refuse_kind(target: Target) -> None:
    if target.kind in ("contraction", "expansion"):
        raise ConfigError(
            f"target {target.name!r} of kind {target.kind} compares amounts at two dates, so there"
            " is no single moment to forecast. Choose a target of another kind with"
            " --target."
        )


def _people(workspace: Workspace, target: Target, run: RunRow) -> pd.DataFrame:
    """Scores of the run beside who the accounts are."""
    scores = read_scores(
        workspace.store,
        [("target", "=", target.name), ("run_id", "=", run.run_id)],
        ["account_id", "probability", "probability_low", "probability_high"],
    )
    about = workspace.store.read("portfolio", filters=[("run_id", "=", run.run_id)]).drop(
        columns=["as_of", "run_id"]
    )
    return scores.merge(about, on="account_id", how="left").sort_values(
        "account_id", kind="stable", ignore_index=True
    )


def hazard_edges(horizon_days: int | None, until_day: int, *, first_day: int = 0) -> Floats:
    """Edges of the periods: every 30 days, the primary horizon, the published curve's end and
    `until_day`.
    """
    return period_edges(
        horizon_days, max(until_day, CURVE_DAYS), (CURVE_DAYS, until_day), first_day=first_day
    )


def _edges(target: Target, options: ForecastOptions, furthest: float) -> Floats:
    until = max(options.value_days, REACH_DAYS, int(np.ceil(furthest / STEP_DAYS)) * STEP_DAYS)
    edges = hazard_edges(target.horizon_days, until, first_day=_first_day(target))
    return np.union1d(edges, [float(options.value_days)])


def _first_day(target: Target) -> int:
    """A silence of 90 days cannot be complete before day 90."""
    return int(target.horizon_days or 0) if target.kind == "inactivity" else 0


def _own(target: Target, causes: tuple[str, ...]) -> tuple[str, ...]:
    return (target.kind,) if target.kind in causes else ()


def _shocks(hazards: Hazards, history: History) -> Floats:
    """Observed beside expected in each account's first period, one snapshot of an account a
    month.
    """
    end = hazards.edges[1]
    month = history.as_of.dt.year.to_numpy() * 12 + history.as_of.dt.month.to_numpy()
    first = ~pd.DataFrame({"account": history.accounts, "month": month}).duplicated().to_numpy()
    rows = np.flatnonzero(first & (history.outcomes.observed_days >= end))
    expected = hazards.first_hazard(history.known.rows(rows))
    observed = (history.outcomes.days[rows] < end).astype(np.float64)
    return shock_variances(month[rows].astype(np.intp), observed, expected)


def _due(
    target: Target,
    now: Known,
    member: pd.DataFrame,
    edges: Floats,
    segments: list[str],
    day: pd.Timestamp,
) -> Renewals:
    """Contract ends until the last month is over, each in its period and its month."""
    first = day.to_period("M")
    over = ((first + MONTHS_OF_RENEWALS).start_time - day).days - target.gap_days
    count = int(np.searchsorted(edges, over))
    most = int(np.nan_to_num(_ends_until(now, float(over))).max(initial=0.0))
    ends = np.full((len(now), most), np.nan)
    for number in range(most):
        ends[:, number] = nth_end(number, now.renewal_days, now.term_days, now.terms)
    is_inside = ends < over
    at = np.where(is_inside, ends, 0.0)
    period = np.where(is_inside, np.searchsorted(edges, at, side="right") - 1, -1)
    middle = np.tile(0.5 * (edges[:count] + edges[1 : count + 1]), (len(now), 1))
    # What all share in a month reaches a period in the month of the first end that it holds.
    for number in reversed(range(most)):
        rows = np.flatnonzero(is_inside[:, number])
        middle[rows, period[rows, number]] = ends[rows, number]
    group = pd.Categorical(member["segment"].fillna(NO_SEGMENT), categories=segments).codes
    return Renewals(
        period=period.astype(np.intp),
        month=np.where(is_inside, _months_ahead(at, day, target.gap_days), -1).astype(np.intp),
        shared_month=_months_ahead(middle, day, target.gap_days),
        value=member["value_per_year"].to_numpy(dtype=np.float64),
        term_share=np.nan_to_num(share_of_year(now.term_days, now.terms)),
        group=np.asarray(group, dtype=np.intp),
    )


def _ends_until(now: Known, day: float) -> Floats:
    return ends_before(day, now.renewal_days, now.term_days, now.terms)


def _months_ahead(at: Floats, day: pd.Timestamp, gap_days: int) -> NDArray[np.intp]:
    """Number of the month that holds each day; -1 after the last month of the forecast."""
    dates = day + pd.to_timedelta(at.ravel() + gap_days, unit="D")
    months = ((dates.year - day.year) * 12 + dates.month - day.month).to_numpy().reshape(at.shape)
    return np.where(months < MONTHS_OF_RENEWALS, months, -1).astype(np.intp)


def _horizons(
    target: Target,
    account_forecast: AccountForecast,
    now: Known,
    member: pd.DataFrame,
    causes: tuple[str, ...],
) -> pd.DataFrame:
    """A row per account, day and kind; `total` is every cause, for a target that is one cause that
    cause.
    """
    edges = account_forecast.curves.edges
    days = [
        n for n, edge in enumerate(edges) if 0 < edge <= max(CURVE_DAYS, target.horizon_days or 0)
    ]
    kinds = (
        [("total", -1)]
        if causes == ("all",)
        else [("total", -1), *((c, n) for n, c in enumerate(causes))]
    )
    stacked = np.concatenate(
        [account_forecast.curves.incidence, account_forecast.curves.total[None]]
    )
    low, high = account_forecast.low.copy(), account_forecast.high.copy()
    own = causes.index(target.kind) if target.kind in causes else -1
    _through_primary(low, high, own, edges, now, member)
    pieces = []
    for kind, number in kinds:
        for each in days:
            pieces.append(
                pd.DataFrame(
                    {
                        "account_id": member["account_id"],
                        "days": int(edges[each]) + target.gap_days,
                        "kind": kind,
                        "probability": stacked[number, :, each],
                        "probability_low": low[number, :, each],
                        "probability_high": high[number, :, each],
                    }
                )
            )
    return pd.concat(pieces).sort_values(
        ["account_id", "kind", "days"], kind="stable", ignore_index=True
    )


def _through_primary(
    low: Floats, high: Floats, own: int, edges: Floats, now: Known, member: pd.DataFrame
) -> None:
    """At the primary horizon the ends are the published ones; before it none lies above them, after
    it none below.
    """
    anchor = np.searchsorted(edges, now.anchor_days)
    place = np.arange(len(edges))[None, :]
    for ends, name in ((low, "probability_low"), (high, "probability_high")):
        said = member[name].to_numpy(dtype=np.float64)[:, None]
        mine = ends[own]
        # A curve of chances only rises: before the anchor no end may pass what is said there, after
        # it none may fall below.
        mine[:] = np.where(place < anchor[:, None], np.minimum(mine, said), np.maximum(mine, said))
        mine[np.arange(len(mine)), anchor] = said[:, 0]


def _empty(columns: Sequence[tuple[str, pa.DataType]]) -> pd.DataFrame:
    """No rows, with the types of the published table."""
    table: pd.DataFrame = pa.schema(list(columns)).empty_table().to_pandas()
    return table


def _remaining(
    target: Target,
    account_forecast: AccountForecast,
    member: pd.DataFrame,
    options: ForecastOptions,
) -> pd.DataFrame:
    if target.kind not in LEAVING:
        return _empty(REMAINING)
    table = member[["account_id", "value_per_year", "currency"]].assign(
        curve_days=CURVE_DAYS, months=options.months, yearly_discount=options.yearly_discount
    )
    for name, values in (
        ("expected_days", account_forecast.days),
        ("remaining_value", account_forecast.value),
    ):
        for end, row in zip(("", "_low", "_high"), values, strict=True):
            table[name + end] = row
    return table


def _calendar(
    target: Target,
    account_forecast: AccountForecast,
    now: Known,
    people: pd.DataFrame,
    member: pd.DataFrame,
    day: pd.Timestamp,
) -> pd.DataFrame:
    """Next contract ends within a year, soonest first; accounts under notice stand there without a
    probability.
    """
    about = ["account_id", "name", "owner", "segment", "value_per_year", "currency"]
    if not np.isfinite(now.renewal_days).any():
        return _empty(RENEWALS)
    due = np.nan_to_num(now.renewal_days, nan=np.inf) < account_forecast.curves.edges[-1]
    after = np.searchsorted(account_forecast.curves.edges, now.renewal_days, side="right")[due]
    rows = np.flatnonzero(due)
    table = member.iloc[rows][about].assign(
        days_to_renewal=np.floor(now.renewal_days[due] + target.gap_days),
        renewal_date=day + pd.to_timedelta(now.renewal_days[due] + target.gap_days, unit="D"),
        probability=account_forecast.curves.total[rows, after],
        probability_low=account_forecast.low[-1, rows, after],
        probability_high=account_forecast.high[-1, rows, after],
        reason=None,
    )
    leaving = people[is_leaving(people) & people["renewal_date"].notna()]
    noticed = leaving[about].assign(
        renewal_date=leaving["renewal_date"],
        days_to_renewal=(leaving["renewal_date"] - day).dt.days,
        probability=np.nan,
        probability_low=np.nan,
        probability_high=np.nan,
        reason=leaving["state"],
    )
    table = pd.concat([table, noticed]) if len(noticed) else table
    table = table[table["days_to_renewal"] < CURVE_DAYS]
    table["value_at_risk"] = table["value_per_year"] * table["probability"]
    return table.sort_values(["renewal_date", "account_id"], kind="stable", ignore_index=True)


def _monthly(
    target: Target,
    account_forecast: AccountForecast,
    people: pd.DataFrame,
    segments: list[str],
    day: pd.Timestamp,
) -> pd.DataFrame:
    """A row per month and segment, and one of all segments together with an interval of its own.

    Due, renewed and lost are what the terms that end are paid, at most a year's money of each: a
    monthly contract counts a twelfth a month, and twelve months add up to a year. `lost_per_year`
    and `value_under_notice` are recurring money a year.
    """
    due = account_forecast.months[0, 0]
    if target.kind not in ("churn", "voluntary", "involuntary") or not due.sum():
        return _empty(MONTHLY)
    first = pd.Timestamp(year=day.year, month=day.month, day=1)
    noticed = people[is_leaving(people) & people["renewal_date"].notna()]
    currency = str(people["currency"].iloc[0])
    records = []
    for month in range(MONTHS_OF_RENEWALS):
        starts = first + pd.DateOffset(months=month)
        ends = noticed[
            (noticed["renewal_date"] >= starts)
            & (noticed["renewal_date"] < starts + pd.DateOffset(months=1))
        ]
        for number, segment in enumerate([*segments, ALL]):
            of_notice = (
                ends if segment == ALL else ends[ends["segment"].fillna(NO_SEGMENT) == segment]
            )
            triples = account_forecast.months[:, :, month, number]
            records.append(
                {
                    "month": starts,
                    "segment": segment,
                    "currency": currency,
                    "value_due": triples[0, 0],
                    "value_due_low": triples[1, 0],
                    "value_due_high": triples[2, 0],
                    "renewed": triples[0, 1],
                    "renewed_low": triples[1, 1],
                    "renewed_high": triples[2, 1],
                    "lost": triples[0, 0] - triples[0, 1],
                    "lost_per_year": triples[0, 2],
                    "lost_per_year_low": triples[1, 2],
                    "lost_per_year_high": triples[2, 2],
                    "value_under_notice": float(of_notice["value_per_year"].sum()),
                }
            )
    return pd.DataFrame(records)


def _recurring(
    people: pd.DataFrame, member: pd.DataFrame, now: Known, renewals: Renewals
) -> Recurring:
    """Where the money of all accounts of the run stands in the forecast."""
    paid = people.set_index("account_id")["value_per_year"].fillna(0.0)
    has_end = np.isfinite(now.renewal_days)
    mine = paid.loc[member["account_id"]].to_numpy()
    comes_up = renewals.due_if_all_renew
    of_notice = paid[is_leaving(people).to_numpy()].sum()
    no_end = mine[~has_end].sum()
    others = paid[~paid.index.isin(member["account_id"]) & ~is_leaving(people).to_numpy()]
    # Accounts with a chance that are not in the forecast have no end to be about.
    has_chance = people.set_index("account_id")["probability"].notna().loc[others.index]
    return Recurring(
        currency=str(people["currency"].iloc[0]),
        per_year=float(paid.sum()),
        comes_up=float(comes_up.sum()),
        ends_later=float(mine[has_end].sum() - comes_up.sum()),
        no_known_end=float(no_end + others[has_chance].sum()),
        under_notice=float(of_notice),
        not_scored=float(others[~has_chance].sum()),
    )


def _summary(
    target: Target,
    run: RunRow,
    hazards: Hazards,
    history: History,
    variances: Floats,
    options: ForecastOptions,
    member: pd.DataFrame,
    now: Known,
    recurring: Recurring,
) -> ForecastSummary:
    """The summary, with notes on what the forecast cannot say."""
    notes = []
    has_calendar = bool(np.isfinite(now.renewal_days).any())
    if not has_calendar:
        notes.append(
            "no contract end is known ahead, so there is no renewal calendar and no renewal"
            " forecast."
        )
    if history.causes == ("all",) and target.kind == "churn":
        notes.append(
            f"leaving is one cause: fewer than {MIN_CLASS} accounts left by choice, or fewer than"
            f" {MIN_CLASS} not by choice, with the reason known."
        )
    last = float(hazards.edges[np.searchsorted(hazards.edges, hazards.last_day)])
    if last < options.value_days:
        notes.append(
            f"history shows events up to day {last:.0f}; beyond it the hazard changes only with"
            " contract ends and age."
        )
    if np.isnan(variances[0]):
        notes.append(
            "under 6 months of history: monthly intervals hold chance and the model's error, no"
            " shocks that all share."
        )
    unknown = int(member["value_per_year"].isna().sum())
    if unknown and target.kind in LEAVING:
        notes.append(
            f"{unknown} accounts have no value per year: no remaining value, and nothing in the"
            " monthly sums."
        )
    if target.kind == "inactivity":
        notes.append(
            f"the event is {target.horizon_days} days in a row without activity, complete by the"
            f" day named: no day before {target.horizon_days} can have it."
        )
    return ForecastSummary(
        target=target.name,
        run_id=run.run_id,
        as_of=run.as_of,
        horizon_days=target.horizon_days,
        accounts=len(member),
        curve_days=CURVE_DAYS,
        months=options.months,
        yearly_discount=options.yearly_discount,
        snapshots=len(history.known),
        past_accounts=int(history.accounts.max()) + 1,
        events=dict(zip(hazards.causes, hazards.events, strict=True)),
        observed_until_day=last,
        shock_deviation=None if np.isnan(variances[0]) else float(np.sqrt(variances[0])),
        has_calendar=has_calendar,
        recurring=recurring,
        notes=tuple(notes),
    )


def _publish(workspace: Workspace, run: RunRow, forecast: Forecast) -> None:
    tables = (
        ("horizons", forecast.horizons, HORIZONS),
        ("remaining_value", forecast.remaining, REMAINING),
        ("renewals", forecast.renewals, RENEWALS),
        ("renewal_forecast", forecast.monthly, MONTHLY),
    )
    for name, table, columns in tables:
        schema = pa.schema(list(columns))
        rows = pa.Table.from_pandas(
            table.reindex(columns=schema.names), schema=schema, preserve_index=False
        )
        workspace.store.write(
            name, rows, replace=f"run_id = '{run.run_id}'", partition_by=["run_id"]
        )
    note_tables(workspace, run.target, run.run_id, [name for name, _, _ in tables])
