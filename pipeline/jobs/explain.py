"""One account of the published run: its score, its reasons, and whether the points add."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from features.catalogue import DIMENSIONS
from features.definition import Signal
from features.dimensions.season import DRIVER as SEASON
from features.errors import ContractError
from models.bundle import Bundle, score
from models.drivers import (
    REASONS,
    REST,
    Twins,
    account_reasons,
    reasons_in_words,
    shown_driver,
    sure_drivers,
)
from models.health import Promise, reads_decision, sub_scores
from models.health.scale import GOOD_EVENT_BANDS, HEALTH_BANDS
from models.health.standing import standing, standing_of
from models.health.words import (
    edge_words,
    health_horizon_words,
    sentence_of,
    timing_words,
    unsure_band,
)
from models.model import Model
from models.target_words import TARGET_WORDS
from pipeline.actions.plays import PlannedPlay
from pipeline.config.schema import Target
from pipeline.jobs.accounts import account_named
from pipeline.jobs.driver_rows import DRIVERS, SPOKEN, keeps_one_sentence, read_drivers
from pipeline.jobs.explain_scale import band_edges, published_ranges
from pipeline.jobs.history import AccountTrajectory, account_trajectories
from pipeline.jobs.plan_plays import planned_of
from pipeline.jobs.point_bound import BoundCheck, check_bound
from pipeline.jobs.registry import load_version
from pipeline.ledger import published_run, run_history
from pipeline.published import read_scores
from pipeline.tracking import CHALLENGER, CHAMPION
from pipeline.workspace import Workspace

OPEN_DAYS = 91
"""A play not done after a quarter was dropped, whatever the table says."""
MOVES = 4
"""Drivers that are told of what moved since the run before."""
ADVISED = 2
"""Reasons with a next step; more than two steps is a list that nobody does."""
_POINTS = "points_displayed"
_AS_OBJECTS = {name: object for name, kind in DRIVERS if pa.types.is_string(kind)}
"""Text of a few rows is handled several times faster so."""
_FACTS = ("standing", "clock", "calendar")
_HISTORY = ["account_id", "run_id", "as_of", "health", "model_version"]
_HISTORY_WORDS = ("account_id", "run_id", "band", "state", "standing", "model_version")
_NO_HISTORY = pd.DataFrame(columns=[*_HISTORY, "standing", "marker"])
_NO_DRIVERS: pd.DataFrame = (
    pa.schema(list(DRIVERS)).empty_table().to_pandas().astype(dict.fromkeys(SPOKEN, "str"))
)


@dataclass(frozen=True)
class SinceLast:
    """What moved since the run before.

    `moves` are the drivers that moved by whole points, the largest first: points gained, and what
    is so now; empty where another model gave the score before.
    """

    as_of: pd.Timestamp
    health: int | None
    standing: str
    moves: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Explained:
    """Published rows of one account, and what its model says of them."""

    score: dict[str, Any]
    drivers: pd.DataFrame
    """Published columns, and: protects (holds the score up, and its value argues for that), is_sure
    and twins (names of the measures that are counted in), which only the model knows.
    """
    account: dict[str, Any]
    dimensions: pd.DataFrame
    """Sub-scores: dimension, points, points_displayed; with the base they add to the score."""
    scale_sentence: str
    """What accounts with such a score were promised and did; empty without a probability."""
    unsure_band: str
    """`at risk or stable` where the score's range crosses a band edge, else empty."""
    to_edges: str
    """Points to the neighbouring bands, in words; empty without a score."""
    reasons: tuple[tuple[str, float], ...] = ()
    """Reasons from the short list with their points, the heaviest first; none: not explained."""
    reseeded_health: int | None = None
    """What the same model from another seed shows; None where that is not kept."""
    history: pd.DataFrame | None = None
    """as_of, health, standing, marker of the runs that readers see of each date, oldest first."""
    open_actions: tuple[Mapping[str, Any], ...] = ()
    """Plays assigned and not done at the date: play, owner, assigned_at."""
    trajectory: AccountTrajectory | None = None
    """Own past and projection; None where `tenure trajectory` was not asked of the run."""
    since: "SinceLast | None" = None
    """What moved since the run before; None for the first run of the account."""
    planned: PlannedPlay | None = None
    """What the run's plan of plays says; None: nothing."""

    @property
    def standing(self) -> str:
        """Where lists show the account: its band, or `leaving` or `unknown`."""
        return standing_of(self.score)

    @property
    def timing(self) -> str:
        """When the contract decides, in words; empty where health is read at its own date."""
        return timing_words(
            self.score["as_of"], self.score.get("decides_on"), self.score["horizon_days"]
        )

    @property
    def why(self) -> str:
        """`low use, sponsor lost`; an account at risk without reasons is `not explained`, another
        has nothing to explain.
        """
        has_none_to_give = self.standing in GOOD_EVENT_BANDS or self.has_one_sentence
        if has_none_to_give or not (self.reasons or self.standing == "at_risk"):
            return ""
        return reasons_in_words([reason for reason, _ in self.reasons])

    @property
    def advice(self) -> tuple[str, ...]:
        """What to do about the first reasons, in their order; healthy accounts need no play."""
        needs_one = self.standing in HEALTH_BANDS[:2]
        return (
            tuple(REASONS[reason].advice for reason, _ in self.reasons[:ADVISED])
            if needs_one
            else ()
        )

    @property
    def protects(self) -> tuple[str, ...]:
        """What holds the score up most, in words without comparisons."""
        up = [
            (-row["points"], row["driver"], f"{row['said']} ({row['points_displayed']:+d})")
            for row in self.driver_rows
            if row["protects"] and row["points_displayed"] > 0
        ]
        return tuple(words for *_, words in sorted(up, key=lambda each: each[:2])[:ADVISED])

    @cached_property
    def has_one_sentence(self) -> bool:
        """Whether its drivers are of a run that kept no signals and no reasons."""
        return keeps_one_sentence(self.drivers)

    @cached_property
    def history_rows(self) -> list[dict[str, Any]]:
        """The history row by row, the newest first."""
        return [] if self.history is None else _records(self.history)[::-1]

    @cached_property
    def driver_rows(self) -> list[dict[str, Any]]:
        """The drivers row by row: columns of a table this small cost more than they save."""
        return _records(self.drivers)


def published_rows(
    workspace: Workspace, target: Target, table: str, as_of: date | None = None
) -> pd.DataFrame:
    """Rows of the current run of a target, or of the run of a date, in a published table.

    Raises
    ------
    NotFound
        When nothing was published yet, or nothing of that date.
    """
    run = published_run(workspace.store, target.name, as_of)
    mine = [("run_id", "=", run.run_id)]
    if table == "scores":
        return read_scores(workspace.store, mine)
    return workspace.store.read(table, filters=mine)


def explain_account(
    workspace: Workspace,
    target: Target,
    account: str,
    as_of: date | None = None,
    *,
    ask_model: bool = False,
) -> Explained:
    """What was published of one account.

    Parameters
    ----------
    account
        Its id or its name.
    as_of
        Of the run of this date; default: the current run.
    ask_model
        Load the model too, and have its twin of another seed say which drivers are sure; else the
        store suffices.

    Raises
    ------
    NotFound
        Naming the nearest accounts, or the dates of the runs there are.
    """
    people = published_rows(workspace, target, "portfolio", as_of)
    where = "in the current run" if as_of is None else f"in the run of {as_of}"
    account_id = account_named(account, people, where)
    return next(explain_accounts(workspace, target, [account_id], as_of, ask_model=ask_model))


def explain_accounts(
    workspace: Workspace,
    target: Target,
    accounts: Sequence[str],
    as_of: date | None = None,
    *,
    ask_model: bool = False,
) -> Iterator[Explained]:
    """What was published of several accounts of a run, by their ids; every table is read once."""
    run = published_run(workspace.store, target.name, as_of)
    run_id, day = run.run_id, run.as_of
    mine = ("account_id", "in", list(accounts))
    # Tables are kept by date, so that naming the date leaves the files of others unread.
    of_run = [("run_id", "=", run_id), ("as_of", "=", day), mine]
    people = _row_of_each(
        workspace.store.read("portfolio", filters=[("run_id", "=", run_id), mine])
    )
    scores = read_scores(workspace.store, of_run)
    score_of = _row_of_each(scores)
    read = _read(read_drivers(workspace.store, of_run))
    reasons_of = _reasons_of(read)
    drivers = _by_account(read)
    history = _by_account(_history(workspace, target, accounts, day))
    actions = _open_actions(workspace, accounts, day)
    trajectories = account_trajectories(workspace, run_id, accounts)
    ranges = (
        published_ranges(workspace, target, run.model_version)
        if (scores["basis"] == "calibrated").any()
        else ()
    )
    before = _by_account(_drivers_before(workspace, history, mine))
    planned = planned_of(workspace, run_id, accounts)
    none = _read(_NO_DRIVERS)
    for account in accounts:
        score = score_of[account]
        mine_drivers, reseeded_health = drivers.get(account, none), None
        if ask_model:
            mine_drivers, reseeded_health = _verified(workspace, target, score, mine_drivers)
        runs = history.get(account, _NO_HISTORY)
        yield Explained(
            score,
            mine_drivers,
            people[account],
            sub_scores(
                mine_drivers["points"],
                mine_drivers["points_displayed"],
                list(mine_drivers["dimension"]),
                DIMENSIONS,
            ),
            *_on_the_scale(workspace, target, score, ranges),
            reasons_of.get(account, ()),
            reseeded_health,
            runs[["as_of", "health", "standing", "marker"]],
            actions.get(account, ()),
            trajectories.get(account),
            _since_last(runs, mine_drivers, before.get(account, _NO_DRIVERS)),
            planned.get(account),
        )


def _by_account(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {
        str(account): mine.reset_index(drop=True)
        for account, mine in rows.groupby("account_id", sort=False)
    }


def _row_of_each(rows: pd.DataFrame) -> dict[str, dict[str, Any]]:
    return {str(row["account_id"]): row for row in _records(rows)}


def _reasons_of(drivers: pd.DataFrame) -> dict[str, tuple[tuple[str, float], ...]]:
    """Account -> its reasons with their points, the heaviest first."""
    reasons_of: dict[str, list[tuple[str, float]]] = {}
    for row in _records(account_reasons(drivers)):
        reasons_of.setdefault(str(row["account_id"]), []).append(
            (str(row["reason"]), float(row["points"]))
        )
    return {account: tuple(mine) for account, mine in reasons_of.items()}


def _drivers_before(
    workspace: Workspace, history: Mapping[str, pd.DataFrame], mine: tuple[str, str, object]
) -> pd.DataFrame:
    """Drivers of the accounts in the run before, each of its own."""
    last = {
        (str(runs["run_id"].iloc[-2]), runs["as_of"].iloc[-2])
        for runs in history.values()
        if len(runs) > 1
    }
    if not last:
        return _NO_DRIVERS
    names, days = (sorted({*each}) for each in zip(*last, strict=True))
    rows = read_drivers(
        workspace.store, [("run_id", "in", names), ("as_of", "in", days), mine]
    ).astype(_AS_OBJECTS)
    own = {account: runs["run_id"].iloc[-2] for account, runs in history.items() if len(runs) > 1}
    return rows[rows["run_id"] == rows["account_id"].map(own)]


def _since_last(
    runs: pd.DataFrame, drivers: pd.DataFrame, before: pd.DataFrame
) -> SinceLast | None:
    if len(runs) < 2:
        return None
    last, now = runs.iloc[-2], runs.iloc[-1]
    moves: list[tuple[int, str]] = []
    if last["model_version"] == now["model_version"] and len(before):
        then: dict[tuple[str, str], int] = {}
        for dimension, driver, points in _columns(before, "dimension", "driver", _POINTS):
            then[dimension, driver] = then.get((dimension, driver), 0) + int(points)
        moved = [
            (int(points) - then.get((dimension, driver), 0), str(said))
            for dimension, driver, points, said in _columns(
                drivers, "dimension", "driver", _POINTS, "said"
            )
            if driver != REST
        ]
        moves = sorted((each for each in moved if each[0]), key=lambda each: -abs(each[0]))[:MOVES]
    health = None if pd.isna(last["health"]) else int(last["health"])
    return SinceLast(last["as_of"], health, str(last["standing"]), tuple(moves))


def _columns(rows: pd.DataFrame, *names: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(rows[name].tolist() for name in names), strict=True)


def _read(drivers: pd.DataFrame) -> pd.DataFrame:
    """Published drivers, and which of them are told as what holds the score up."""
    drivers = drivers.astype(_AS_OBJECTS)
    # Only what argues for its points: better than others or before, or a fact of who they are.
    has_argument = drivers["compared"].notna() | drivers["nature"].isin(_FACTS)
    is_named = ~drivers["driver"].isin((REST, SEASON))
    return drivers.assign(
        protects=(drivers["points"] > 0) & has_argument & is_named, is_sure=None, twins=""
    )


def _verified(
    workspace: Workspace, target: Target, published: Mapping[str, Any], drivers: pd.DataFrame
) -> tuple[pd.DataFrame, int | None]:
    """Drivers with what the model of the run says of them, and the score its twin of another seed
    gives; nothing is claimed where that model is not in the registry as champion or challenger any
    more.
    """
    model = _model_of(workspace, target, published)
    if model is None or model[0].basis != "calibrated" or drivers.empty:
        return drivers, None
    bundle, reseeded = model
    signals, twins = bundle.published.signals, bundle.twins
    with_twins = drivers.assign(twins=[_twins_of(row, signals, twins) for row in _records(drivers)])
    if reseeded is None:
        return with_twins, None
    where = [("run_id", "=", published["run_id"]), ("account_id", "=", published["account_id"])]
    features = workspace.store.read(f"features_scored_{target.name}", filters=where)
    other = score(replace(bundle, model=reseeded), features[bundle.model.columns])
    sure = pd.Series(
        sure_drivers(drivers, signals, twins, other.points[0]), dtype=object, index=drivers.index
    )
    return with_twins.assign(is_sure=sure), int(other.table["health"].iloc[0])


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain values; for few of them several times faster than pandas' own."""
    names = [str(name) for name in rows.columns]
    return [dict(zip(names, values, strict=True)) for values in _columns(rows, *names)]


def _twins_of(row: Mapping[str, Any], signals: Sequence[Signal], twins: Twins) -> str:
    """Names of the measures that are counted in a driver of another name."""
    names = dict.fromkeys(
        signal.driver.replace("_", " ")
        for signal in signals
        if signal.dimension == row["dimension"]
        and shown_driver(signal, twins) == row["driver"] != signal.driver
    )
    return ", ".join(names)


def _model_of(
    workspace: Workspace, target: Target, published: Mapping[str, Any]
) -> tuple[Bundle, Model | None] | None:
    """The model that a score rests on and its twin of another seed, where it is still in use or the
    newest candidate.
    """
    for alias in (CHAMPION, CHALLENGER):
        version = load_version(workspace, target, alias)
        if version and (version.bundle.model_version, version.bundle.calibrator_version) == (
            published["model_version"],
            published["calibrator_version"],
        ):
            return version.bundle, version.reseeded
    return None


def _history(
    workspace: Workspace, target: Target, accounts: Sequence[str], until: pd.Timestamp
) -> pd.DataFrame:
    """Scores of accounts in the runs that readers see of dates until one: account_id, run_id,
    as_of, health, standing, model_version, marker (what changed since).
    """
    runs = run_history(workspace.store, target.name)[["run_id", "marker"]]
    rows = read_scores(
        workspace.store,
        [("account_id", "in", list(accounts)), ("target", "=", target.name)],
        _HISTORY,
    )
    seen = (
        rows.assign(standing=standing(rows))
        .merge(runs, on="run_id")
        .sort_values("as_of", kind="stable")
    )
    words = {name: object for name in (*_HISTORY_WORDS, "marker")}
    return seen[seen["as_of"] <= until].astype(words)


def _open_actions(
    workspace: Workspace, accounts: Sequence[str], as_of: Any
) -> dict[str, tuple[dict[str, Any], ...]]:
    """Account -> plays assigned in the `OPEN_DAYS` before the date and not done then, the newest
    first; none without that source.
    """
    name = workspace.source_named("interventions")
    if name is None or not workspace.store.exists(f"staged_{name}"):
        return {}
    rows = workspace.store.read(f"staged_{name}", filters=[("account_id", "in", list(accounts))])
    rows = rows.reindex(
        columns=["account_id", "play", "owner", "assigned_at", "done_at", "is_holdout"]
    )
    is_recent = (rows["assigned_at"] < as_of) & (
        rows["assigned_at"] >= as_of - timedelta(days=OPEN_DAYS)
    )
    is_open = (
        is_recent & ~(rows["done_at"] < as_of) & ~rows["is_holdout"].fillna(False).astype(bool)
    )
    newest = rows[is_open].sort_values(
        ["assigned_at", "play"], ascending=[False, True], kind="stable"
    )
    return {
        account: tuple(_records(mine[["play", "owner", "assigned_at"]]))
        for account, mine in _by_account(newest).items()
    }


def _on_the_scale(
    workspace: Workspace, target: Target, score: dict[str, Any], ranges: Sequence[Promise]
) -> tuple[str, str, str]:
    """Scale sentence, unsure band and points to the neighbouring bands; empty where there is no
    score.
    """
    if pd.isna(score["health"]) or standing_of(score) not in (*HEALTH_BANDS, *GOOD_EVENT_BANDS):
        return "", "", ""
    health, edges = int(score["health"]), band_edges(workspace)
    if score["basis"] != "calibrated":
        return "", "", edge_words(health, score["band"], edges)
    within = health_horizon_words(score["horizon_days"], at_decision=reads_decision(score))
    sentence = sentence_of(health, ranges, within, TARGET_WORDS[target.kind].verb)
    return sentence, unsure_band(score, edges), edge_words(health, score["band"], edges)


@dataclass(frozen=True)
class PointsCheck:
    """Base and points of every scored account add to its score, the displayed ones exactly."""

    accounts: int
    largest_gap: float
    displayed_add: bool
    bound: BoundCheck


def check_points(workspace: Workspace, target: Target, as_of: date | None = None) -> PointsCheck:
    """Whether, for every scored account, base and points add to the score, and none exceeds what
    its contribution allows.

    Raises
    ------
    ContractError
        Naming an account for which they do not.
    """
    run = published_run(workspace.store, target.name, as_of)
    scores = (
        published_rows(workspace, target, "scores", as_of)
        .dropna(subset=["health_exact"])
        .set_index("account_id")
    )
    drivers = published_rows(workspace, target, "drivers", as_of)
    sums = drivers.groupby("account_id")[["points", "points_displayed"]].sum()
    # An account without driver rows has the points of the base alone.
    sums = sums.reindex(scores.index).fillna(0.0)
    gap = (scores["base_points"] + sums["points"] - scores["health_exact"]).abs()
    shown = scores["base_displayed"] + sums["points_displayed"] - scores["health"]
    if gap.max() > 1e-9 or (shown != 0).any():
        worst = str(gap.idxmax() if gap.max() > 1e-9 else shown.abs().idxmax())
        raise ContractError(
            f"points of account {worst} do not add to its score: exact gap {gap[worst]:.2g},"
            f" displayed gap {shown[worst]}. Score again; if it stays, this is a bug in tenure."
        )
    return PointsCheck(
        accounts=len(scores),
        largest_gap=float(np.max(gap.to_numpy(), initial=0.0)),
        displayed_add=True,
        bound=check_bound(workspace, target, run, scores.reset_index(), drivers),
    )
