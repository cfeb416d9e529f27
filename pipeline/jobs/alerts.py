"""Raise the alerts of the run that readers see: read it beside the runs before, tell what is new.

`night` calls `raise_alerts` after a run is published, and `tell_refusal` where it was not; both may
be called again without telling anything twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

import numpy as np
import pandas as pd

from features.errors import ChurnError, ConfigError, NotFound
from features.facts import as_known
from features.naming import facts_table
from features.windows import day_number
from models.changes import BEHAVIOUR, DATA
from models.drivers import REST
from models.health.standing import is_leaving, standing
from pipeline.actions.worklist import NO_OWNER
from pipeline.alerts.episodes import (
    ACKNOWLEDGED,
    CLOSED,
    DONE,
    SNOOZED,
    Alert,
    RunFacts,
    turn,
)
from pipeline.alerts.feeds import silence
from pipeline.alerts.inhibition import Trust, operator_alerts, refusal
from pipeline.alerts.rules import SCORE_KINDS, SOURCE_OF, Edges, RuleReading, read_rule, rules_of
from pipeline.alerts.tables import (
    Evaluated,
    append_alert,
    chosen_alert,
    current_alerts,
    evaluated_runs,
    read_alerts,
    read_watch,
    write_run,
)
from pipeline.alerts.watch import Watched, watched, watched_dates
from pipeline.config.schema import AlertRule, Target
from pipeline.dashboard.inbox import inbox_of
from pipeline.dashboard.schema import PAGES
from pipeline.engine.duckdb import Connection, connected
from pipeline.engine.facts import put_table, source_facts
from pipeline.jobs.changes import ScoreChanges, find_changes
from pipeline.jobs.explain_scale import band_edges
from pipeline.jobs.freshness import freshness
from pipeline.jobs.plan_plays import left_alone
from pipeline.jobs.stage import load_staged
from pipeline.ledger import RunRow, markers, published_run, read_runs, run_rows
from pipeline.published import read_scores
from pipeline.staging.staged import StagedSource
from pipeline.workspace import Workspace, target_rule

NO_SIGNALS = ("interventions", "outcomes")
"""Contracts that no score rests on."""
REASONS_TOLD = 2


@dataclass(frozen=True)
class AlertsReport:
    """What the alerts of a run are: its news, those that go on, and how many met which fate."""

    target: str
    run_id: str
    as_of: date
    rules: tuple[AlertRule, ...]
    news: tuple[Alert, ...]
    """Rows that this run wrote, those about feeds and models among them."""
    current: tuple[Alert, ...]
    """The last row of every alert."""
    counts: Mapping[str, int]
    was_evaluated: bool
    """Whether the run had been evaluated before, so that nothing was done."""


def raise_alerts(workspace: Workspace, target: Target) -> AlertsReport:
    """Evaluate the rules on the run that readers see and keep what changed.

    A run that was evaluated already is left as it is.

    Raises
    ------
    NotFound
        Nothing was published for the target.
    ConfigError
        The target's event is one we want.
    """
    _refuse_good_event(target)
    store = workspace.store
    run = published_run(store, target.name)
    take_in_actions(workspace, target)
    before = evaluated_runs(store, target.name)
    rules = rules_of(workspace.project.alerts, _edges(workspace), workspace.project.plays)
    if any(each.run_id == run.run_id for each in before):
        history = read_alerts(store, target.name)
        news = [alert for alert in history if alert.run_id == run.run_id]
        return _report(target, run, rules, news, history, {}, was_evaluated=True)
    history = read_alerts(store, target.name, without_run=run.run_id)
    night, table, trust = _tonight(workspace, target, run, before)
    readings = [read_rule(rule, table, _edges(workspace)) for rule in rules]
    alerting = workspace.project.alerting
    turned = turn(
        history,
        rules,
        readings,
        table,
        night,
        per_owner_and_week=alerting.per_owner_and_week,
    )
    silenced = _silenced(rules, readings, table, trust)
    news = [
        *operator_alerts(history, trust, night, operator=alerting.operator, silenced=silenced),
        *turned.rows,
    ]
    write_run(store, run.run_id, news, _watch_rows(table, night, trust))
    counts = {**turned.counts, "silenced_by_cause": silenced}
    return _report(target, run, rules, news, [*history, *news], counts, was_evaluated=False)


def tell_refusal(workspace: Workspace, target: Target, as_of: date, words: str) -> list[Alert]:
    """Tell the operator, once until a run is published again, that a run was refused."""
    store = workspace.store
    night = RunFacts(target.name, f"refused {as_of}", as_of, workspace.now, frozenset())
    history = read_alerts(store, target.name)
    rows = refusal(history, night, operator=workspace.project.alerting.operator, words=words)
    for alert in rows:
        append_alert(store, alert)
    return list(rows)


def act_on_alert(
    workspace: Workspace,
    target: Target,
    alert_id: str,
    state: str,
    *,
    by: str,
    note: str,
    until: date | None = None,
    at: datetime | None = None,
) -> Alert:
    """Acknowledge, snooze or finish an alert.

    Parameters
    ----------
    at
        When that was said; default: now.

    Raises
    ------
    NotFound
        There is no such alert.
    ConfigError
        It is closed or was never told, or the end of a snooze does not lie ahead.
    """
    assert state in (ACKNOWLEDGED, SNOOZED, DONE)
    alert = chosen_alert(read_alerts(workspace.store, target.name), alert_id)
    if alert.state == CLOSED or not alert.telling:
        why = f"closed ({alert.note})" if alert.state == CLOSED else f"{alert.state}, never told"
        raise ConfigError(
            f"alert {alert.alert_id} is {why}; only one that was told can be {state}. `tenure"
            " alerts list` shows them."
        )
    if until is not None and until <= workspace.now.date():
        raise ConfigError(f"--until {until} is over already; name a date that lies ahead.")
    acted = replace(
        alert, state=state, by=by, note=note, until=until, recorded_at=at or workspace.now
    )
    append_alert(workspace.store, acted)
    return acted


def take_in_actions(workspace: Workspace, target: Target) -> int:
    """Do with alerts what people said of them on the dashboard; returns how many were done.

    What cannot be done (the data closed the alert meanwhile) is noted beside what was said.
    """
    inbox, done = inbox_of(workspace.folder / PAGES), 0
    for action in inbox.actions(target.name):
        entry = action.entry
        if entry.at >= workspace.now:
            continue
        try:
            act_on_alert(
                workspace,
                target,
                entry.alert_id,
                entry.kind,
                by=entry.author,
                note=entry.note,
                until=entry.until,
                at=entry.at,
            )
        except (NotFound, ConfigError) as error:
            inbox.taken([action.number], workspace.moment(), str(error))
        else:
            inbox.taken([action.number], workspace.moment())
            done += 1
    inbox.close()
    return done


def _refuse_good_event(target: Target) -> None:
    if target_rule(target).is_good:
        raise ConfigError(
            f"target {target.name!r} is of an event that is wanted, and alerts are about scores"
            " that fall. Name another with --target."
        )


def _edges(workspace: Workspace) -> Edges:
    return Edges(*band_edges(workspace))


def _report(
    target: Target,
    run: RunRow,
    rules: tuple[AlertRule, ...],
    news: list[Alert],
    history: list[Alert],
    counts: Mapping[str, int],
    *,
    was_evaluated: bool,
) -> AlertsReport:
    return AlertsReport(
        target.name,
        run.run_id,
        run.day,
        rules,
        tuple(news),
        tuple(current_alerts(history)),
        counts,
        was_evaluated,
    )


# --- the run beside those before
# ---------------------------------------------------------------------------------------


def _tonight(
    workspace: Workspace, target: Target, run: RunRow, before: list[Evaluated]
) -> tuple[RunFacts, Watched, Trust]:
    """What rules may ask of the run, and whether it can be trusted."""
    with connected() as connection:
        staged = load_staged(workspace, connection)
        stale = _stale_sources(connection, staged, run)
        accounts = _accounts(workspace, run)
        accounts["overdue_days"] = _overdue(connection, staged, accounts, run.day)
    last = next((each for each in reversed(before) if each.is_trusted), None)
    resting = [n for n, each in stale.items() if each.blocks and _score_rests_on(staged[n])]
    trust = Trust(
        stale={name: each.words for name, each in stale.items()},
        is_first=last is None,
        score_is_whole=not resting,
        accounts=len(accounts),
    )
    changes: ScoreChanges | None = None
    if last is not None:
        rows = run_rows(workspace.store)
        [run_then] = read_runs(rows[rows["run_id"] == last.run_id])
        trust = replace(trust, markers=markers(run_then, run))
        if not resting:
            try:
                changes = find_changes(workspace, target, last.run_id, run.run_id)
            except ChurnError as error:
                trust = replace(trust, not_split=str(error))
    if changes is not None:
        moved = changes.accounts.set_index("account_id")
        late = int((moved[DATA].abs() >= 1).sum())
        trust = replace(trust, moved_by_data=late)
        accounts["moved_by_words"] = accounts["account_id"].map(_behaviour_words(changes))
    kinds = {
        kind
        for kind in (*SCORE_KINDS, *SOURCE_OF)
        if _may_be_asked(kind, staged, stale, trust.is_trusted)
    }
    night = RunFacts(
        target.name,
        run.run_id,
        run.day,
        workspace.now,
        frozenset(kinds),
        facts_are_news=not trust.is_first and not trust.has_new_settings,
        left_alone=left_alone(workspace, run.run_id),
    )
    return night, _watched(workspace, target, run, accounts, before, changes), trust


def _watched(
    workspace: Workspace,
    target: Target,
    run: RunRow,
    accounts: pd.DataFrame,
    before: list[Evaluated],
    changes: ScoreChanges | None,
) -> Watched:
    # Of several runs of one date the one that was evaluated last; an earlier run of this date is
    # what this one is compared with.
    trusted = {each.day: each for each in before if each.is_trusted}
    days = [*watched_dates(list(trusted), run.day), *(d for d in trusted if d == run.day)]
    past = read_watch(workspace.store, target.name, [trusted[day].run_id for day in days])
    newest = past[past["as_of"] == past["as_of"].max()].set_index("account_id")
    accounts = accounts.assign(renewal_before=accounts["account_id"].map(newest["renewal_date"]))
    behaviour = pd.Series(dtype="float64")
    if changes is not None:
        behaviour = changes.accounts.set_index("account_id")[BEHAVIOUR]
    return watched(accounts, past, behaviour, run.day)


def _accounts(workspace: Workspace, run: RunRow) -> pd.DataFrame:
    """Who they are, how they score, and what may be lost."""
    mine = [("run_id", "=", run.run_id)]
    scores = read_scores(
        workspace.store,
        [("target", "=", run.target), *mine],
        ["account_id", "health", "probability"],
    )
    people = workspace.store.read("portfolio", filters=mine).drop(columns=["as_of", "run_id"])
    table = scores.merge(people, on="account_id", how="left").sort_values(
        "account_id", ignore_index=True
    )
    chance = table["probability"].astype(float)
    # Who has given notice has decided; a scorecard has no chances, so the worst scores come first.
    chance = chance.mask(is_leaving(table), 1.0)
    chance = chance.fillna(1 - table["health"].astype(float) / 100)
    return table.assign(
        health=table["health"].astype("float64"),
        name=table["name"].fillna(table["account_id"]),
        owner=table["owner"].fillna("").replace("", NO_OWNER),
        value_at_risk=table["value_per_year"].astype(float) * chance,
    )


def _overdue(
    connection: Connection,
    staged: Mapping[str, StagedSource],
    accounts: pd.DataFrame,
    day: date,
) -> "pd.Series[float]":
    """Days that the oldest unpaid invoice is overdue, 0 without one; no further than the feed
    reaches, so that a payment nobody could see is not missing.
    """
    overdue = pd.Series(np.nan, index=accounts.index, dtype="float64")
    for name, source in staged.items():
        is_told = source.is_mapped("due_at") and source.is_mapped("paid_at")
        if source.contract.table != "invoices" or not is_told:
            continue
        asked = pd.DataFrame({"account_id": accounts["account_id"], "as_of_day": day_number(day)})
        put_table(connection, "asked", asked)
        rows = connection.execute(f"""
select t.account_id, min(t.due_at_day) as due_day
from ({as_known(source_facts(source, {}), "asked")}) t where t.paid_at is null group by 1""").df()
        [(newest,)] = connection.execute(
            f"select max(known_from_day) from {facts_table(name)}"
            f" where known_from_day < {day_number(day)}"
        ).fetchall()
        due = accounts["account_id"].map(rows.set_index("account_id")["due_day"])
        days = (float(newest or 0) + 1 - due.astype(float)).clip(lower=0).fillna(0.0)
        overdue = overdue.combine(days, np.fmax)
    return overdue


@dataclass(frozen=True)
class _Stale:
    """What is wrong with a source, and whether the score cannot be read without it."""

    words: str
    blocks: bool


def _stale_sources(
    connection: Connection, staged: Mapping[str, StagedSource], run: RunRow
) -> dict[str, _Stale]:
    """Sources that are too old, too thin, silent, or accepted as stale."""
    stale = {
        name: _Stale(f"accepted as stale: {reason}", True)
        for name, reason in run.accepted_stale.items()
        if name in staged
    }
    for state in freshness(connection, staged, run.day):
        if state.problem:
            words = state.problem.removeprefix(f"{state.source}: ").rstrip(".")
            stale.setdefault(state.source, _Stale(words, True))
    day = day_number(run.day)
    for name, source in staged.items():
        if source.settings.max_age_days is not None:
            continue  # its owner says how old it may be
        days = connection.execute(
            f"select distinct known_from_day from {facts_table(name)}"
            f" where known_from_day < {day} order by 1"
        ).fetchall()
        feed_silence = silence([int(each) for (each,) in days], day)
        if feed_silence is not None:
            stale.setdefault(name, _Stale(feed_silence.words, feed_silence.is_dense))
    return {name: stale[name] for name in sorted(stale)}


def _score_rests_on(source: StagedSource) -> bool:
    return source.contract.table not in NO_SIGNALS and source.settings.features


def _may_be_asked(
    kind: str, staged: Mapping[str, StagedSource], stale: Mapping[str, _Stale], is_trusted: bool
) -> bool:
    if kind in SCORE_KINDS:
        return is_trusted
    tables = {staged[name].contract.table for name in stale}
    return SOURCE_OF[kind] not in tables


def _behaviour_words(changes: ScoreChanges) -> "pd.Series[str]":
    """What customers did that took most points, in words, by account."""
    lines = changes.lines
    mine = lines[
        (lines["cause"] == BEHAVIOUR) & (lines["points_displayed"] < 0) & (lines["driver"] != REST)
    ]
    largest = mine.sort_values(["account_id", "points"], kind="stable")
    firsts = largest.groupby("account_id").head(REASONS_TOLD)
    return firsts.groupby("account_id")["words"].agg("; ".join)


def _silenced(
    rules: tuple[AlertRule, ...],
    readings: list[RuleReading],
    table: Watched,
    trust: Trust,
) -> int:
    """Accounts whose displayed score would have raised an alert, and raised none; on the first run
    those at risk already.
    """
    if trust.is_first:
        return int((standing(table.accounts) == "at_risk").sum())
    raised = np.zeros(len(table), dtype=bool)
    holds = np.zeros(len(table), dtype=bool)
    for rule, reading in zip(rules, readings, strict=True):
        if rule.kind in SCORE_KINDS:
            raised |= reading.raised
            holds |= reading.holds
    if trust.is_trusted and len(table.dates) > 1:
        # What customers did themselves is less than half of the step that is seen.
        shown, theirs = (each[:, -1] - each[:, -2] for each in (table.health, table.path))
        raised &= ~holds & (theirs > shown / 2)
    return int(raised.sum())


def _watch_rows(table: Watched, night: RunFacts, trust: Trust) -> pd.DataFrame:
    """The run as later ones compare themselves with it."""
    accounts = table.accounts
    path = table.path[:, -1] if trust.is_trusted else np.full(len(table), np.nan)
    return pd.DataFrame(
        {
            "account_id": accounts["account_id"].astype("str"),
            "target": night.target,
            "as_of": pd.Timestamp(night.day),
            "run_id": night.run_id,
            "health": table.health[:, -1],
            "path": path,
            "renewal_date": accounts["renewal_date"],
            "is_trusted": trust.is_trusted,
            "evaluated_at": night.now,
        }
    )
