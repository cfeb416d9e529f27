"""The account managers' pulse as it was known on a date: each rating with author and expiry, beside
the published scores.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from features.errors import ConfigError, NotFound
from features.facts import SourceFacts, as_known
from features.state_rows import NOTE_COUNTS_DAYS, state_rows
from features.windows import happened
from models.bundle import Bundle, score
from models.health import displayed
from models.health.standing import standing
from models.pulse import (
    CURRENT,
    EXPIRED,
    NEVER,
    OLD,
    Verdict,
    Weight,
    disagreement,
    opinion,
    pulse_signals,
    verdicts,
    weight,
)
from pipeline.config.schema import Target
from pipeline.engine.duckdb import Connection, connected
from pipeline.engine.facts import put_table, source_facts
from pipeline.jobs.explain import published_rows
from pipeline.jobs.explain_scale import tested_scores
from pipeline.jobs.past_runs import past_bundle
from pipeline.jobs.stage import load_staged
from pipeline.jobs.treated import treated_rows
from pipeline.ledger import RunRow, published_run
from pipeline.staging.staged import StagedSource
from pipeline.workspace import Workspace, target_rule

CHUNK = 20_000
"""Accounts explained at a time, so that memory stays bounded."""


@dataclass(frozen=True)
class PulseReport:
    """Pulse and score of every account of a run.

    `accounts`: account_id, name, owner, value_per_year, currency, health, band, probability,
    status, pulse, author, noted_at, expires_at, counts_until (the last date on which it counts),
    opinion, disagreement, points (of the pulse in the score; null without a score). `verdicts` are
    of the test dates `tested_dates`; empty without a test.
    """

    run: RunRow
    source: str
    accounts: pd.DataFrame
    weight: Weight
    verdicts: tuple[Verdict, ...]
    tested_dates: tuple[date, ...]


def pulse_report(workspace: Workspace, target: Target, as_of: date | None = None) -> PulseReport:
    """Read the ratings known on the date of the current run, or of the run of a date, what they
    weigh, and who was right on the dates of the test.

    Raises
    ------
    NotFound
        No source holds pulse ratings, nothing was published, or the model of the run is gone.
    ConfigError
        The target is about something good, which no pulse speaks of.
    """
    if target_rule(target).is_good:
        raise ConfigError(
            f"target {target.name!r} is about growth, and pulse ratings are about staying."
            " Choose a target about leaving with --target."
        )
    row = published_run(workspace.store, target.name, as_of)
    scores = published_rows(workspace, target, "scores", as_of)
    run = row
    bundle = past_bundle(workspace, target, run)
    with connected() as connection:
        staged = load_staged(workspace, connection)
        source = pulse_source(staged)
        known = pulse_on(connection, source, scores[["account_id", "as_of"]])
        tested = _tested(workspace, target, connection, staged, source, bundle.model_version)
    points, weighed = _weigh(workspace, target, run, bundle, source.name, scores)
    people = published_rows(workspace, target, "portfolio", as_of).drop(columns=["as_of", "run_id"])
    shown = scores[["account_id", "health", "probability"]].assign(band=standing(scores))
    table = people.merge(shown, on="account_id")
    table = table.merge(known.drop(columns="as_of"), on="account_id").merge(
        points, on="account_id", how="left"
    )
    table = table.assign(opinion=opinion(table["pulse"], table["status"]))
    table = table.assign(disagreement=disagreement(table["opinion"], table["band"]))
    return PulseReport(
        row,
        source.name,
        table.sort_values("account_id", ignore_index=True),
        weighed,
        verdicts(tested) if len(tested) else (),
        tuple(sorted(set(tested["as_of"].dt.date))),
    )


def pulse_source(staged: Mapping[str, StagedSource]) -> StagedSource:
    """The source of account managers' notes with a mapped pulse.

    Raises
    ------
    NotFound
        When there is none, with the lines that add one.
    """
    sources = [
        s for s in staged.values() if s.contract.table == "csm_notes" and s.is_mapped("pulse")
    ]
    if not sources:
        raise NotFound(
            f"no source holds pulse ratings; staged are {', '.join(staged)}. Add"
            " [sources.csm_notes] with the columns account_id, noted_at and pulse (1 to 5), best"
            " with author and expires_at."
        )
    return sources[0]


def pulse_on(connection: Connection, source: StagedSource, snapshots: pd.DataFrame) -> pd.DataFrame:
    """The pulse of each account as known on a date: the one that counts, else the newest there was.

    The one that counts is picked by the rows of the card `pulse`, so that page and score speak of
    the same rating.

    Parameters
    ----------
    asked
        account_id, as_of: one line per row wanted.

    Returns
    -------
    DataFrame
        account_id, as_of; status (`current`, `expired`, `old`, `never`); pulse, author, noted_at,
        expires_at (null: none stated); counts_until (the last date on which it counts: the earlier
        of its expiry and 91 days after the note).
    """
    facts = source_facts(source, {})
    days = (snapshots["as_of"] - pd.Timestamp(0)).dt.days.astype("int64")
    put_table(
        connection,
        "snapshots",
        pd.DataFrame({"account_id": snapshots["account_id"].astype("str"), "as_of_day": days}),
    )
    current = _notes(
        connection, facts, f"select * from ({state_rows('newest_note', facts)})"
    ).assign(status=CURRENT)
    newest = _notes(connection, facts, _newest(facts))
    rows = pd.concat([current, newest]).drop_duplicates(["account_id", "as_of_day"], keep="first")
    rows = (
        snapshots.assign(as_of_day=days)
        .merge(rows, on=["account_id", "as_of_day"], how="left")
        .drop(columns="as_of_day")
    )
    end = rows["noted_at"].dt.normalize() + pd.Timedelta(days=NOTE_COUNTS_DAYS)
    rows["counts_until"] = rows[["expires_at"]].assign(end=end).min(axis=1)
    is_expired = rows["expires_at"] < rows["as_of"]
    ended = pd.Series(np.where(is_expired, EXPIRED, OLD), index=rows.index, dtype="object")
    return rows.assign(status=rows["status"].fillna(ended).where(rows["pulse"].notna(), NEVER))


def _newest(facts: SourceFacts) -> str:
    """The newest rating of each account, whether it counts or not."""
    return f"""
select r.* from (
  select t.*, row_number() over (
    partition by t.account_id, t.as_of_day order by t.noted_at desc, t.pulse desc) as position
  from ({as_known(facts)}) t where t.pulse is not null and {happened("t", "noted_at")}) r
where r.position = 1"""


def _notes(connection: Connection, facts: SourceFacts, query: str) -> pd.DataFrame:
    scale = facts.unit("pulse")
    return (
        connection.execute(f"""
select account_id, as_of_day, cast(pulse as double) / {scale}.0 as pulse, author,
  make_timestamp(cast(noted_at as bigint)) as noted_at, make_timestamp(cast(expires_at as bigint))
    as expires_at
from ({query}) order by account_id, as_of_day""")
        .df()
        .astype({"noted_at": "datetime64[us]", "expires_at": "datetime64[us]"})
    )


def _tested(
    workspace: Workspace,
    target: Target,
    connection: Connection,
    staged: Mapping[str, StagedSource],
    source: StagedSource,
    model_version: str,
) -> pd.DataFrame:
    """Scores of the untouched test with the pulse of their date, and whether somebody worked on the
    account since.
    """
    tested = tested_scores(workspace, target, model_version)
    if tested.empty:
        return tested.assign(as_of=pd.Series(dtype="datetime64[us]"))
    known = pulse_on(connection, source, tested[["account_id", "as_of"]])
    tested = tested.merge(known, on=["account_id", "as_of"])
    labels = workspace.store.read(
        "labels",
        columns=["account_id", "as_of", "label_until"],
        filters=[("target", "=", target.name)],
    )
    tested = tested.merge(labels, on=["account_id", "as_of"], how="left")
    treated = treated_rows(connection, staged, tested[["account_id", "as_of", "label_until"]])
    return tested.assign(treated=pd.Series(treated, index=tested.index, dtype="boolean"))


def _weigh(
    workspace: Workspace,
    target: Target,
    run: RunRow,
    bundle: Bundle,
    source: str,
    scores: pd.DataFrame,
) -> tuple[pd.DataFrame, Weight]:
    """Points of the pulse per scored account, and over the portfolio."""
    model = bundle.published
    scored = scores.dropna(subset=["health_exact"]).set_index("account_id").sort_index()
    rows = (
        workspace.store.read(
            f"features_scored_{target.name}",
            columns=["account_id", *model.columns],
            filters=[("run_id", "=", run.run_id)],
        )
        .set_index("account_id")
        .loc[scored.index]
    )
    is_pulse = pulse_signals(model.signals, source)
    points, sizes = np.zeros(len(rows)), np.zeros(len(rows))
    for start in range(0, len(rows), CHUNK):
        part = slice(start, start + CHUNK)
        every = score(bundle, rows.iloc[part].astype("float64")).points
        points[part], sizes[part] = every[:, is_pulse].sum(axis=1), np.abs(every).sum(axis=1)
    health = scored["health_exact"].to_numpy(dtype=np.float64)
    band, without = (
        bundle.scale.band(displayed(np.clip(each, 0.0, 100.0)))
        for each in (health, health - points)
    )
    weighed = weight(points, sizes, band, without, int(is_pulse.sum()))
    return pd.DataFrame({"account_id": scored.index, "points": points}), weighed
