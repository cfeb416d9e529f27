"""Work out the portfolio's metrics, the lists per account and the links of its signals, and keep
them in the store.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date

import pandas as pd

from features.errors import ConfigError
from pipeline.config.schema import Target
from pipeline.engine.duckdb import Connection
from pipeline.jobs.first_value import first_value
from pipeline.jobs.portfolio import portfolio
from pipeline.jobs.portfolio_metrics import portfolio_metrics
from pipeline.jobs.prepare import load_training
from pipeline.jobs.signal_links import signal_links
from pipeline.jobs.stage import load_staged
from pipeline.jobs.stuck import stuck
from pipeline.staging.staged import StagedSource
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class TakenMetrics:
    """What was written: tables `metrics`, `first_value`, `stuck` and `signal_links`.

    None: no events are declared for the list; links None where features were not built yet.
    `names`: account -> its name.
    """

    metrics: pd.DataFrame
    links: pd.DataFrame | None
    first_value: pd.DataFrame | None = None
    stuck: pd.DataFrame | None = None
    events: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)


def take_metrics(
    workspace: Workspace, connection: Connection, target: Target, as_of: date | None = None
) -> TakenMetrics:
    """Write `metrics`, the lists per account as known on a date, and `signal_links` where the
    target's features are built.

    The date is by default the end of the usage data.
    """
    store = workspace.store
    staged = load_staged(workspace, connection)
    metrics = portfolio_metrics(workspace, connection, staged, target)
    store.write("metrics", metrics)
    taken = _lists(workspace, connection, staged, target, as_of, metrics)
    for name, table in (("first_value", taken.first_value), ("stuck", taken.stuck)):
        if table is not None:
            store.write(name, table)
    if not store.exists(f"features_{target.name}"):
        return taken
    training, feature_set, _ = load_training(workspace, target)
    links = signal_links(training, feature_set.signals).assign(target=target.name)
    store.write("signal_links", links, replace=f"target = '{target.name}'", partition_by=["target"])
    return replace(taken, links=links)


def _lists(
    workspace: Workspace,
    connection: Connection,
    staged: Mapping[str, StagedSource],
    target: Target,
    as_of: date | None,
    metrics: pd.DataFrame,
) -> TakenMetrics:
    """The way to first value and the troubles met, per account, of the first usage source that
    names such events.
    """
    by_contract = {source.contract.table: source for source in reversed(list(staged.values()))}
    usage = [source for source in staged.values() if source.contract.table == "usage_events"]
    valued = next((s for s in usage if s.settings.first_value_events), None)
    troubled = next((s for s in usage if s.settings.trouble_events), None)
    reached, met, events, names = None, None, {}, {}
    if valued is not None:
        events["first_value"] = valued.settings.first_value_events
        reached = first_value(
            connection,
            valued,
            by_contract.get("subscriptions"),
            by_contract.get("accounts"),
            _date(as_of, valued),
            target.grace_days,
        )
    if troubled is not None:
        events["stuck"] = troubled.settings.trouble_events
        met = stuck(connection, troubled, _date(as_of, troubled))
    ids = pd.concat(
        [table["account_id"] for table in (reached, met) if table is not None]
        or [pd.Series(dtype="str")]
    ).unique()
    if len(ids):
        day = next(
            table["as_of"].iloc[0] for table in (reached, met) if table is not None and len(table)
        ).date()
        called = portfolio(workspace, connection, staged, target, day, pd.Series(ids, dtype="str"))
        names = dict(zip(called["account_id"], called["name"], strict=True))
    return TakenMetrics(metrics, None, reached, met, events, names)


def _date(as_of: date | None, source: StagedSource) -> date:
    """The date asked for, by default the end of the source's data.

    Raises
    ------
    ConfigError
        When it lies after them: nobody would have met anything, and everybody would wait.
    """
    until = max(source.data_until.values())
    if as_of is not None and as_of > until:
        raise ConfigError(
            f"as_of {as_of} lies after the data of {source.name}, which end on {until}. Choose an"
            " --as-of on or before it, or bring newer data."
        )
    return as_of or until
