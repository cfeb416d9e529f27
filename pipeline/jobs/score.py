"""Score every account of a target's population on one date, explain it, and publish it whole or not
at all.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from features.definition import Signal
from features.errors import ChurnError, ConfigError, GateRefused, StoreError
from features.naming import facts_table
from features.windows import day_number
from models.bundle import Bundle, Scored, base_probability, score
from models.drivers import OTHER_CUSTOMERS, OTHERS, account_reasons, driver_table
from models.health import reads_decisions, scale_problems
from models.health.proposal import FEWEST_IN_PORTFOLIO
from models.health.standing import MEMBER, UNKNOWN, is_member, standing
from models.methods import GradientBoosting
from models.shift import ScoreShift
from pipeline.actions.worklist import largest_reasons
from pipeline.checking.cut_off import CUT_OFF, cut_off_sources
from pipeline.config import config_hash
from pipeline.config.schema import Target
from pipeline.engine.duckdb import Connection
from pipeline.jobs.distribution import refuse_shift, shift_since
from pipeline.jobs.driver_rows import DRIVERS
from pipeline.jobs.evaluate import latest_evaluation
from pipeline.jobs.features import BEFORE_DAYS, build_scoring, data_until, latest_anchored_date
from pipeline.jobs.freshness import SourceState, covered_shares, freshness
from pipeline.jobs.pages import put_back, set_aside
from pipeline.jobs.past_runs import keep_configuration
from pipeline.jobs.portfolio import portfolio
from pipeline.jobs.registry import need_version, registered_model
from pipeline.jobs.retention import Retention
from pipeline.jobs.scoring_rows import ScoringRows, scoring_rows
from pipeline.jobs.stage import load_staged, staged_versions
from pipeline.jobs.terms import SEEN, TERMS, unseen_reason, unseen_terms
from pipeline.ledger import (
    RunRow,
    append_run,
    current_run,
    open_ledger,
    published_hashes,
    refuse_taken_back,
    run_before,
    run_rows,
)
from pipeline.libraries import library_versions
from pipeline.staging.staged import StagedSource
from pipeline.storage import Store, content_hash
from pipeline.tracking import CHALLENGER, CHAMPION
from pipeline.workspace import Workspace

SCORES = (
    ("account_id", pa.string()),
    ("as_of", pa.timestamp("us")),
    ("target", pa.string()),
    ("horizon_days", pa.int64()),
    ("run_id", pa.string()),
    ("basis", pa.string()),
    ("probability", pa.float64()),
    ("probability_low", pa.float64()),
    ("probability_high", pa.float64()),
    ("probability_at_decision", pa.float64()),
    ("probability_at_decision_low", pa.float64()),
    ("probability_at_decision_high", pa.float64()),
    ("timing", pa.float64()),
    ("decides_on", pa.timestamp("us")),
    ("health", pa.int64()),
    ("health_exact", pa.float64()),
    ("health_low", pa.float64()),
    ("health_high", pa.float64()),
    ("band", pa.string()),
    ("band_reason", pa.string()),
    ("state", pa.string()),
    ("without", pa.string()),
    ("base_points", pa.float64()),
    ("base_displayed", pa.int64()),
    ("model_version", pa.string()),
    ("calibrator_version", pa.string()),
    ("scale_version", pa.string()),
    ("scored_at", pa.timestamp("us")),
)


@dataclass(frozen=True)
class PublishedRun:
    """What a score run published, and what its summary says."""

    run: RunRow
    scores: pd.DataFrame
    reasons: pd.DataFrame
    """The two largest drivers of each account towards the event; all of them are in the store."""
    why: pd.DataFrame
    """Reasons of each account from the short list: account_id, reason, points; accounts without are
    not explained.
    """
    portfolio: pd.DataFrame
    freshness: tuple[SourceState, ...]
    covered: Mapping[str, float]
    previous_counts: dict[str, int] | None
    shift: ScoreShift | None
    """Against the last run; None where there is none to compare with."""
    bundle: Bundle

    @property
    def scale_problems(self) -> tuple[str, ...]:
        """What speaks against the scale for the accounts of this run, in words; nothing of a
        scorecard, or of fewer accounts than show a portfolio.
        """
        scored = self.scores[is_member(self.scores)]
        if self.bundle.basis != "calibrated" or len(scored) < FEWEST_IN_PORTFOLIO:
            return ()
        at_decision = reads_decisions(scored)
        column = "probability_at_decision" if at_decision else "probability"
        base = base_probability(self.bundle.model)
        return scale_problems(self.bundle.scale, scored[column], base)


def default_as_of(
    workspace: Workspace, connection: Connection, staged: Mapping[str, StagedSource], target: Target
) -> date:
    """The first day the data no longer cover: everything before it is known.

    Where each account has its own dates, the newest of them.
    """
    until = max(data_until(workspace, staged, target).values())
    if target.dates.anchor is None:
        return until
    return latest_anchored_date(workspace, connection, staged, target, until)


def score_target(
    workspace: Workspace,
    connection: Connection,
    target: Target,
    as_of: date | None = None,
    *,
    use_candidate: bool = False,
    allow_stale: Mapping[str, str] | None = None,
    bundle: Bundle | None = None,
    accept_shift: str | None = None,
    backfill: bool = False,
    begins: Callable[[str], None] = lambda part: None,
) -> PublishedRun:
    """Score one date and publish scores, drivers and portfolio under one run.

    Parameters
    ----------
    allow_stale
        Source -> reason; accounts that rest on it are scored by the model without it, where one
        passed the gates, else published as unknown, instead of refusing the run.
    bundle
        The model to score with; default: the one in use.
    accept_shift
        Reason to publish although scores moved more than `score.largest_shift`.
    backfill
        Also score a date before the first one that the model learned from.
    begins
        Called with `features`, `score`, `gate` and `publish` as each of them begins.

    Raises
    ------
    GateRefused
        When a source is stale or the scores moved too far: readers keep the run before.
    NoModel
        When no model is in use.
    """
    if bundle is None:
        bundle = need_version(
            workspace,
            target,
            CHALLENGER if use_candidate else CHAMPION,
            "Run `tenure evaluate` and `tenure promote`, or score with --candidate.",
        ).bundle
    staged = load_staged(workspace, connection)
    day = as_of or default_as_of(workspace, connection, staged, target)
    _refuse_beyond_data(staged, day)
    if not backfill:
        _refuse_before_training(bundle, day)
    states = freshness(connection, staged, day)
    accepted = dict(allow_stale or {})
    _refuse_stale(states, accepted)
    begins("features")
    scoring, snapshots = _ready_to_score(
        workspace, connection, staged, target, bundle, day, accepted
    )
    begins("score")
    people = portfolio(workspace, connection, staged, target, day, snapshots["account_id"])
    published = _publish(
        workspace, target, scoring, snapshots, people, states, accepted, accept_shift, begins
    )
    return replace(published, covered=covered_shares(connection, staged, day))


def _ready_to_score(
    workspace: Workspace,
    connection: Connection,
    staged: Mapping[str, StagedSource],
    target: Target,
    bundle: Bundle,
    day: date,
    accepted: Mapping[str, str],
) -> tuple["_Scoring", pd.DataFrame]:
    """Build the rows of a date for a model; with them account_id and state of the population."""
    built = build_scoring(
        workspace, connection, target, day, bundle.choices, bundle.published.signals
    )
    bundle.published.check_signals(built.signals)
    snapshots = connection.execute(
        f"select account_id, state from snapshots where as_of_day = {day_number(day)} order by"
        " account_id"
    ).df()
    rows = scoring_rows(connection, bundle.published.columns, day)
    unknown = _of_unseen_terms(workspace, connection, staged, target, bundle, day)
    unknown |= of_lost_rows(staged)
    unknown |= of_cut_off_files(connection, staged, day, workspace.project.checks.accept)
    resting = _accounts_resting_on(connection, staged, accepted, day)
    fallback = _fallback(workspace, target, bundle, accepted)
    if fallback is None:
        unknown |= {account: f"stale: {source}" for account, source in resting.items()}
    # Said by the cards of today: those of an older model give the same values in older words.
    cards = {signal.column: signal for signal in built.signals}
    signals = tuple(cards[column] for column in bundle.published.columns)
    scoring = _Scoring(bundle, signals, rows, unknown, workspace.project.currency)
    if fallback is not None and resting.keys() - unknown.keys():
        scoring.speak_without(fallback, frozenset(resting.keys() - unknown.keys()), *accepted)
    return scoring, snapshots


def provisional_scores(
    workspace: Workspace, connection: Connection, target: Target, day: date
) -> tuple[Bundle, pd.DataFrame, pd.DataFrame]:
    """What the model in use would publish of a date by the rows staged so far, and publish nothing.

    Returns
    -------
    Bundle
        The model that speaks.
    DataFrame
        Scores of every account of the population.
    DataFrame
        The two largest drivers of each account towards the event.

    Raises
    ------
    NoModel
        When no model is in use.
    """
    bundle = need_version(workspace, target, CHAMPION, "Run `tenure run` first.").bundle
    staged = load_staged(workspace, connection)
    scoring, snapshots = _ready_to_score(
        workspace, connection, staged, target, bundle, day, accepted={}
    )
    for _ in scoring.drivers({}):  # they are made on the way to scores and reasons
        pass
    return bundle, scoring.published_scores(snapshots), pd.concat(scoring.reasons)


def coming_midnight(staged: Mapping[str, StagedSource]) -> date | None:
    """The end of the day that the data have reached, complete or not; None where no source says."""
    reached = [until for source in staged.values() for until in source.data_until.values()]
    return max(reached) + timedelta(days=1) if reached else None


def _refuse_beyond_data(staged: Mapping[str, StagedSource], day: date) -> None:
    last = coming_midnight(staged)
    if last is not None and day > last:
        newest = last - timedelta(days=1)
        raise ConfigError(
            f"as_of {day} lies after the data, which end on {newest}. Choose an --as-of on or"
            f" before {newest}, or stage newer data."
        )


def _refuse_before_training(bundle: Bundle, day: date) -> None:
    """Stop where a date lies before everything the model learned from: it would be told by what
    came after it.
    """
    training = bundle.published.training
    if training.first_as_of is not None and day < training.first_as_of:
        raise ConfigError(
            f"as_of {day} lies before the dates the model learned from, {training.first_as_of} to"
            f" {training.last_as_of}: scores of it are hindsight."
            " Choose a later --as-of, or score it all the same with --backfill."
        )


def _refuse_stale(states: Sequence[SourceState], accepted: Mapping[str, str]) -> None:
    unknown = set(accepted) - {s.source for s in states}
    if unknown:
        raise ConfigError(
            f"--allow-stale {sorted(unknown)[0]}: no such source; there are "
            f"{', '.join(s.source for s in states)}."
        )
    problems = [s.problem for s in states if s.problem and s.source not in accepted]
    if problems:
        names = ", ".join(s.source for s in states if s.problem and s.source not in accepted)
        raise GateRefused(
            f"stale sources: {' '.join(problems)} Nothing was published; readers keep the run"
            " before. Load newer rows and run `tenure run`, or accept with --allow-stale"
            f" {names.split(', ')[0]} --reason TEXT: accounts that rest on it are then scored by a"
            " model that does without it, or published as unknown where there is none."
        )


def _fallback(
    workspace: Workspace, target: Target, bundle: Bundle, accepted: Mapping[str, str]
) -> Bundle | None:
    """What speaks for accounts that rest on the one source accepted as stale: what passed the gates
    without it; None where nothing did.
    """
    if len(accepted) != 1:
        return None
    (source,) = accepted
    evaluation = latest_evaluation(workspace, target, bundle.model_version)
    passed = evaluation is not None and any(
        each.source == source and not each.refused for each in evaluation.fallbacks
    )
    return bundle.without(source) if passed else None


def _accounts_resting_on(
    connection: Connection,
    staged: Mapping[str, StagedSource],
    accepted: Mapping[str, str],
    day: date,
) -> dict[str, str]:
    """Accounts whose score would rest on a source accepted as stale, with the source."""
    source_of: dict[str, str] = {}
    for name in accepted:
        source = staged[name]
        event = source.contract.event_time
        recent = f"where {event}_day >= {day_number(day) - 364}" if event else ""
        for (account,) in connection.execute(
            f"select distinct account_id from {facts_table(name)} {recent}"
        ).fetchall():
            source_of.setdefault(account, name)
    return source_of


def of_lost_rows(staged: Mapping[str, StagedSource]) -> dict[str, str]:
    """Accounts most of whose rows in a source could not be read, with the reason: what is left
    reads as a decline that never was.
    """
    return {
        account: f"most rows in {source.name} cannot be read"
        for source in staged.values()
        for account in source.losing_accounts
    }


def of_cut_off_files(
    connection: Connection,
    staged: Mapping[str, StagedSource],
    day: date,
    accepted: Mapping[str, str],
) -> dict[str, str]:
    """Customers at the end of the order of ids without any row in a source, as half of a file
    leaves them, with the reason; none where the finding was accepted.
    """
    return {
        account: f"rows cut off: {name}"
        for name, gap in cut_off_sources(connection, staged, day_number(day)).items()
        if not {CUT_OFF, f"{CUT_OFF}/{name}"} & accepted.keys()
        for account in gap.missing
    }


def _of_unseen_terms(
    workspace: Workspace,
    connection: Connection,
    staged: Mapping[str, StagedSource],
    target: Target,
    bundle: Bundle,
    day: date,
) -> dict[str, str]:
    """Accounts whose term ends inside the window, of a length the model never saw end, with the
    reason.

    A scorecard reads no labels and promises no chance, so it speaks of them too; models saved
    before this was asked are not held to it.
    """
    seen = bundle.choices.get(TERMS, {}).get(SEEN)
    if seen is None or bundle.basis != "calibrated":
        return {}
    unseen = unseen_terms(workspace, connection, staged, target, seen, day=day_number(day))
    return {account: unseen_reason(term) for account, term in unseen.items()}


class _Scoring:
    """Scores accounts some at a time: drivers are handed on to the store, scores and main reasons
    are kept.
    """

    def __init__(
        self,
        bundle: Bundle,
        signals: Sequence[Signal],
        rows: ScoringRows,
        unknown: Mapping[str, str],
        currency: str,
    ) -> None:
        self.bundle, self.rows = bundle, rows
        self.cards = {signal.column: signal for signal in signals}
        self.unknown, self.currency = unknown, currency
        self.scores: list[pd.DataFrame] = []
        self.reasons: list[pd.DataFrame] = []
        self.why: list[pd.DataFrame] = []
        self.error: ChurnError | None = None
        self.fallback: Bundle | None = None
        self.resting: frozenset[str] = frozenset()
        self.without = ""

    def speak_without(self, fallback: Bundle, resting: frozenset[str], source: str) -> None:
        """Have a model that does without a source score the accounts that rest on it."""
        self.fallback, self.resting, self.without = fallback, resting, source

    def drivers(self, common: Mapping[str, Any]) -> Iterator[pa.RecordBatch]:
        """Drivers of all accounts that have a score, as published rows."""
        for every, every_before in self.rows.chunks():
            has_score = every.notna().any(axis=1) & ~every.index.isin(list(self.unknown))
            rests = every.index.isin(list(self.resting))
            parts: list[tuple[Bundle, str | None, pd.Series[bool]]] = [
                (self.bundle, None, has_score & ~rests)
            ]
            if self.fallback is not None:
                parts.append((self.fallback, self.without, has_score & rests))
            for bundle, without, mine in parts:
                if self.fallback is not None and not mine.any():
                    continue
                scored, drivers = self._explained(bundle, every[mine], every_before[mine])
                self.scores.append(
                    scored.table.assign(
                        **_made_by(bundle),
                        base_points=scored.base,
                        base_displayed=scored.base_displayed,
                        without=without,
                    )
                )
                self.why.append(account_reasons(drivers))
                self.reasons.append(
                    largest_reasons(drivers, good_event=bundle.scale.good_event).drop(
                        columns="place"
                    )
                )
                yield from published_table(drivers.assign(**common), DRIVERS).to_batches()

    def _explained(
        self, bundle: Bundle, now: pd.DataFrame, before: pd.DataFrame
    ) -> tuple[Scored, pd.DataFrame]:
        """Scores of some accounts by a model, and their drivers."""
        columns, absent = list(bundle.published.columns), bundle.published.absent
        unknown = dict.fromkeys(absent, np.nan)
        now, before = now.assign(**unknown), before.assign(**unknown)
        scored = score(bundle, now)
        drivers = driver_table(
            list(now.index),
            now[columns].reset_index(drop=True),
            before[columns].reset_index(drop=True),
            scored.points,
            [self.cards[column] for column in columns],
            bundle.published.reference_values,
            scored.table["health"].to_numpy(),
            scored.base_displayed,
            before_days=BEFORE_DAYS,
            currency=self.currency,
            others=OTHER_CUSTOMERS if bundle.scale.good_event else OTHERS,
            twins=bundle.twins,
            absent=absent,
        )
        return scored, drivers

    def stream(self, common: Mapping[str, Any]) -> pa.RecordBatchReader:
        """The drivers as a stream; an error of ours that stops it is kept, since the store would
        rename it.
        """

        def watched() -> Iterator[pa.RecordBatch]:
            try:
                yield from self.drivers(common)
            except ChurnError as error:
                self.error = error
                raise

        return pa.RecordBatchReader.from_batches(pa.schema(list(DRIVERS)), watched())

    def published_scores(self, snapshots: pd.DataFrame) -> pd.DataFrame:
        """Scores of every account of the snapshots: a band where there is a health, and the state
        with its reason.
        """
        scores = snapshots.set_index("account_id").join(pd.concat(self.scores))
        scores["band_reason"] = pd.Series(dict(self.unknown), dtype="str").reindex(scores.index)
        missing = scores["band"].isna()
        scores.loc[missing & scores["band_reason"].isna(), "band_reason"] = "no data"
        leaving = scores["state"] != MEMBER
        scores.loc[leaving, "band_reason"] = scores.loc[leaving, "state"]
        scores.loc[missing & ~leaving, "state"] = UNKNOWN
        return scores.reset_index()


def _made_by(bundle: Bundle) -> dict[str, str]:
    return {
        "model_version": bundle.model_version,
        "calibrator_version": bundle.calibrator_version,
    }


def run_id_of(
    workspace: Workspace, target: Target, bundle: Bundle, day: date, inputs: Mapping[str, str]
) -> str:
    """16 hex digits of everything the run rests on: same inputs, same id."""
    facts = {
        "as_of": day.isoformat(),
        "target": target.name,
        "basis": bundle.basis,
        "model": bundle.model_version,
        "calibrator": bundle.calibrator_version,
        "scale": bundle.scale.version,
        "cards": [s.fingerprint for s in bundle.published.signals],
        "config": config_hash(workspace.project),
        "inputs": dict(inputs),
        **({"twins": bundle.twins} if bundle.twins else {}),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _publish(
    workspace: Workspace,
    target: Target,
    scoring: _Scoring,
    snapshots: pd.DataFrame,
    people: pd.DataFrame,
    states: tuple[SourceState, ...],
    accepted: Mapping[str, str],
    accept_shift: str | None,
    begins: Callable[[str], None],
) -> PublishedRun:
    """Write portfolio, drivers and scores, then the row in `runs` that makes them the ones readers
    see.
    """
    bundle, day = scoring.bundle, scoring.rows.day
    inputs = {
        "features": scoring.rows.hash(),
        "portfolio": content_hash(people, ["account_id"]),
        "accepted_stale": json.dumps(dict(accepted), sort_keys=True),
    }
    run_id = run_id_of(workspace, target, bundle, day, inputs)
    refuse_taken_back(workspace.store, run_id)
    as_of = pd.Timestamp(day)
    common: dict[str, Any] = {
        "as_of": as_of,
        "target": target.name,
        "horizon_days": target.horizon_days,
        "run_id": run_id,
    }
    store = workspace.store
    current = current_run(store, target.name)
    accept_shift = accept_shift or _accepted_shift(store, run_id)
    open_ledger(store)
    where = f"target = '{target.name}' and as_of = '{as_of}' and run_id = '{run_id}'"
    parts = ["target", "as_of"]
    store.write(
        "features_scored_" + target.name,
        scoring.rows.relation(run_id),
        replace=f"run_id = '{run_id}'",
        partition_by=["run_id"],
    )
    people = people.assign(as_of=as_of, run_id=run_id)
    store.write("portfolio", people, replace=f"run_id = '{run_id}'", partition_by=["run_id"])
    try:
        store.write("drivers", scoring.stream(common), replace=where, partition_by=parts)
    # The store wraps what stops the stream; the user is told the cause, not the wrapping.
    except StoreError:
        if scoring.error is not None:
            raise scoring.error from None
        raise
    scores = scoring.published_scores(snapshots).assign(
        **common,
        basis=bundle.basis,
        scale_version=bundle.scale.version,
        scored_at=workspace.now,
    )
    for name, version in _made_by(bundle).items():
        scores[name] = scores[name].fillna(version)  # of accounts without a score
    if bundle.published.decision is not None:
        ends = people.set_index("account_id")["renewal_date"]
        scores["decides_on"] = scores["account_id"].map(ends)
    counts = {str(k): int(v) for k, v in standing(scores).value_counts().items()}
    # Beside the inputs, not among them: where rows are kept and who computed them is no other
    # result.
    recorded = {**inputs, "staged": staged_versions(workspace), "libraries": library_versions()}
    run = RunRow(
        run_id=run_id,
        as_of=as_of,
        target=target.name,
        horizon_days=target.horizon_days,
        state="published",
        basis=bundle.basis,
        model_version=bundle.model_version,
        calibrator_version=bundle.calibrator_version,
        scale_version=bundle.scale.version,
        config_hash=config_hash(workspace.project),
        input_fingerprints=json.dumps(recorded, sort_keys=True),
        counts=json.dumps(counts, sort_keys=True),
        note=_note(accepted, bundle, accept_shift),
        started_at=pd.Timestamp(workspace.now),
        # The newest of its date: scored again, a run is compared with the one before it and not
        # with itself.
        published_at=pd.Timestamp.max,
    )
    begins("gate")
    previous = run_before(store, run)
    shift, limit = shift_since(store, previous, run, scores), workspace.project.score.largest_shift
    if shift is not None and previous is not None and limit is not None and accept_shift is None:
        refuse_shift(store, previous, run, shift, scoring.rows.frame, limit)
    begins("publish")
    store.write("scores", published_table(scores, SCORES), replace=where, partition_by=parts)
    keep_configuration(workspace)
    hashes = published_hashes(store, run_id)
    with _with_its_pages(workspace, target, current, as_of):
        now = pd.Timestamp(workspace.moment())
        run = append_run(store, replace(run, table_hashes=hashes, published_at=now))
    models = registered_model(workspace, target)
    Retention.of(workspace).tidy(models, target.name, as_of)
    before = None if previous is None else previous.standings
    reasons, why = (pd.concat(parts, ignore_index=True) for parts in (scoring.reasons, scoring.why))
    return PublishedRun(run, scores, reasons, why, people, states, {}, before, shift, bundle)


def _accepted_shift(store: Store, run_id: str) -> str | None:
    """Why a shift of this run was accepted when it was published; it is not asked again."""
    runs = run_rows(store)
    notes = runs["note"][(runs["run_id"] == run_id) & (runs["state"] == "published")].dropna()
    try:
        reason = json.loads(notes.iloc[0])["accept_shift"] if len(notes) else None
    except (ValueError, KeyError, TypeError):  # a note in words: it was rolled back to
        return None
    return None if reason is None else str(reason)


@contextmanager
def _with_its_pages(
    workspace: Workspace, target: Target, current: RunRow | None, as_of: pd.Timestamp
) -> Iterator[None]:
    """Take the pages of the run before out of sight while another one becomes current."""
    folder = workspace.folder / "reports" / target.name
    if current is None or as_of < current.as_of:
        yield
        return
    set_aside(folder)
    try:
        yield
    # Also where the user interrupts: the pages then still belong to the run that readers see.
    except BaseException:
        put_back(folder)
        raise


def _note(accepted: Mapping[str, str], bundle: Bundle, accept_shift: str | None) -> str | None:
    """What an auditor must know of this run: what was accepted and why, and members explained the
    slow way.
    """
    slow = {
        m.method.name: m.method.explained_by_
        for m in bundle.published.members
        if isinstance(m.method, GradientBoosting) and m.method.explained_by_ != "tables"
    }
    facts = {"allow_stale": dict(accepted), "accept_shift": accept_shift, "explained_by": slow}
    recorded = {name: value for name, value in facts.items() if value}
    return json.dumps(recorded) if recorded else None


def published_table(rows: pd.DataFrame, columns: Sequence[tuple[str, pa.DataType]]) -> pa.Table:
    """Rows as the published table: its columns, in order, with its types."""
    schema = pa.schema(list(columns))
    frame = rows.reindex(columns=schema.names)
    for name, kind in columns:
        if pa.types.is_int64(kind):
            frame[name] = frame[name].astype("Int64")
        if pa.types.is_timestamp(kind):
            frame[name] = pd.to_datetime(frame[name])
    return pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
