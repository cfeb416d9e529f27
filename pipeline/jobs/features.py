"""Snapshots, labels and features of one target, for its training dates or for one date to score."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from math import ceil
from typing import Any

import pandas as pd

from features.build import FeaturePlan, plan_features
from features.catalogue import LAGGING
from features.definition import Card, DeclaredRatio, Signal
from features.errors import ConfigError, IncompleteHorizon
from features.facts import SourceFacts
from features.feeds import coverage, stretches
from features.naming import facts_table
from features.snapshots import population
from features.sources.subscriptions import is_paid
from features.state_rows import FIRST_VALUE, KEY_FEATURES, TROUBLE
from features.windows import NEVER, day_number, day_of, known, known_by
from models.dates import AskedDates, asked_dates, last_complete
from models.labels import labels, outcome_filter
from pipeline.config.schema import Target
from pipeline.engine.duckdb import Connection, rows
from pipeline.engine.facts import (
    choose,
    define_times,
    feed_counts,
    put_table,
    run_plan,
    source_facts,
)
from pipeline.jobs.merges import merged_accounts
from pipeline.jobs.onboarding_pace import onboarding_pace
from pipeline.jobs.stage import load_staged
from pipeline.jobs.terms import SEEN, TERMS, seen_terms
from pipeline.staging.late import InTime
from pipeline.staging.staged import StagedSource
from pipeline.workspace import (
    Workspace,
    label_source,
    population_rule,
    population_source,
    target_rule,
)

# Contracts that tell what happened to an account rather than what it does: never read by features.
NO_FEATURES = frozenset({"outcomes", "interventions"})
# Contracts whose rows may speak of days to come.
PLANNED = frozenset({"subscriptions", "goals", "milestones", "accounts", "contacts"})
# How far back the "was" of a reason looks.
BEFORE_DAYS = 28
DAYS_OF_A_YEAR = 365
# Beside the choices of each source; no source can have a name that starts so.
CALENDAR = "_calendar"
OWN_RATIOS = "_ratios"


@dataclass(frozen=True)
class BuiltFeatures:
    """A feature table in the connection, and everything that must be frozen with a model."""

    signals: tuple[Signal, ...]
    choices: Mapping[str, Any]
    dates: AskedDates | None
    rows: int


def data_until(
    workspace: Workspace, staged: Mapping[str, StagedSource], target: Target
) -> dict[str, date]:
    """First day no longer covered, per feed, for the labels of a target.

    The label source's own, where it says so or where its rows are activity; a table of contracts
    goes quiet without ending, so it is covered as far as the newest row of any source, unless
    nothing was entered in it any more where it usually is.
    """
    source = staged[label_source(workspace, target)]
    if source.settings.data_until is not None or source.contract.table in ("usage_events",):
        # Whole days: a date less half a day is the same date, and would count a day not yet
        # complete.
        delayed = timedelta(days=0 if source.has_known_at else ceil(source.settings.delay_days))
        return {feed: until - delayed for feed, until in source.data_until.items()}
    # Terms and steps are written down before they begin: only what records the past tells how far
    # it reaches.
    past = [
        s
        for s in staged.values()
        if s.has_known_at or s.settings.data_until or s.contract.table not in PLANNED
    ]
    until = max(until for each in past or staged.values() for until in each.data_until.values())
    return {"": until if source.entered_until is None else min(until, source.entered_until)}


def resolve_dates(
    workspace: Workspace, staged: Mapping[str, StagedSource], target: Target
) -> AskedDates | None:
    """The dates of a grid or list; None where each account has its own (an anchor)."""
    declared, test = target.dates, target.test
    if declared.anchor is not None:
        return None
    until = max(data_until(workspace, staged, target).values())
    begun = [s.first_event.date() for s in staged.values() if s.first_event is not None]
    horizon = target.horizon_days or 0
    words = f"target {target.name!r} ({target.horizon or f'horizon_days={horizon}'})"
    return asked_dates(
        step_days=declared.every_days,
        step=declared.every,
        first=declared.first,
        last=declared.last,
        listed=declared.list,
        test_first=test.first,
        test_last=test.last,
        test_listed=test.list,
        test_count=test.count,
        data_from=min(begun) if begun else until,
        last_possible=last_complete(until, target.gap_days, horizon, target.grace_days),
        horizon_words=words,
    )


def build_training(workspace: Workspace, connection: Connection, target: Target) -> BuiltFeatures:
    """Build `snapshots`, `labels` and `features` for all dates of a target, in the connection.

    Raises
    ------
    IncompleteHorizon
        When the data complete no label.
    """
    staged = load_staged(workspace, connection)
    dates = resolve_dates(workspace, staged, target)
    if dates is None:
        anchored_candidates(connection, staged, target)
    else:
        grid_candidates(connection, workspace, staged, target, [day_number(d) for d in dates.all])
    take_snapshots(workspace, connection, staged, target, {})
    count, first, middle = _summary(connection)
    if count == 0:
        raise IncompleteHorizon(
            f"target {target.name!r} has no account in its population on any date asked"
            f" ({_dates_words(dates)}). Check [targets.population] and the sources' dates with"
            " `tenure check`."
        )
    # Kinds and categories are chosen without labels, on what was known by the middle training date.
    choices = {
        n: choose(connection, s, middle, workspace.project.features.max_kinds)
        for n, s in staged.items()
    }
    _add_declared(connection, staged, choices)
    choices[CALENDAR] = {
        "season": workspace.project.features.season and _sees_the_season(connection, target)
    }
    # Those of the model in use: one declared later, or of kinds it did not choose, must not stop
    # its scores.
    own = [asdict(each) for each in workspace.project.features.ratios]
    choices |= {OWN_RATIOS: {"declared": own}} if own else {}
    take_labels(workspace, connection, staged, target)
    seen = seen_terms(workspace, connection, staged, target)
    choices |= {} if seen is None else {TERMS: {SEEN: list(seen)}}
    signals = _features(
        workspace, connection, staged, choices, own_dates=target.dates.anchor is not None
    )
    return BuiltFeatures(signals, choices, dates, count)


def build_scoring(
    workspace: Workspace,
    connection: Connection,
    target: Target,
    as_of: date,
    choices: Mapping[str, Any],
    needed: Sequence[Signal] = (),
    in_time: InTime | None = None,
) -> BuiltFeatures:
    """Build `snapshots` and `features` for one date, and the date before it, with a model's frozen
    choices.

    The rows of `BEFORE_DAYS` earlier give the "was" of each reason; accounts that were not in the
    population then have none.

    Parameters
    ----------
    needed
        Signals the model reads, as `_features` has them.
    in_time
        Read late rows as if they had come in time.
    """
    staged = load_staged(workspace, connection, in_time)
    day = day_number(as_of)
    if target.dates.anchor is None:
        grid_candidates(connection, workspace, staged, target, [day - BEFORE_DAYS, day])
    else:
        anchored_candidates(connection, staged, target, only_day=day)
    take_snapshots(workspace, connection, staged, target, choices)
    count = rows(connection, f"select count(*) from snapshots where as_of_day = {day}")[0][0]
    if count == 0:
        raise ConfigError(
            f"no account is in the population of target {target.name!r} on {as_of}. "
            "Choose another --as-of, or look at [targets.population]."
        )
    signals = _features(
        workspace,
        connection,
        staged,
        choices,
        own_dates=target.dates.anchor is not None,
        needed=needed,
    )
    return BuiltFeatures(signals, choices, None, count)


def build_past_dates(
    workspace: Workspace,
    connection: Connection,
    target: Target,
    dates: Sequence[date],
    choices: Mapping[str, Any],
    needed: Sequence[Signal] = (),
) -> tuple[Signal, ...]:
    """Build `snapshots`, `labels` and `features` of several dates of a grid, with a model's frozen
    choices.
    """
    staged = load_staged(workspace, connection)
    grid_candidates(connection, workspace, staged, target, [day_number(each) for each in dates])
    take_snapshots(workspace, connection, staged, target, choices)
    take_labels(workspace, connection, staged, target)
    return _features(workspace, connection, staged, choices, own_dates=False, needed=needed)


def build_rows(
    workspace: Workspace,
    connection: Connection,
    target: Target,
    snapshots: pd.DataFrame,
    choices: Mapping[str, Any],
    needed: Sequence[Signal],
    staged: Mapping[str, StagedSource] | None = None,
) -> tuple[Signal, ...]:
    """Build `features` of chosen accounts and dates, with a model's frozen choices.

    Parameters
    ----------
    snapshots
        account_id, as_of_day, partition_name.
    staged
        Sources whose views stand in the connection; None: as they were last staged.
    """
    staged = load_staged(workspace, connection) if staged is None else staged
    put_table(connection, "snapshots", snapshots)
    own_dates = target.dates.anchor is not None
    return _features(workspace, connection, staged, choices, own_dates=own_dates, needed=needed)


def build_card(
    workspace: Workspace,
    connection: Connection,
    target: Target,
    snapshots: pd.DataFrame,
    choices: Mapping[str, Any],
    card: Card,
) -> tuple[Signal, ...]:
    """Build `features` of chosen accounts and dates from one card, which need not be in the
    catalogue.

    Parameters
    ----------
    snapshots
        account_id, as_of_day, partition_name.
    """
    staged = load_staged(workspace, connection)
    put_table(connection, "snapshots", snapshots)
    own_dates = target.dates.anchor is not None
    return _features(workspace, connection, staged, choices, own_dates=own_dates, cards=(card,))


def _add_declared(
    connection: Connection, staged: Mapping[str, StagedSource], choices: dict[str, Any]
) -> None:
    """Freeze, beside what was chosen, the lists of events that the project declares and the pace of
    onboarding.
    """
    for name, source in staged.items():
        lists = {
            KEY_FEATURES: source.settings.key_features,
            TROUBLE: source.settings.trouble_events,
            FIRST_VALUE: source.settings.first_value_events,
        }
        categories = choices[name].setdefault("categories", {})
        categories |= {key: list(events) for key, events in lists.items() if events}
        if source.contract.table == "milestones":
            categories |= onboarding_pace(connection, source_facts(source, {}))


def _sees_the_season(connection: Connection, target: Target) -> bool:
    """Whether the time of year that a model is first asked about came before, a year earlier, among
    the training dates.

    That is the day on which the outcome of the last training date is known.
    """
    first, last = rows(
        connection, "select min(as_of_day), max(as_of_day) from snapshots where not is_test"
    )[0]
    window = target.gap_days + (target.horizon_days or 0)
    return first is not None and last + window - first >= DAYS_OF_A_YEAR


def _dates_words(dates: AskedDates | None) -> str:
    return f"{dates.all[0]} to {dates.all[-1]}" if dates else "dates of its anchor"


def _summary(connection: Connection) -> tuple[int, int, int]:
    count, first, middle = rows(
        connection,
        "select count(*), min(as_of_day), cast(floor(quantile_cont(case when not is_test then"
        " as_of_day end, 0.5)) as bigint) from snapshots",
    )[0]
    return count, first or 0, middle if middle is not None else NEVER


def grid_candidates(
    connection: Connection,
    workspace: Workspace,
    staged: Mapping[str, StagedSource],
    target: Target,
    days: list[int],
) -> None:
    """Every account the population's source knows of, on every date after its first row."""
    _, name = population_source(workspace, target)
    contract = staged[name].contract
    first = {"subscriptions": "starts_at", "accounts": "created_at"}.get(
        contract.table, str(contract.event_time)
    )
    connection.register("incoming", pd.DataFrame({"as_of_day": sorted(days)}))
    connection.execute(f"""
create or replace temp table candidates as
select a.account_id, d.as_of_day, a.partition_name
from (select account_id, max(partition_name) as partition_name, min({first}_day) as first_day
      from {facts_table(name)} group by 1) a
join incoming d on d.as_of_day > a.first_day""")
    connection.unregister("incoming")
    _give_feeds(connection, staged, target, workspace)


def _give_feeds(
    connection: Connection, staged: Mapping[str, StagedSource], target: Target, workspace: Workspace
) -> None:
    """Where another source knows the accounts' feeds, take them from it."""
    for name, source in staged.items():
        if source.has_feeds:
            connection.execute(f"""
create or replace temp table candidates as
select c.account_id, c.as_of_day, coalesce(p.partition_name, c.partition_name) as partition_name
from candidates c left join (select account_id, max(partition_name) as partition_name
  from {facts_table(name)}
  group by 1) p on p.account_id = c.account_id""")


def anchored_candidates(
    connection: Connection,
    staged: Mapping[str, StagedSource],
    target: Target,
    only_day: int | None = None,
) -> None:
    """Accounts on the dates their own anchor gives, where the anchor was known by then."""
    source, column = str(target.dates.anchor).split(".")
    facts = source_facts(staged[source], {})
    clock = facts.clock(column)
    test_offsets = target.test.offset_days or target.dates.offset_days
    pieces = []
    for offset in target.dates.offset_days:
        day = f"t.{column}_day + {offset}"
        was_known = (
            f"{known_by('t', day)} and t.{clock}_day < {day}" if clock else known_by("t", day)
        )
        tested = "true" if offset in test_offsets else "false"
        pieces.append(
            f"select t.account_id, {day} as as_of_day, t.partition_name, {tested} as may_test "
            f"from {facts.table} t where t.{column}_day is not null and {was_known}"
        )
    only = f"where a.as_of_day = {only_day}" if only_day is not None else ""
    connection.execute(
        "create or replace temp table candidates as select a.account_id, a.as_of_day,"
        " max(a.partition_name) as partition_name, max(a.may_test) as may_test from"
        f" ({' union all '.join(pieces)}) a {only} group by 1, 2"
    )


def latest_anchored_date(
    workspace: Workspace,
    connection: Connection,
    staged: Mapping[str, StagedSource],
    target: Target,
    until: date,
) -> date:
    """The newest date, up to `until`, on which the anchor puts some account into the population.

    Raises
    ------
    ConfigError
        When there is none.
    """
    anchored_candidates(connection, staged, target)
    take_snapshots(workspace, connection, staged, target, {})
    newest = rows(
        connection, f"select max(as_of_day) from snapshots where as_of_day <= {day_number(until)}"
    )[0][0]
    if newest is None:
        raise ConfigError(
            f"the anchor {target.dates.anchor} of target {target.name!r} gives no date on or before"
            f" {until}."
        )
    return day_of(newest)


def take_snapshots(
    workspace: Workspace,
    connection: Connection,
    staged: Mapping[str, StagedSource],
    target: Target,
    choices: Mapping[str, Any],
) -> None:
    """The rows of the population among the candidates, each marked as test or not."""
    kind, name = population_source(workspace, target)
    facts = source_facts(staged[name], choices)
    rule = population_rule(kind, target, dict(facts.decimals))
    earlier = ""
    if target.first_event_only:
        log, which = facts_table(str(target.source)), outcome_filter(target_rule(target), "e")
        earlier = (
            f" where not exists (select 1 from {log} e where e.account_id = p.account_id "
            f"and e.event_time_day < p.as_of_day and {known('e', 'p')} and {which})"
        )
    if target.kind == "conversion" and kind != "trials":
        # Trials leave out those who paid before by themselves; elsewhere a renewal would pass for a
        # conversion.
        paid = facts_table(label_source(workspace, target))
        earlier = (
            f" where not exists (select 1 from {paid} e where e.account_id = p.account_id and"
            f" {known('e', 'p')} and e.starts_at_day < p.as_of_day and {is_paid('e')})"
        )
    connection.execute(
        "create or replace temp table snapshots as select p.*,"
        f" {_is_test(workspace, staged, target)} as is_test from"
        f" ({population(rule, facts, merged_accounts(connection, staged))}) p{earlier}"
    )
    if target.dates.anchor is not None:
        _drop_untested_offsets(connection)


def _is_test(workspace: Workspace, staged: Mapping[str, StagedSource], target: Target) -> str:
    dates = resolve_dates(workspace, staged, target)
    if dates is not None:
        test = ", ".join(str(day_number(d)) for d in dates.test)
        return f"p.as_of_day in ({test})" if test else "false"
    if target.test.first is None:
        raise ConfigError(
            f"target {target.name!r} has dates by anchor and so needs test = {{ first = DATE }}."
        )
    last = f" and p.as_of_day <= {day_number(target.test.last)}" if target.test.last else ""
    return f"p.as_of_day >= {day_number(target.test.first)}{last}"


def _drop_untested_offsets(connection: Connection) -> None:
    """Late rows at offsets that are not tested would neither train nor test."""
    connection.execute("""
create or replace temp table snapshots as
select s.* from snapshots s join candidates c on c.account_id = s.account_id
  and c.as_of_day = s.as_of_day
where c.may_test or not s.is_test""")


def take_labels(
    workspace: Workspace, connection: Connection, staged: Mapping[str, StagedSource], target: Target
) -> None:
    """The table `labels`."""
    name = label_source(workspace, target)
    facts = source_facts(staged[name], {})
    kind, _ = population_source(workspace, target)
    rule = population_rule(kind, target, dict(facts.decimals))
    until = data_until(workspace, staged, target)
    feeds = [r[0] for r in rows(connection, "select distinct partition_name from snapshots")]
    ends = pd.DataFrame(
        {
            "partition_name": feeds,
            "until_day": [day_number(until.get(feed, max(until.values()))) for feed in feeds],
        }
    )
    put_table(connection, "data_until", ends)
    put_table(connection, "silences", _silences(connection, staged[name], until))
    merged = merged_accounts(connection, staged) is not None
    connection.execute(
        "create or replace temp table labels as"
        f" {labels(target_rule(target), facts, rule, merged=merged)}"
    )


def _silences(
    connection: Connection, staged: StagedSource, until: Mapping[str, date]
) -> pd.DataFrame:
    """The stretches on which the label's feed was dead, one row each: no label may rest on them."""
    if staged.contract.table != "usage_events":
        return _silence_table([])
    silences = []
    for feed, mine in feed_counts(connection, staged).groupby("partition_name"):
        end = until.get(str(feed), max(until.values()))
        _, days = coverage(mine, day_number(end), staged.settings.silent_after_days)
        silences += [(str(feed), first, last + 1) for first, last in stretches(days)]
    return _silence_table(silences)


def _silence_table(silences: list[tuple[str, int, int]]) -> pd.DataFrame:
    table = pd.DataFrame(silences, columns=["partition_name", "from_day", "until_day"])
    return table.astype({"partition_name": "str", "from_day": "int64", "until_day": "int64"})


def _features(
    workspace: Workspace,
    connection: Connection,
    staged: Mapping[str, StagedSource],
    choices: Mapping[str, Any],
    *,
    own_dates: bool,
    needed: Sequence[Signal] = (),
    cards: tuple[Card, ...] | None = None,
) -> tuple[Signal, ...]:
    """The table `features`: account_id, as_of_day and one double per signal.

    Parameters
    ----------
    cards
        These alone, instead of the catalogue's.
    needed
        Signals of a model. It goes on reading what `[features]` has switched off since it was
        trained, until another is put to use.
    """
    settings = workspace.project.features
    sources: list[SourceFacts] = []
    for source in staged.values():
        if source.contract.table not in NO_FEATURES and source.settings.features:
            sources.append(source_facts(source, choices))
    off = frozenset(settings.off) | (LAGGING if settings.leading_only else frozenset())
    ratios = tuple(
        DeclaredRatio(**each) for each in choices.get(OWN_RATIOS, {}).get("declared", ())
    )

    def planned(off: frozenset[str]) -> FeaturePlan:
        return plan_features(
            sources,
            window_days=settings.window_days,
            off=off,
            ratios=ratios,
            season=bool(choices.get(CALENDAR, {}).get("season", False)),
            own_dates=own_dates,
            cards=cards,
        )

    plan = planned(off)
    if {each.column for each in needed} - {each.column for each in plan.signals}:
        plan = planned(frozenset())
    if not plan.signals:
        raise ConfigError(
            "no signal can be built: every source is switched off or lacks the columns it needs."
            " See [features] off."
        )
    used = {s.name: staged[s.name] for s in sources if s.name in plan.windows}
    define_times(
        connection,
        plan,
        used,
        connection.execute("select distinct as_of_day, partition_name from snapshots").df(),
    )
    _build(workspace, connection, plan, used)
    return plan.signals


def _build(
    workspace: Workspace,
    connection: Connection,
    plan: FeaturePlan,
    staged: Mapping[str, StagedSource],
) -> None:
    """The table `features`, by the engine of the workspace."""
    if workspace.engine == "duckdb":
        run_plan(connection, plan, "features")
        return
    from pipeline.engine.spark import run_plan_on_spark, spark_session

    sources = {
        name: (facts, workspace.store.files(f"staged_{name}")) for name, facts in staged.items()
    }
    run_plan_on_spark(spark_session(), connection, plan, sources, "features")
