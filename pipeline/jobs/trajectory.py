"""Where the accounts of a run come from and where they go: own past, projection, three ways; the
table `trajectory`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from math import ceil
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from features.errors import ConfigError
from features.facts import SourceFacts
from features.snapshots import activity_filter
from features.windows import day_number, is_latest
from models.bundle import Bundle
from models.health.standing import LEAVING, MEMBER, is_member
from models.methods.base import Floats
from models.trajectory import (
    AHEAD,
    COVERAGE,
    DIRECTIONS,
    LOOK_BACK,
    MIN_PAST,
    UNKNOWN,
    Measured,
    Panel,
    Projected,
    ThreeWayMeasured,
    against_own_past,
    chance_of_rise,
    fit_projector,
    measure,
    measure_ways,
    movement_records,
    past_pairs,
    past_ways,
    project,
    three_ways,
    use_on,
)
from pipeline.artefacts import note_tables
from pipeline.config.schema import Target
from pipeline.engine.duckdb import Connection
from pipeline.engine.facts import source_facts
from pipeline.jobs.history import CHECKS, PAST_SCORES, TRAJECTORY, TrajectorySummary
from pipeline.jobs.past_runs import past_bundle
from pipeline.jobs.past_scores import STEP_DAYS, past_scores
from pipeline.jobs.retention import Retention
from pipeline.jobs.stage import load_staged
from pipeline.ledger import RunRow, calibrated_run
from pipeline.published import read_scores
from pipeline.staging.staged import StagedSource
from pipeline.workspace import Workspace, activity_source, population_rule, population_source

KINDS = ("churn", "inactivity")
_TEXT, _NUMBER, _TIME, _WHOLE = pa.string(), pa.float64(), pa.timestamp("us"), pa.int64()
_KEYS = (("account_id", _TEXT), ("as_of", _TIME), ("target", _TEXT), ("run_id", _TEXT))
_BANDS = ("leaving", "at_risk", "stable", "healthy")
_DAYS = tuple(STEP_DAYS * ahead for ahead in AHEAD)
ACCOUNT_COLUMNS = (
    *_KEYS,
    ("health", _WHOLE),
    ("band", _TEXT),
    ("movement", _TEXT),
    ("past_dates", _WHOLE),
    ("past_health", _NUMBER),
    ("usual_health", _NUMBER),
    ("usual_wobble", _NUMBER),
    ("fall", _NUMBER),
    ("fell_by", _TIME),
    ("slope_30d", _NUMBER),
    ("p_leaves", _NUMBER),
    ("p_rises", _NUMBER),
    ("p_stays", _NUMBER),
    ("use_last", _NUMBER),
    ("use_before", _NUMBER),
    ("direction", _TEXT),
    *(
        (name.format(days=days), kind)
        for days in _DAYS
        for name, kind in (
            ("calendar_health_{days}d", _NUMBER),
            ("health_{days}d", _WHOLE),
            ("health_low_{days}d", _WHOLE),
            ("health_high_{days}d", _WHOLE),
            *((f"p_{band}_{{days}}d", _NUMBER) for band in _BANDS),
        )
    ),
)
PAST_COLUMNS = (*_KEYS, ("health_exact", _NUMBER), ("probability", _NUMBER), ("state", _TEXT))


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What was published: a row per account, its past as the run's model would have said it, and
    how good all that is.
    """

    accounts: pd.DataFrame
    past: pd.DataFrame
    summary: TrajectorySummary
    people: pd.DataFrame
    """account_id, name, owner, value_per_year, currency as of the run."""


def trajectory_target(
    workspace: Workspace, connection: Connection, target: Target, as_of: date | None = None
) -> Trajectory:
    """Compute and publish the trajectory of every account of a run.

    Raises
    ------
    ConfigError
        Where the target is no leaving within days on a grid of dates.
    GateRefused
        Where the run has a scorecard instead of probabilities.
    NotFound
        Without a published run, or one of that date.
    """
    _refuse_target(target)
    run = calibrated_run(workspace.store, target.name, as_of)
    bundle = past_bundle(workspace, target, run)
    staged = load_staged(workspace, connection)
    user_days = _user_days(workspace, connection, staged, target, run.day)
    inputs = _TrajectoryInputs(
        past_scores(workspace, connection, target, bundle, run.run_id, run.day),
        bundle,
        target,
        workspace.project.training.seed,
        [],
    )
    columns: dict[str, Any] = {"account_id": inputs.panel.account_ids, **_own_past_columns(inputs)}
    projections: dict[int, Measured | None] = {}
    for ahead in AHEAD:
        projected, projections[STEP_DAYS * ahead] = _projection(inputs, ahead)
        columns |= _projection_columns(inputs, ahead, projected)
    ways, ways_measured = _three_ways(inputs, user_days)
    accounts = _accounts(workspace, run, pd.DataFrame(columns | ways))
    common: Any = {"target": target.name, "run_id": run.run_id}
    trajectory = Trajectory(
        accounts.assign(**common),
        _past_table(inputs.panel).assign(**common),
        _summary(inputs, run, projections, ways_measured, accounts),
        _people(workspace, run),
    )
    _publish(workspace, run.run_id, target, trajectory)
    return trajectory


def _refuse_target(target: Target) -> None:
    if target.kind not in KINDS or target.horizon_days is None or target.dates.anchor is not None:
        anchored = ", dates by anchor" if target.dates.anchor else ""
        raise ConfigError(
            f"target {target.name!r} (kind {target.kind}, horizon"
            f" {target.horizon or target.horizon_days}{anchored})"
            f" has no trajectory: that needs kind {' or '.join(KINDS)}, horizon_days and a grid of"
            " dates. Choose another with --target."
        )


@dataclass(frozen=True, eq=False)
class _TrajectoryInputs:
    """What every part reads: the past, the model, and where notes go."""

    panel: Panel
    bundle: Bundle
    target: Target
    seed: int
    notes: list[str]

    @property
    def first_origin(self) -> int:
        """Place of the first date whose outcomes the model was not taught."""
        last = self.bundle.published.training.learned_until
        return int(
            np.searchsorted(
                [day_number(d) for d in self.panel.dates], day_number(last), side="right"
            )
        )

    @property
    def horizon_parts(self) -> int:
        """Steps of the grid in a horizon, at least one."""
        return max(1, round(int(self.target.horizon_days or 0) / STEP_DAYS))

    @property
    def label_parts(self) -> int:
        """Steps until the label of a date is complete."""
        return ceil(
            (self.target.gap_days + int(self.target.horizon_days or 0) + self.target.grace_days)
            / STEP_DAYS
        )


# --- own past
# -----------------------------------------------------------------------------------------------


def _own_past_columns(inputs: _TrajectoryInputs) -> dict[str, Any]:
    """Columns of the comparison with the own past."""
    panel, own_past = inputs.panel, against_own_past(inputs.panel.path)
    if panel.now < MIN_PAST:
        inputs.notes.append(
            f"{panel.now} past dates since the model's first training date: {MIN_PAST} are needed"
            " before an account can be compared with its own past."
        )
    days = np.array([np.datetime64(d, "us") for d in panel.dates])
    shown = pd.DataFrame(panel.health[:, max(0, panel.now - LOOK_BACK) : panel.now])
    return {
        "movement": own_past.movement,
        "past_dates": own_past.dates,
        "past_health": shown.median(axis=1).to_numpy(dtype=np.float64),
        "usual_health": own_past.usual,
        "usual_wobble": own_past.wobble,
        "fall": own_past.fall,
        "fell_by": np.where(own_past.since >= 0, days[own_past.since], np.datetime64("NaT")),
        "slope_30d": own_past.slope,
        "direction": np.array(DIRECTIONS)[panel.direction[:, panel.now]],
    }


# --- projection
# ---------------------------------------------------------------------------------------------


def _projection(inputs: _TrajectoryInputs, ahead: int) -> tuple[Projected | None, Measured | None]:
    """Where accounts will stand; nothing where its coverage could not be measured."""
    panel, days = inputs.panel, STEP_DAYS * ahead
    pairs, health = past_pairs(panel, ahead)
    measured = measure(
        pairs, health, inputs.bundle.scale, inputs.first_origin, ahead, seed=inputs.seed
    )
    if measured is None:
        inputs.notes.append(
            f"no projection to {days} days: too few accounts have scores on two dates {days} days"
            " apart after the model's training, so how often the interval holds cannot be"
            " measured. Score again later."
        )
        return None, None
    projector = fit_projector(pairs, inputs.bundle.scale)
    if np.isnan(projector.exponent):
        inputs.notes.append(
            f"no chances of bands in {days} days: too few accounts with the event within {days}"
            " days of a past date."
        )
    everyone = np.arange(len(panel.account_ids))
    return (
        project(projector, panel.standing(ahead, everyone, np.full_like(everyone, panel.now))),
        measured,
    )


def _projection_columns(
    inputs: _TrajectoryInputs, ahead: int, projected: Projected | None
) -> dict[str, Any]:
    days, carried = STEP_DAYS * ahead, inputs.panel.carried[ahead][:, inputs.panel.now]
    health = (
        np.full((len(carried), 3), np.nan)
        if projected is None
        else np.floor(projected.health + 0.5)
    )
    chances = (
        np.full((len(carried), len(_BANDS)), np.nan) if projected is None else projected.chances
    )
    return {
        f"calendar_health_{days}d": carried,
        **{
            f"{name}_{days}d": health[:, place]
            for place, name in enumerate(("health_low", "health", "health_high"))
        },
        **{f"p_{band}_{days}d": chances[:, place] for place, band in enumerate(_BANDS)},
    }


# --- three ways
# ---------------------------------------------------------------------------------------------


def _user_days(
    workspace: Workspace,
    connection: Connection,
    staged: Mapping[str, StagedSource],
    target: Target,
    day: date,
) -> pd.DataFrame:
    """User-days per account and step of the grid before the run's date; part 0 is the newest.

    A part counts what was known by its end, the newest and the oldest alike, so that late rows make
    no decline of today.
    """
    name = activity_source(workspace, target)
    kind, population_name = population_source(workspace, target)
    facts: SourceFacts = source_facts(staged[name], {})
    rule = population_rule(kind, target, dict(facts.decimals))
    which = activity_filter(rule) if population_name == name else "true"
    person = "coalesce(f.user_id, '')" if "user_id" in facts.mapped else "''"
    event, last = str(staged[name].contract.event_time), day_number(day)
    return connection.execute(f"""
select d.account_id, d.part, count(*) as user_days from (
  select f.account_id, {person} as person, f.{event}_day as day, min(f.known_from_day) as known_day,
    cast(floor(({last} - 1 - f.{event}_day) / {STEP_DAYS}e0) as bigint) as part
  from {facts.table} f where {which} and {is_latest("f")} and f.{event}_day < {last}
    group by 1, 2, 3, 5) d
where d.known_day < {last} - {STEP_DAYS} * d.part
group by 1, 2 order by 1, 2""").df()


def _parts(inputs: _TrajectoryInputs, use: pd.DataFrame) -> Floats:
    """User-days per account of the panel and part, oldest first, as `use_on` wants them; what lies
    before the data is 0.
    """
    ids = pd.Index(inputs.panel.account_ids)
    count = len(inputs.panel.dates) + 2 * inputs.horizon_parts
    table = np.zeros((len(ids), count))
    rows, part = ids.get_indexer(use["account_id"]), use["part"].to_numpy(dtype=np.int64)
    inside = (rows >= 0) & (part < count)
    table[rows[inside], count - 1 - part[inside]] = use["user_days"].to_numpy(dtype=np.float64)[
        inside
    ]
    return table


def _three_ways(
    inputs: _TrajectoryInputs, user_days: pd.DataFrame
) -> tuple[dict[str, Any], ThreeWayMeasured | None]:
    """Chances of the three ways; without enough evidence only that of leaving."""
    panel = inputs.panel
    use = use_on(panel, _parts(inputs, user_days), inputs.horizon_parts)
    ways = past_ways(panel, use)
    model, measured = ways.model(), measure_ways(ways, inputs.first_origin, inputs.label_parts)
    everyone = np.arange(len(panel.account_ids))
    now, p = use.at(everyone, np.full_like(everyone, panel.now)), panel.probability[:, panel.now]
    columns = {"p_leaves": p, "use_last": now.last, "use_before": now.before}
    if model is None or measured is None:
        inputs.notes.append(
            "whether use rises is not said: too few past dates with known outcomes, or too few"
            " rises among them."
        )
        return (
            columns | {"p_rises": np.full(len(p), np.nan), "p_stays": np.full(len(p), np.nan)},
            None,
        )
    if not measured.is_better:
        inputs.notes.append(
            "the trend of use did not tell who rises on later dates: the share among all kept"
            " accounts is given."
        )
    chances = three_ways(p, chance_of_rise(model, now, constant=not measured.is_better))
    return columns | {"p_rises": chances[:, 1], "p_stays": chances[:, 2]}, measured


# --- what is published
# --------------------------------------------------------------------------------------


def _accounts(workspace: Workspace, run: RunRow, columns: pd.DataFrame) -> pd.DataFrame:
    """Rows of the run's accounts; who leaves already, or of whom nothing is known, has no
    trajectory.
    """
    scores = read_scores(
        workspace.store,
        [("target", "=", run.target), ("run_id", "=", run.run_id)],
        ["account_id", "health", "band", "band_reason", "state"],
    )
    accounts = scores.merge(columns, on="account_id").sort_values("account_id", ignore_index=True)
    accounts = accounts.assign(as_of=pd.Timestamp(run.day))
    gone = accounts["health"].isna() | ~is_member(accounts)
    keep = {
        "account_id",
        "as_of",
        "health",
        "band",
        "band_reason",
        "state",
        "movement",
        "past_dates",
        "use_last",
        "use_before",
        "direction",
    }
    accounts.loc[gone, "movement"] = UNKNOWN
    accounts.loc[gone, [c for c in accounts.columns if c not in keep]] = None
    return accounts


def _people(workspace: Workspace, run: RunRow) -> pd.DataFrame:
    return workspace.store.read(
        "portfolio",
        columns=["account_id", "name", "owner", "value_per_year", "currency"],
        filters=[("run_id", "=", run.run_id)],
    )


def _past_table(panel: Panel) -> pd.DataFrame:
    """Rows of everybody who was there on the past dates, by account and date; the run's own date is
    in `scores`.
    """
    account, place = np.nonzero(panel.is_there[:, :-1])
    days = np.array([np.datetime64(d, "us") for d in panel.dates])
    return pd.DataFrame(
        {
            "account_id": panel.account_ids[account],
            "as_of": days[place],
            "health_exact": panel.health[account, place],
            "probability": panel.probability[account, place],
            "state": np.where(panel.is_member[account, place], MEMBER, LEAVING),
        }
    )


def _summary(
    inputs: _TrajectoryInputs,
    run: RunRow,
    projections: Mapping[int, Measured | None],
    ways: ThreeWayMeasured | None,
    accounts: pd.DataFrame,
) -> TrajectorySummary:
    """What was found, and how good it is on dates after the model's training."""
    panel, target = inputs.panel, inputs.target
    return TrajectorySummary(
        target=target.name,
        run_id=run.run_id,
        as_of=run.day.isoformat(),
        horizon_days=int(target.horizon_days or 0),
        accounts=int(accounts["p_leaves"].notna().sum()),
        past_dates=len(panel.dates) - 1,
        step_days=STEP_DAYS,
        first_date=panel.dates[0].isoformat(),
        tested_from=_tested_from(inputs),
        movements={
            str(k): int(v) for k, v in accounts["movement"].value_counts().sort_index().items()
        },
        movement_records=movement_records(panel, inputs.first_origin),
        nominal_coverage=COVERAGE,
        use_days=inputs.horizon_parts * STEP_DAYS,
        projections=projections,
        three_ways=ways,
        notes=tuple(inputs.notes),
    )


def _tested_from(inputs: _TrajectoryInputs) -> str | None:
    dates = inputs.panel.dates[inputs.first_origin :]
    return dates[0].isoformat() if dates else None


def _publish(workspace: Workspace, run_id: str, target: Target, trajectory: Trajectory) -> None:
    past, newest = trajectory.past, trajectory.accounts["as_of"].max()
    first = None if past.empty else Retention.of(workspace).first_kept(newest)
    for name, rows, columns in (
        (TRAJECTORY, trajectory.accounts, ACCOUNT_COLUMNS),
        (PAST_SCORES, past if first is None else past[past["as_of"] >= first], PAST_COLUMNS),
    ):
        schema = pa.schema(list(columns))
        frame = rows.reindex(columns=schema.names)
        for column, kind in columns:
            if pa.types.is_int64(kind):
                frame[column] = frame[column].astype("Int64")
        workspace.store.write(
            name,
            pa.Table.from_pandas(frame, schema=schema, preserve_index=False),
            replace=f"run_id = '{run_id}'",
            partition_by=["run_id"],
        )
    entry = {
        "run_id": run_id,
        "target": target.name,
        "facts": json.dumps(trajectory.summary.to_dict(), sort_keys=True),
    }
    workspace.store.write(
        CHECKS,
        pa.Table.from_pylist([entry]),
        replace=f"run_id = '{run_id}'",
        partition_by=["run_id"],
    )
    note_tables(workspace, target.name, run_id, (TRAJECTORY, PAST_SCORES, CHECKS))
