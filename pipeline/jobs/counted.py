"""Scores that are counted from what people declare: put to use as the score, or read off for one
account.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from features.errors import ConfigError, ContractError, GateRefused, NotFound
from models.artifact import fingerprint
from models.counted import CountedScore, counted_method, counted_score, ranks
from models.declared import COUNTED_IN_WORDS
from pipeline.config.schema import Target
from pipeline.engine.duckdb import connected
from pipeline.jobs.accounts import account_named
from pipeline.jobs.bench import bench_settings
from pipeline.jobs.dated_rows import SourceTimes, dated_rows
from pipeline.jobs.explain import published_rows
from pipeline.jobs.prepare import load_training
from pipeline.jobs.registry import load_version, registered_model
from pipeline.jobs.stage import load_staged
from pipeline.jobs.train import card_model, register_card
from pipeline.ledger import published_run
from pipeline.tracking import CHAMPION
from pipeline.workspace import Workspace, describe_target

"""The fact of a version that names the counted score which it publishes."""


def put_counted_to_use(workspace: Workspace, target: Target) -> tuple[str, str]:
    """Make the counted score that `[score] basis` names the one that is published; returns its
    version and what the test said of it.

    Raises
    ------
    ConfigError
        When the score cannot be made of this project's signals.
    GateRefused
        When it ranks no better than chance; what is in use stays.
    """
    name = workspace.project.score.basis
    rows, feature_set, _ = load_training(workspace, target)
    method = _made(workspace, target, name, rows)
    gate = ranks(method, rows)
    if not gate.passed:
        raise GateRefused(
            f"the score counted from {COUNTED_IN_WORDS[name]} is not put to use: {gate.reason}"
            " Change what is declared, or set [score] basis to another score."
        )
    card = card_model(method, rows, describe_target(target))
    in_use = load_version(workspace, target, CHAMPION)
    if in_use is not None and in_use.bundle.facts.counted == name:
        if in_use.bundle.model_version == fingerprint(card)[:12]:
            return in_use.number, gate.reason
    note = f"the score is counted from {COUNTED_IN_WORDS[name]}, as declared: {gate.reason}"
    version = register_card(workspace, target, rows, feature_set, card, note, counted=name)
    registered_model(workspace, target).put_to_use(version, "scorecard", counted=name)
    return version, gate.reason


def counted_points(
    workspace: Workspace, target: Target, account: str, name: str, as_of: date | None = None
) -> tuple[Mapping[str, Any], CountedScore, Mapping[str, tuple[SourceTimes, ...]]]:
    """Who an account is, what its counted score is made of on the date of a run, and the dated rows
    behind each signal that counts.

    Parameters
    ----------
    name
        A counted score of the bench: `actions`, `rules`, `weighted_average`, `usage_score`,
        `four_indicators`, `scorecard` or `clusters`.

    Raises
    ------
    NotFound
        When nothing was published, or no account is called that.
    """
    people = published_rows(workspace, target, "portfolio", as_of)
    where = "in the current run" if as_of is None else f"in the run of {as_of}"
    account_id = account_named(account, people, where)
    run = published_run(workspace.store, target.name, as_of)
    rows, _, _ = load_training(workspace, target)
    method = _made(workspace, target, name, rows)
    features = workspace.store.read(
        f"features_scored_{target.name}",
        filters=[("run_id", "=", run.run_id), ("account_id", "=", account_id)],
    )
    columns = [signal.column for signal in rows.signals]
    if features.empty or not set(columns) <= set(features.columns):
        raise NotFound(
            f"the signals of account {account_id} on {run.as_of:%Y-%m-%d} are not those in the"
            " store any more. Run `tenure score` and ask again."
        )
    who = people.set_index("account_id").loc[account_id]
    day = run.as_of.date()
    score = counted_score(
        name,
        method,
        features[columns].astype("float64"),
        rows.signals,
        workspace.project.currency,
        day,
    )
    wanted = {column for line in score.lines for column in line.signals}
    with connected() as connection:
        staged = load_staged(workspace, connection)
        behind = {
            signal.column: dated_rows(connection, staged, signal, account_id, day)
            for signal in rows.signals
            if signal.column in wanted
        }
    return {"account_id": account_id, "name": who["name"], "as_of": run.as_of}, score, behind


def _made(workspace: Workspace, target: Target, name: str, rows: Any) -> Any:
    try:
        return counted_method(name, bench_settings(workspace, target), rows)
    except ContractError as reason:
        raise ConfigError(
            f"no score can be counted from {COUNTED_IN_WORDS.get(name, name)}: {reason}"
        ) from None
