"""What each play does, by its surest records: the lot of the worklist, a declared holdout, what
people chose.

Lot and holdout: an account counts from the first midnight after it was assigned, and what became of
it within the target's horizon is known by now. Rows whose horizon is not over wait.

Observed: two dates of the training grid that follow each other. Assigned means a play between them,
signals are those of the first date, the outcome is counted from the second. So nobody is assigned
because they were still there, which would flatter every play.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from features.errors import NotFound
from models.plays import (
    FEWEST_IN_AN_ARM,
    WITHIN,
    Design,
    MeasuredEffect,
    ScoreEffect,
    months_until_known,
    no_comparison,
    observed_effect,
    randomised_effect,
    score_effect,
)
from models.plays.power import DAYS_PER_MONTH
from models.targets import AMOUNT_KINDS
from pipeline.config.schema import Play, Project, Target
from pipeline.engine.duckdb import Connection, connected, midnight
from pipeline.engine.facts import put_table
from pipeline.jobs.features import data_until, grid_candidates, take_labels, take_snapshots
from pipeline.jobs.prepare import feature_set, signal_values
from pipeline.jobs.score import published_table
from pipeline.jobs.stage import load_staged
from pipeline.ledger import run_rows
from pipeline.staging.staged import StagedSource
from pipeline.workspace import Workspace, target_rule

ASSIGNMENTS, EFFECTS = "assignments", "effects"
PRIOR_SAVE_SHARE, PRIOR_WIN_SHARE = 0.2, 0.2
MOST_SIGNALS = 40
"""Signals that explain who was chosen or who left; of more, those that go furthest with either."""
SCORED_WITHIN = pd.Timedelta(days=7)
"""A score is that at the assignment where it is no older; afterwards is later than so."""
LONGEST_STEP = pd.Timedelta(days=45)
"""Dates further apart do not follow each other."""
EFFECT_COLUMNS = (
    ("target", pa.string()),
    ("play", pa.string()),
    ("design", pa.string()),
    ("verdict", pa.string()),
    ("reason", pa.string()),
    ("estimate", pa.float64()),
    ("low", pa.float64()),
    ("high", pa.float64()),
    ("save_share", pa.float64()),
    ("prior_save_share", pa.float64()),
    ("naive", pa.float64()),
    ("treated", pa.int64()),
    ("untreated", pa.int64()),
    ("treated_events", pa.int64()),
    ("untreated_events", pa.int64()),
    ("accounts", pa.int64()),
    ("ratio_p", pa.float64()),
    ("overlap", pa.float64()),
    ("strongest", pa.string()),
    ("strongest_moves", pa.float64()),
    ("waiting", pa.int64()),
    ("known_in_months", pa.int64()),
    ("score_points", pa.float64()),
    ("score_points_low", pa.float64()),
    ("score_points_high", pa.float64()),
    ("data_until", pa.timestamp("us")),
    ("measured_at", pa.timestamp("us")),
)
"""The table `effects`."""
_INTERVENTIONS = ["account_id", "play", "assigned_at", "is_holdout", "known_until"]


@dataclass(frozen=True)
class PlayEffect:
    """A play's effect or its refusal, and when more will be known."""

    effect: MeasuredEffect
    waiting: int
    """Rows of its lot or holdout whose horizon is not over."""
    per_arm_per_month: float
    """Accounts of the smaller side in a month; nan where no lot decides."""
    known_in_months: int | None
    """Until the effect is known to within two points, from the first assignment on; None: not at
    this pace.
    """
    prior: float
    """Share of leavers it is believed to keep until then; of growth how many more it wins."""
    score: ScoreEffect | None = None
    """What it does to the score; None where no lot decides or too few were scored afterwards."""
    is_good: bool = False
    """Whether the outcome is one to hope for."""

    @property
    def measured_share(self) -> float:
        """Share of leavers it keeps, or how many more grow as a share; nan unless measured."""
        return self.effect.win_share if self.is_good else self.effect.save_share

    @property
    def save_share(self) -> float:
        """What the worklist counts on: the measured share, else the believed one."""
        measured = self.measured_share
        return self.prior if np.isnan(measured) else max(measured, 0.0)


@dataclass(frozen=True)
class EffectsReport:
    """The plays of a target, in the order of the project file, then by name."""

    target: str
    kind: str
    horizon_days: int | None
    until: date
    plays: tuple[PlayEffect, ...]


def prior_of(project: Project, play: Play | None, *, is_good: bool = False) -> float:
    """Share of leavers that a play is believed to keep, or how many more it wins."""
    if is_good:
        return PRIOR_WIN_SHARE if play is None or play.win_share is None else play.win_share
    for share in (None if play is None else play.save_share, project.objective.save_share):
        if share is not None:
            return share
    return PRIOR_SAVE_SHARE


def effects_report(workspace: Workspace, target: Target) -> EffectsReport:
    """Measure every play that is declared or was ever recorded.

    Raises
    ------
    NotFound
        Where no play is declared and no source records any.
    """
    with connected() as connection:
        staged = load_staged(workspace, connection)
        recorded = recorded_plays(workspace, staged)
        assigned = assigned_by_lot(workspace, target)
        is_good = target_rule(target).is_good
        names = [
            *(play.name for play in workspace.project.plays if (play.aim == "grow") == is_good),
            *sorted({*recorded["play"], *assigned["play"]}),
        ]
        if not names:
            raise NotFound(
                "no play is declared and none is recorded. Declare [[plays]] in tenure.toml, and"
                " add [sources.interventions] with account_id, play, assigned_at and is_holdout."
            )
        labelled = _labelled(workspace, connection, staged, target, recorded, assigned)
        observed = _ObservedRows(workspace, target, recorded)
        measured = [
            _measure(workspace, target, name, labelled, observed) for name in dict.fromkeys(names)
        ]
        until = max(data_until(workspace, staged, target).values())
    report = EffectsReport(target.name, target.kind, target.horizon_days, until, tuple(measured))
    workspace.store.write(
        EFFECTS,
        published_table(effect_rows(report).assign(measured_at=workspace.now), EFFECT_COLUMNS),
        replace=f"target = '{target.name}'",
        partition_by=["target"],
    )
    return report


def effect_rows(report: EffectsReport) -> pd.DataFrame:
    """The table `effects`: a row for each play of a target."""
    rows = pd.DataFrame(
        [
            {
                "target": report.target,
                **asdict(each.effect),
                "save_share": each.measured_share,
                "prior_save_share": each.prior,
                "waiting": each.waiting,
                "known_in_months": each.known_in_months,
                "score_points": None if each.score is None else each.score.estimate,
                "score_points_low": None if each.score is None else each.score.low,
                "score_points_high": None if each.score is None else each.score.high,
                "data_until": pd.Timestamp(report.until),
            }
            for each in report.plays
        ]
    )
    return rows.astype({"known_in_months": "Int64"})


def recorded_plays(workspace: Workspace, staged: Mapping[str, StagedSource]) -> pd.DataFrame:
    """What sources record of plays: account_id, play, assigned_at, is_holdout, as known now."""
    parts = [
        workspace.store.read(f"staged_{name}").reindex(columns=_INTERVENTIONS)
        for name, source in staged.items()
        if source.contract.table == "interventions"
    ]
    if not parts:
        return pd.DataFrame(columns=_INTERVENTIONS[:-1])
    rows = pd.concat(parts, ignore_index=True)
    rows = rows[rows["known_until"].isna() & rows["play"].notna()]
    return rows.drop(columns="known_until").assign(
        is_holdout=rows["is_holdout"].astype("boolean").fillna(False).astype(bool)
    )


def assigned_by_lot(workspace: Workspace, target: Target) -> pd.DataFrame:
    """Rows of `assignments` that a lot decided about, of runs that were not taken back."""
    columns = ["account_id", "as_of", "play", "on_list", "propensity"]
    if not workspace.store.exists(ASSIGNMENTS):
        return pd.DataFrame(columns=columns)
    rows = workspace.store.read(ASSIGNMENTS, filters=[("target", "=", target.name)])
    runs = run_rows(workspace.store)
    kept = set(runs.loc[runs["state"] == "published", "run_id"])
    is_drawn = (rows["propensity"] > 0) & (rows["propensity"] < 1)
    # A later list repeats who is still on it; drawn was on the first.
    is_first = rows["as_of"] == rows["assigned_on"]
    rows = rows[rows["run_id"].isin(kept) & is_drawn & is_first].sort_values(["as_of", "made_at"])
    return rows.drop_duplicates(["account_id", "as_of"], keep="last")[columns]


def _labelled(
    workspace: Workspace,
    connection: Connection,
    staged: Mapping[str, StagedSource],
    target: Target,
    recorded: pd.DataFrame,
    assigned: pd.DataFrame,
) -> pd.DataFrame:
    """Rows that a lot or a holdout decided about, with their label: account_id, as_of, play,
    design, is_assigned, propensity, label (null: not over, or no customer any more), is_open.
    """
    declared = {play.name: play for play in workspace.project.plays}
    by_holdout = recorded[recorded["play"].isin(recorded.loc[recorded["is_holdout"], "play"])]
    shares = by_holdout["play"].map(
        {name: 1 - play.holdout for name, play in declared.items() if play.holdout is not None}
    )
    rows = pd.concat(
        [
            assigned.rename(columns={"on_list": "is_assigned"}).assign(design="lot"),
            pd.DataFrame(
                {
                    "account_id": by_holdout["account_id"],
                    "as_of": pd.to_datetime(by_holdout["assigned_at"]).dt.ceil("D"),
                    "play": by_holdout["play"],
                    "is_assigned": ~by_holdout["is_holdout"].astype(bool),
                    "propensity": shares.astype(float),
                    "design": "holdout",
                }
            ),
        ],
        ignore_index=True,
    ).drop_duplicates(["account_id", "as_of", "play", "design"])
    if rows.empty:
        return rows.assign(label=pd.Series(dtype=float), is_open=pd.Series(dtype=bool))
    labels = labels_on(workspace, connection, staged, target, rows)
    rows = rows.astype({"as_of": labels["as_of"].dtype}).merge(
        labels, on=["account_id", "as_of"], how="left"
    )
    return rows.assign(is_open=rows["label_reason"].eq("incomplete"))


def labels_on(
    workspace: Workspace,
    connection: Connection,
    staged: Mapping[str, StagedSource],
    target: Target,
    keys: pd.DataFrame,
) -> pd.DataFrame:
    """What became of accounts after dates: account_id, as_of, label, label_reason; no line for
    whoever was not in the population on the date.
    """
    days = (pd.to_datetime(keys["as_of"]) - pd.Timestamp(0)).dt.days.astype("int64")
    grid_candidates(connection, workspace, staged, target, sorted(set(days.tolist())))
    take_snapshots(workspace, connection, staged, target, {})
    asked = pd.DataFrame({"account_id": keys["account_id"].astype("str"), "as_of_day": days})
    put_table(connection, "assigned_rows", asked.drop_duplicates())
    connection.execute("""
create or replace temp table snapshots as
select s.* from snapshots s join assigned_rows a
  on a.account_id = s.account_id and a.as_of_day = s.as_of_day
where s.state = 'member'""")
    take_labels(workspace, connection, staged, target)
    labels = connection.execute(f"""
select account_id, {midnight("as_of_day")} as as_of, cast(label as double) as label, label_reason
from labels order by account_id, as_of_day""").df()
    return labels.astype({"as_of": "datetime64[us]"})


def _measure(
    workspace: Workspace,
    target: Target,
    name: str,
    labelled: pd.DataFrame,
    observed: "_ObservedRows",
) -> PlayEffect:
    """The effect of one play by the first design that its records allow."""
    play = next((each for each in workspace.project.plays if each.name == name), None)
    is_good = target_rule(target).is_good
    prior = prior_of(workspace.project, play, is_good=is_good)
    mine = labelled[labelled["play"] == name]
    ahead: PlayEffect | None = None
    for design in ("lot", "holdout"):
        rows = mine[mine["design"] == design]
        if rows["is_assigned"].nunique() < 2:
            continue
        over = rows.dropna(subset=["label"])
        if over["is_assigned"].nunique() < 2:
            # It will tell; until then the next design speaks.
            ahead = ahead or _waiting(workspace, target, name, rows, prior, is_good=is_good)
            continue
        propensity = over["propensity"].to_numpy(dtype=np.float64)
        effect = randomised_effect(
            name,
            "lot" if design == "lot" else "holdout",
            outcome=over["label"].to_numpy() == 1,
            assigned=over["is_assigned"].to_numpy(dtype=np.bool_),
            account=over["account_id"].to_numpy(),
            month=_months_of(over),
            propensity=None if np.isnan(propensity).any() else propensity,
        )
        pace = _pace(rows)
        return PlayEffect(
            effect,
            int(rows["is_open"].sum()),
            pace,
            _months(target, effect.untreated_share, prior, pace, is_good=is_good),
            prior,
            _score_effect(workspace, target, rows),
            is_good,
        )
    effect = observed.effect(name)
    if ahead is not None:
        return replace(ahead, effect=effect if effect.treated else ahead.effect)
    return PlayEffect(effect, 0, float("nan"), None, prior, is_good=is_good)


def _waiting(
    workspace: Workspace,
    target: Target,
    name: str,
    rows: pd.DataFrame,
    prior: float,
    *,
    is_good: bool,
) -> PlayEffect:
    """A play whose lot or holdout has no outcomes yet: when it will tell, by the chances that the
    scores gave.
    """
    pace, share = _pace(rows), float("nan")
    if workspace.store.exists("scores"):
        scores = workspace.store.read(
            "scores",
            columns=["account_id", "as_of", "probability"],
            filters=[("target", "=", target.name)],
        )
        keys = {key: scores[key].dtype for key in ("account_id", "as_of")}
        near = rows.astype(keys).merge(
            scores.drop_duplicates(["account_id", "as_of"]), on=["account_id", "as_of"]
        )
        share = float(near["probability"].astype(float).mean())
    design: Design = "lot" if rows["design"].iloc[0] == "lot" else "holdout"
    return PlayEffect(
        MeasuredEffect(name, design, "refused", "No outcome is known yet."),
        int(rows["is_open"].sum()),
        pace,
        _months(target, share, prior, pace, is_good=is_good),
        prior,
        is_good=is_good,
    )


def _months(
    target: Target, share: float, prior: float, pace: float, *, is_good: bool
) -> int | None:
    """Until the effect is known, where so many have the outcome without the play."""
    if not share > 0:
        return None
    with_it = min(share * (1 + prior if is_good else 1 - prior), 1.0)
    return months_until_known(share, with_it, pace, target.horizon_days or 365, WITHIN)


def _score_effect(workspace: Workspace, target: Target, rows: pd.DataFrame) -> ScoreEffect | None:
    """How scores moved from the run at the assignment to the last within the horizon."""
    runs = run_rows(workspace.store)
    published = set(runs.loc[runs["state"] == "published", "run_id"])
    scores = (
        workspace.store.read(
            "scores",
            columns=["account_id", "as_of", "run_id", "health_exact"],
            filters=[("target", "=", target.name)],
        )
        if workspace.store.exists("scores")
        else pd.DataFrame()
    )
    if scores.empty:
        return None
    scores = scores[scores["run_id"].isin(published)].dropna(subset=["health_exact"])
    scores = scores.drop(columns="run_id").sort_values("as_of")
    horizon = pd.Timedelta(days=target.horizon_days or 365)
    keys = {name: scores[name].dtype for name in ("account_id", "as_of")}
    ordered = rows.astype(keys).sort_values("as_of")
    before = pd.merge_asof(
        ordered, scores, on="as_of", by="account_id", tolerance=SCORED_WITHIN
    ).rename(columns={"health_exact": "before"})
    after = pd.merge_asof(
        before.assign(end=before["as_of"] + horizon).sort_values("end"),
        scores.rename(columns={"as_of": "scored_on", "health_exact": "after"}),
        left_on="end",
        right_on="scored_on",
        by="account_id",
    )
    is_later = after["scored_on"] > after["as_of"] + SCORED_WITHIN
    after["after"] = after["after"].where(is_later)
    if target.kind not in (*AMOUNT_KINDS, "conversion"):  # these do not end an account
        after["after"] = after["after"].mask(after["label"] == 1, 0.0)
    moved = after.dropna(subset=["before", "after"])
    return score_effect(
        (moved["after"] - moved["before"]).to_numpy(dtype=np.float64),
        moved["is_assigned"].to_numpy(dtype=np.bool_),
        moved["account_id"].to_numpy(),
        _months_of(moved),
    )


def _months_of(rows: pd.DataFrame) -> NDArray[Any]:
    return np.asarray(rows["as_of"].dt.to_period("M").astype("str"))


def _pace(rows: pd.DataFrame) -> float:
    """Accounts of the smaller side in a month, over the months in which any were assigned."""
    span = (rows["as_of"].max() - rows["as_of"].min()).days / DAYS_PER_MONTH
    return float(rows["is_assigned"].value_counts().min() / max(span + 1, 1.0))


class _ObservedRows:
    """Pairs of dates of the training grid with who got which play between them."""

    def __init__(self, workspace: Workspace, target: Target, recorded: pd.DataFrame) -> None:
        self._workspace, self._target, self._recorded = workspace, target, recorded
        self._pairs: pd.DataFrame | None = None

    def effect(self, play: str) -> MeasuredEffect:
        """The effect of one play on those that people chose for it."""
        mine = self._recorded[(self._recorded["play"] == play) & ~self._recorded["is_holdout"]]
        if mine.empty or not self._workspace.store.exists(f"features_{self._target.name}"):
            return no_comparison(play, len(mine))
        if self._pairs is None:
            self._pairs = self._all_pairs()
        others = self._between(self._recorded[self._recorded["play"] != play])
        is_assigned = self._between(mine)
        pairs = self._pairs[~others | is_assigned]
        assigned = is_assigned[~others | is_assigned]
        outcome = pairs["label"].to_numpy() == 1
        signals = np.empty((len(pairs), 0))
        groups: dict[str, list[int]] = {}
        if min((outcome & assigned).sum(), (outcome & ~assigned).sum()) >= FEWEST_IN_AN_ARM:
            signals, groups = self._signals(pairs, assigned, outcome)
        return observed_effect(
            play,
            outcome=outcome,
            assigned=assigned,
            account=pairs["account_id"].to_numpy(),
            signals=signals,
            groups=groups,
        )

    def _all_pairs(self) -> pd.DataFrame:
        """account_id, as_of (the first date), then (the second), label (from the second on)."""
        labels = self._workspace.store.read(
            "labels",
            columns=["account_id", "as_of", "label"],
            filters=[("target", "=", self._target.name)],
        ).sort_values(["account_id", "as_of"], ignore_index=True)
        by_account = labels.groupby("account_id")
        pairs = labels.assign(
            then=by_account["as_of"].shift(-1), label=by_account["label"].shift(-1)
        )
        is_next = pairs["then"] - pairs["as_of"] <= LONGEST_STEP
        return pairs[is_next & pairs["label"].notna()].reset_index(drop=True)

    def _between(self, plays: pd.DataFrame) -> NDArray[np.bool_]:
        """Which pairs hold one of these plays, shape (n_pairs,)."""
        assert self._pairs is not None
        joined = (
            self._pairs[["account_id", "as_of", "then"]]
            .reset_index()
            .merge(plays[["account_id", "assigned_at"]], on="account_id")
        )
        inside = (joined["assigned_at"] >= joined["as_of"]) & (
            joined["assigned_at"] < joined["then"]
        )
        return np.asarray(self._pairs.index.isin(joined.loc[inside, "index"]))

    def _signals(
        self, pairs: pd.DataFrame, assigned: NDArray[np.bool_], outcome: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], dict[str, list[int]]]:
        """The signals that go furthest with the choice or the outcome, and the month; by
        dimension.
        """
        cards = feature_set(self._workspace, self._target).signals
        values = signal_values(
            self._workspace.store,
            f"features_{self._target.name}",
            pairs[["account_id", "as_of"]].reset_index(drop=True),
            [card.column for card in cards],
        )
        known = ~np.isnan(values)
        # Missing as the mean: it then neither ties nor parts those with the play and those without.
        means = np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        filled = np.where(known, values, means)
        spread = filled.std(axis=0)
        usable = np.flatnonzero(spread > 0)
        centred = (filled[:, usable] - filled[:, usable].mean(axis=0)) / spread[usable]
        strength = np.maximum(
            *(
                np.abs(centred.T @ (each - each.mean())) / max(float(each.std()), 1e-9)
                for each in (assigned.astype(float), outcome.astype(float))
            )
        )
        chosen = usable[np.argsort(-strength, kind="stable")[:MOST_SIGNALS]]
        groups: dict[str, list[int]] = {}
        for place, column in enumerate(chosen):
            groups.setdefault(f"signals of {cards[column].dimension}", []).append(place)
        month = (pairs["as_of"] - pairs["as_of"].min()).dt.days.to_numpy(dtype=np.float64)
        return np.column_stack([values[:, chosen], month]), groups
