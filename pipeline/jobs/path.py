"""The path back to a better band: the least that would have to be different in an account's own
rows, found by changing them and working everything out again.

Every combination of the declared levers becomes an account of its own: its rows are those of the
account, with the steps done. They pass through features and model as any account's do, beside all
other rows, so that feeds and windows are those of the run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from features.errors import ConfigError
from features.sql import literal
from features.windows import day_number
from models.bundle import Bundle, score
from models.health.standing import standing_of
from models.path import FoundPath, Steps, cheapest_path
from pipeline.config.checks import nearest
from pipeline.config.schema import Lever, Target
from pipeline.engine.duckdb import Connection, connected
from pipeline.engine.facts import prepare, put_table
from pipeline.jobs.accounts import account_named
from pipeline.jobs.explain import published_rows
from pipeline.jobs.features import build_rows, grid_candidates
from pipeline.jobs.registry import need_version
from pipeline.jobs.scoring_rows import scoring_rows
from pipeline.jobs.stage import load_staged, staged_rows
from pipeline.staging.sessions import COLUMN, add_sessions
from pipeline.staging.staged import StagedSource
from pipeline.tracking import CHAMPION
from pipeline.workspace import Workspace

SCENARIO = "\x1fpath/"
"""Begins the ids of the made-up accounts; no table can hold such an id."""
MOST_SCENARIOS, MOST_ROWS = 64, 1_000_000
"""Combinations worked out at once, fewer for an account with many rows."""
SAME_CHANCE = 1e-6
NOON_BEFORE = timedelta(hours=12)
"""Rows are closed at noon of the last day that the score sees."""
_OF_ACCOUNT, _CHANGED, _PLACE = "account_rows", "path_rows", "path_place"
_SCENARIOS, _INCOMING = "path_scenarios", "path_incoming"


@dataclass(frozen=True)
class RowChange:
    """Rows of a lever: columns of an added row, or of one that is there and gets `set` as well."""

    lever: str
    source: str
    row: Mapping[str, Any]
    closes: Mapping[str, datetime] | None = None


@dataclass(frozen=True)
class PathReport:
    """The path of one account.

    `path.steps` follow `levers`; `changes` are its rows, or those of the best combination where no
    path was found.
    """

    account_id: str
    name: str
    as_of: datetime
    health: int
    band: str
    wanted: str
    wanted_from: int
    levers: tuple[Lever, ...]
    available: tuple[int, ...]
    """Steps of each lever that the account has rows for."""
    path: FoundPath | None
    """None: it is in the band, or no lever has a row to work on."""
    best_band: str
    changes: tuple[RowChange, ...]


def path_report(
    workspace: Workspace, target: Target, account: str, wanted: str | None = None
) -> PathReport:
    """Find the least effort by which an account of the current run would read a band.

    Parameters
    ----------
    account
        Its id or its name.
    wanted
        The band; None: the best one.

    Raises
    ------
    ConfigError
        No lever is declared, accounts have dates of their own, the account has no score, a lever
        names a value that no row has, or rows changed since the run.
    NotFound
        No such account, or nothing published.
    """
    levers = workspace.project.levers
    if not levers:
        raise ConfigError(
            "no lever is declared. Say under [[levers]] what can be done with an account and which"
            " rows it leaves (docs/how-to/path-back.md)."
        )
    if target.dates.anchor is not None:
        raise ConfigError(
            f"target {target.name!r} scores each account on a date of its own; a path needs a date"
            " that all share."
        )
    scores = published_rows(workspace, target, "scores")
    people = published_rows(workspace, target, "portfolio")
    account_id = account_named(account, people, "in the current run")
    row = scores[scores["account_id"] == account_id].iloc[0].to_dict()
    if standing_of(row) in ("leaving", "unknown") or pd.isna(row["health"]):
        raise ConfigError(
            f"{account_id} has no score to bring back: it is {standing_of(row)}"
            f" ({row['band_reason'] or 'no reason recorded'})."
        )
    bundle = need_version(workspace, target, CHAMPION, "Run `tenure run` first.").bundle
    band = wanted or bundle.scale.bands[-1]
    if band not in bundle.scale.bands:
        raise ConfigError(
            f'--to "{band}" is no band of {target.name}. Allowed: {", ".join(bundle.scale.bands)}.'
        )
    as_of = pd.Timestamp(row["as_of"]).to_pydatetime()
    with connected() as connection:
        rows = RowsOfAnAccount(workspace, connection, target, bundle, levers, account_id, as_of)
        rows.check_values()
        available = rows.available()
        rows.check_published(row)
        scale = bundle.scale
        firsts = (0, scale.at_risk_until + 1, scale.stable_until + 1)
        from_health = firsts[scale.bands.index(band)]
        report = PathReport(
            account_id=account_id,
            name=_name(people, account_id),
            as_of=as_of,
            health=int(row["health"]),
            band=str(row["band"]),
            wanted=band,
            wanted_from=from_health,
            levers=levers,
            available=available,
            path=None,
            best_band=str(row["band"]),
            changes=(),
        )
        if report.health >= from_health or not any(available):
            return report
        path = cheapest_path(
            [lever.effort for lever in levers],
            available,
            rows.healths,
            lambda health: health >= from_health,
            rows.at_once,
        )
        return replace(
            report,
            path=path,
            best_band=str(bundle.scale.band([path.health])[0]),
            changes=rows.changes(path.best),
        )


def _name(people: pd.DataFrame, account: str) -> str:
    name = people.loc[people["account_id"] == account, "name"].iloc[0]
    return name if isinstance(name, str) and name else account


class RowsOfAnAccount:
    """The rows of an account in a connection, and what they would read with steps done."""

    def __init__(
        self,
        workspace: Workspace,
        connection: Connection,
        target: Target,
        bundle: Bundle,
        levers: Sequence[Lever],
        account: str,
        as_of: datetime,
    ) -> None:
        self.workspace, self.connection, self.target = workspace, connection, target
        self.bundle, self.levers, self.account, self.as_of = bundle, levers, account, as_of
        self.staged = load_staged(workspace, connection)
        self.day = day_number(as_of.date())
        grid_candidates(connection, workspace, self.staged, target, [self.day])
        (self.feed,) = connection.execute(
            "select partition_name from candidates where account_id = ?", [account]
        ).fetchone() or ("",)
        self.mine = {name: self._mine(name) for name in self.staged}
        count = sum(len(each) for each in self.mine.values())
        # As many scenarios in one query as memory allows; fewer than eight would waste the queries.
        self.at_once = max(8, min(MOST_SCENARIOS, MOST_ROWS // max(1, count)))
        self.people = {name: self._people(name) for name in self.staged}

    def _mine(self, name: str) -> pd.DataFrame:
        """Rows of the account in one source, as staged, by their place in the table of them."""
        self.connection.execute(
            f"create or replace temp table {_OF_ACCOUNT}_{name} as"
            f" select row_number() over () - 1 as {_PLACE}, *"
            f" from {staged_rows(self.workspace, name)}"
            f" where account_id = {literal(self.account)}"
        )
        rows = self.connection.execute(f"select * from {_OF_ACCOUNT}_{name}").df()
        return rows.set_index(_PLACE)

    def _people(self, name: str) -> list[Any]:
        """Who did things before the date, the latest first: they stand in added rows."""
        source, mine = self.staged[name], self._known(name)
        user = next((s.user for s in source.contract.streams if s.user), None)
        if user is None or not source.is_mapped(user):
            return []
        newest = mine.dropna(subset=[user]).sort_values(str(source.contract.event_time))
        return list(newest[user].iloc[::-1].drop_duplicates())

    def _known(self, name: str) -> pd.DataFrame:
        mine = self.mine[name]
        as_of = pd.Timestamp(self.as_of)
        known = mine["known_from"].isna() | (mine["known_from"] < as_of)
        return mine[known & (mine["known_until"].isna() | (mine["known_until"] >= as_of))]

    def open_rows(self, lever: Lever) -> pd.DataFrame:
        """Rows that a lever would close, the oldest first."""
        known = self._known(lever.source)
        closed = known[lever.close]
        is_open = closed.isna() | (closed >= pd.Timestamp(self.as_of))
        return known[is_open].sort_values("known_from", kind="stable")

    def available(self) -> tuple[int, ...]:
        """Steps of each lever that there are rows for."""
        return tuple(
            lever.most
            if lever.close is None
            else min(lever.most, len(self.open_rows(lever)) // lever.rows)
            for lever in self.levers
        )

    def check_values(self) -> None:
        """Refuse a lever that adds a word no row has: no signal could see it."""
        for lever in self.levers:
            contract = self.staged[lever.source].contract
            for name, value in (lever.add or {}).items():
                column = contract.column(name)
                if column is None or column.type != "text" or column.is_personal:
                    continue
                distinct = self.connection.execute(
                    f"select distinct {name} from {staged_rows(self.workspace, lever.source)}"
                    f" where {name} is not null limit 1000"
                ).fetchall()
                words = [str(each) for (each,) in distinct]
                if str(value) not in words:
                    raise ConfigError(
                        f'[[levers]] "{lever.name}": {name} = "{value}" is in no row of'
                        f" {lever.source}{nearest(str(value), words)} Rows have:"
                        f" {', '.join(sorted(words)[:20])}."
                    )

    def check_published(self, row: Mapping[Any, Any]) -> None:
        """Without any step the account must read what was published."""
        scored = self._scored([(0,) * len(self.levers)])
        now, then = float(scored["probability"].iloc[0]), row["probability"]
        is_same = int(scored["health"].iloc[0]) == int(row["health"]) and (
            pd.isna(then) or abs(now - float(then)) <= SAME_CHANCE
        )
        if not is_same:
            raise ConfigError(
                f"the rows or the model of {self.account} changed since the run: it would"
                f" read {int(scored['health'].iloc[0])} now, and {int(row['health'])} was"
                " published. Run `tenure score`, then ask again."
            )

    def healths(self, combinations: Sequence[Steps]) -> list[int]:
        """What the account would read with each combination."""
        return [int(each) for each in self._scored(combinations)["health"]]

    def changes(self, steps: Steps) -> tuple[RowChange, ...]:
        """The rows of a combination."""
        changes: list[RowChange] = []
        for lever, n in zip(self.levers, steps, strict=True):
            if lever.close is not None:
                changes += [
                    RowChange(
                        lever.name,
                        lever.source,
                        {k: v for k, v in row.items() if isinstance(v, str) or not pd.isna(v)},
                        {lever.close: self._closing(row)},
                    )
                    for row in self._told(self.open_rows(lever).head(n * lever.rows))
                ]
            else:
                added = self._added(lever, n)
                changes += [
                    RowChange(lever.name, lever.source, row) for row in self._told(added, lever)
                ]
        return tuple(changes)

    def _told(self, rows: pd.DataFrame, lever: Lever | None = None) -> list[dict[str, Any]]:
        """Rows as people would write them: our columns, amounts and numbers in their unit."""
        source = None if lever is None else self.staged[lever.source]
        kept = [
            name
            for name in rows.columns
            if name not in ("account_id", "partition", "known_from", "known_until", "row_key")
        ]
        values = []
        for row in rows[kept].astype(object).to_dict("records"):
            plain: dict[str, Any] = {}
            for name, value in row.items():
                if value is None or (not isinstance(value, str) and pd.isna(value)):
                    continue
                is_number = source is not None and source.columns[str(name)].type in (
                    "number",
                    "money",
                )
                plain[str(name)] = value / source.unit(str(name)) if is_number and source else value
            values.append(plain)
        return values

    def _closing(self, row: Mapping[Any, Any]) -> datetime:
        """Yesterday noon; a row that came later is closed when it came."""
        contract_times = [v for v in row.values() if isinstance(v, pd.Timestamp | datetime)]
        before = [pd.Timestamp(v) for v in contract_times if pd.Timestamp(v) < self.as_of]
        return max([pd.Timestamp(self.as_of - NOON_BEFORE), *before]).to_pydatetime()

    def _added(self, lever: Lever, steps: int) -> pd.DataFrame:
        """Staged rows that a number of steps adds."""
        source, assert_add = self.staged[lever.source], lever.add
        assert assert_add is not None
        count = steps * lever.rows
        span = timedelta(days=lever.within_days)
        times = [
            (self.as_of - span * ((place + 0.5) / count)).replace(second=0, microsecond=0)
            for place in range(count)
        ]
        rows = pd.DataFrame({str(source.contract.event_time): times})
        delay = timedelta(days=0 if source.has_known_at else source.settings.delay_days)
        rows["known_from"] = [each + delay for each in times]
        user = next((s.user for s in source.contract.streams if s.user), None)
        people = self.people[lever.source]
        if user is not None and people and user not in assert_add:
            rows[user] = [people[place % len(people)] for place in range(count)]
        for name, value in assert_add.items():
            is_number = source.columns[name].type in ("number", "money")
            rows[name] = round(float(value) * source.unit(name)) if is_number else value
        rows["partition"] = self.feed if source.has_feeds else ""
        return rows

    # --- through the pipeline

    def _scored(self, combinations: Sequence[Steps]) -> pd.DataFrame:
        """Scores of the account with each combination done, in their order."""
        scenarios = [f"{SCENARIO}{place:05d}" for place in range(len(combinations))]
        for name, source in self.staged.items():
            table = self._changed(name, scenarios, combinations)
            prepare(
                self.connection,
                source,
                f"(select * from {staged_rows(self.workspace, name)} union all by name"
                f" select * exclude ({_PLACE}) from {table})",
            )
        signals = build_rows(
            self.workspace,
            self.connection,
            self.target,
            pd.DataFrame(
                {"account_id": scenarios, "as_of_day": self.day, "partition_name": self.feed}
            ),
            self.bundle.choices,
            self.bundle.published.signals,
            self.staged,
        )
        self.bundle.published.check_signals(signals)
        frame = scoring_rows(
            self.connection, self.bundle.published.columns, self.as_of.date()
        ).frame()
        return score(self.bundle, frame.loc[scenarios]).table

    def _changed(self, name: str, scenarios: Sequence[str], combinations: Sequence[Steps]) -> str:
        """The table with rows of one source for every combination."""
        table, connection = f"{_CHANGED}_{name}", self.connection
        put_table(connection, _SCENARIOS, pd.DataFrame({"scenario": list(scenarios)}))
        connection.execute(
            f"create or replace temp table {table} as"
            f" select r.* replace (s.scenario as account_id)"
            f" from {_OF_ACCOUNT}_{name} r cross join {_SCENARIOS} s"
        )
        for place, lever in enumerate(self.levers):
            done = {s: steps[place] for s, steps in zip(scenarios, combinations, strict=True)}
            if lever.source != name or not any(done.values()):
                continue
            if lever.close is None:
                rows = pd.concat(
                    self._added(lever, n).assign(account_id=s) for s, n in done.items() if n
                )
                put_table(connection, _INCOMING, rows)
                connection.execute(f"insert into {table} by name select * from {_INCOMING}")
                continue
            rows = self.open_rows(lever)
            closing = [self._closing(row) for row in rows.to_dict("records")]
            every = pd.DataFrame(
                {
                    "place": [row for n in done.values() for row in rows.index[: n * lever.rows]],
                    "closing": [at for n in done.values() for at in closing[: n * lever.rows]],
                    "scenario": [s for s, n in done.items() for _ in range(n * lever.rows)],
                }
            )
            put_table(connection, _INCOMING, every)
            connection.execute(
                f"update {table} set {lever.close} = i.closing from {_INCOMING} i"
                f" where {table}.account_id = i.scenario and {table}.{_PLACE} = i.place"
            )
        source = self.staged[name]
        if source.settings.session_gap_minutes is not None:
            self._with_visits(source, table)
        return table

    def _with_visits(self, source: StagedSource, table: str) -> None:
        """Visits of the changed rows, counted as staging counts them."""
        if not source.columns.get(COLUMN) or source.contract.table != "usage_events":
            return
        columns = {**source.columns, COLUMN: replace(source.columns[COLUMN], is_mapped=False)}
        aside = replace(source, name="of_a_path", columns=columns, has_known_at=False)
        self.connection.execute(
            f"create or replace temp table {aside.table} as select * from {table}"
        )
        add_sessions(self.connection, aside)
        self.connection.execute(
            f"create or replace temp table {table} as select * from {aside.table}"
        )


def plain_path(report: PathReport) -> dict[str, Any]:
    """Everything as plain values."""
    path = report.path
    return {
        "account_id": report.account_id,
        "name": report.name,
        "as_of": report.as_of,
        "health": report.health,
        "band": report.band,
        "wanted": report.wanted,
        "wanted_from": report.wanted_from,
        "found": path is not None and path.steps is not None,
        "steps": (
            {}
            if path is None
            else {lever.name: n for lever, n in zip(report.levers, path.best, strict=True) if n}
        ),
        "effort": None if path is None or np.isnan(path.effort) else path.effort,
        "reads": None if path is None else path.health,
        "reads_band": None if path is None else report.best_band,
        "combinations_tried": 0 if path is None else path.tried,
        "is_causal": False,
        "changes": [
            {
                "lever": each.lever,
                "source": each.source,
                "row": dict(each.row),
                "set": None if each.closes is None else dict(each.closes),
            }
            for each in report.changes
        ],
    }
