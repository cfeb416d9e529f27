"""The simulated world: its tables and its truth, made block by block, and written as Parquet."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import ConfigError
from features.sources import CONTRACTS
from pipeline.simulate import billing, faults, paths, relations, terms, truth, usage, voices
from pipeline.simulate import parameters as p
from pipeline.simulate.company import Company
from pipeline.simulate.project_file import project_file

# What is lost is read off the terms: the simulated company keeps no log of outcomes.
TABLES = tuple(name for name in CONTRACTS if name != "outcomes")
_ARROW = {
    "text": pa.string(),
    "time": pa.timestamp("us"),
    "money": pa.float64(),
    "number": pa.float64(),
    "flag": pa.bool_(),
}
_WHOLE = ("seats", "quantity", "days_inactive")
_EXTRA_TYPES = {
    "channel": "text",
    "status": "text",
    "account_status": "text",
    "days_inactive": "number",
}
PILOT_EFFECT_REPLICATES = 8


@dataclass(frozen=True)
class Truth:
    """What only the simulator knows.

    Attributes
    ----------
    churn
        account_id; as_of; probability: true probability of leaving in `[as_of, as_of + 90 days)`;
        notice_known: notice was given before as_of. One row per customer and date.
    decision
        account_id; as_of; probability: true probability of not renewing, did the contract come up
        now; has_decided: the customer has made up its mind already, which this probability knows
        nothing of.
    drivers
        account_id; as_of; one flag per planted trouble: champion_lost, bug_trouble,
        payment_trouble, low_value_fit, price_rise, unobserved.
    effects
        Per play: effect on the log hazard and mean change of the 90-day probability were all
        customers treated.
    """

    churn: pd.DataFrame
    decision: pd.DataFrame
    drivers: pd.DataFrame
    effects: dict[str, Any]


@dataclass(frozen=True)
class AccountBlock:
    """One block of accounts, ready to be written: small tables, usage in parts, and truth."""

    company: Company
    base: float
    tables: dict[str, pd.DataFrame]
    """Every table except usage_events."""

    def usage_parts(self) -> Iterator[pa.Table]:
        """usage_events in parts of some hundred accounts."""
        for part in usage.usage_events(self.company):
            yield faults.silence("usage_events", part, self.company.options)

    def truth_tables(self) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """The block's rows of `Truth.churn`, `Truth.decision` and `Truth.drivers`."""
        company, options = self.company, self.company.options
        churn, decision, drivers = [], [], []
        for as_of in options.truth_grid:
            generator = paths.stream(
                company.seed, paths.STREAM_TRUTH, company.path.number, options.day_index(as_of)
            )
            state = self.state_at(options.day_index(as_of))
            replicates = options.truth_replicates
            rows = truth.truth_rows(state, company.account_id, as_of, replicates, generator)
            churn.append(rows[0])
            drivers.append(rows[1])
            # A stream of its own, so that this truth moves no other.
            generator = paths.stream(
                company.seed, paths.STREAM_DECISION, company.path.number, options.day_index(as_of)
            )
            decision.append(
                truth.decision_rows(state, company.account_id, as_of, replicates, generator)
            )
        if not churn:
            return pd.DataFrame(), pd.DataFrame(), pd.DataFrame()
        return (
            pd.concat(churn, ignore_index=True),
            pd.concat(decision, ignore_index=True),
            pd.concat(drivers, ignore_index=True),
        )

    def state_at(self, day: int) -> truth.WorldState:
        """The full state at 00:00 of a day whose copy was kept."""
        options = self.company.options
        rules = paths.rules_on(day, self.base, options)
        return truth.WorldState(day, self.company.path.states[day], rules)


@dataclass(frozen=True)
class World:
    """A simulated company; tables are made when asked for, the same each time.

    `tables` holds everything in memory (up to some ten thousand accounts); `blocks` streams any
    size.
    """

    accounts: int
    seed: int
    options: p.WorldOptions
    base: float = field(repr=False)
    """Base log hazard in force before a regime change."""

    def blocks(self) -> Iterator[AccountBlock]:
        """Blocks of accounts in order."""
        effect_day = self._effect_day()
        days = {self.options.day_index(day) for day in self.options.truth_grid} | {effect_day}
        for number in range(-(-self.accounts // p.BLOCK_ACCOUNTS)):
            n = min(p.BLOCK_ACCOUNTS, self.accounts - number * p.BLOCK_ACCOUNTS)
            path = paths.simulate_block(n, self.seed, number, self.options, self.base, sorted(days))
            company = Company(path, self.options, self.seed)
            yield AccountBlock(company, self.base, _small_tables(company))

    @cached_property
    def _all_blocks(self) -> list[AccountBlock]:
        return list(self.blocks())

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Every table by name, in the column names of the contracts."""
        blocks = self._all_blocks
        small = {
            name: pd.concat([block.tables[name] for block in blocks], ignore_index=True)
            for name in TABLES
            if name != "usage_events"
        }
        parts = [part for block in blocks for part in block.usage_parts()]
        return {
            name: pa.concat_tables(parts).to_pandas() if name == "usage_events" else small[name]
            for name in TABLES
        }

    @cached_property
    def truth(self) -> Truth:
        """The truth at the options' dates."""
        rows = [block.truth_tables() for block in self._all_blocks]
        return Truth(
            pd.concat([r[0] for r in rows], ignore_index=True),
            pd.concat([r[1] for r in rows], ignore_index=True),
            pd.concat([r[2] for r in rows], ignore_index=True),
            self.effects(self._all_blocks[0]),
        )

    def effects(self, block: AccountBlock) -> dict[str, Any]:
        """True effects of the plays, measured on the first block's customers on one date."""
        day = self._effect_day()
        shown = truth.play_effects(block.state_at(day), PILOT_EFFECT_REPLICATES, self.seed)
        as_of = str(np.datetime64(self.options.first_day, "D") + day)
        return {
            "measured_at": as_of,
            "horizon_days": p.HORIZON_DAYS,
            "randomised": p.PLAY_NAMES[p.PILOT_PLAY],
            "done_share": p.PLAY_DONE_SHARE,
            "plays": shown,
        }

    def _effect_day(self) -> int:
        return min(p.PILOT_FIRST_DAY, self.options.days // 2)


def simulate(accounts: int, seed: int, *, options: p.WorldOptions = p.WorldOptions()) -> World:  # noqa: B008 (frozen)
    """A company with `accounts` customers ever signed.

    Parameters
    ----------
    accounts
        Number of customers ever signed; some have left, some join inside the span.
    seed
        Same seed, accounts and options: same tables, to the value.

    Raises
    ------
    ConfigError
        The options cannot be met.
    """
    if accounts < 1:
        raise ConfigError(f"accounts={accounts} is too few. Give at least 1.")
    faults.check_dead_feed(options)
    return World(accounts, seed, options, paths.base_for(accounts, seed, options))


def _small_tables(company: Company) -> dict[str, pd.DataFrame]:
    """Every table of a block but usage, after faults."""
    rows = terms.term_rows(company)
    tickets = voices.support_tickets(company)
    tables = {
        "accounts": terms.accounts(company, rows),
        "subscriptions": terms.subscriptions(company, rows),
        "invoices": billing.invoices(company, rows),
        "support_tickets": tickets,
        "surveys": voices.surveys(company, tickets),
        "contacts": relations.contacts(company),
        "touchpoints": relations.touchpoints(company),
        "milestones": relations.milestones(company),
        "goals": relations.goals(company),
        "csm_notes": voices.csm_notes(company),
        "interventions": relations.interventions(company),
    }
    if company.options.as_exported:
        left = set(company.account_id[company.path.end.end_day < company.options.days])
        tables = faults.exported(
            tables, left, company.options, company.generator("accounts", part=2)
        )
    return {
        name: faults.silence(name, _arrow(name, table), company.options).to_pandas()
        for name, table in tables.items()
    }


def _arrow(name: str, rows: pd.DataFrame) -> pa.Table:
    """Rows with the types of the contract, whatever pandas made of them."""
    fields = []
    for column in rows.columns:
        known = CONTRACTS[name].column(column)
        kind = known.type if known is not None else _EXTRA_TYPES[column]
        fields.append((column, pa.int64() if column in _WHOLE else _ARROW[kind]))
    return pa.Table.from_pandas(
        rows, schema=pa.schema(fields), preserve_index=False
    ).replace_schema_metadata(None)


def write_world(world: World, folder: FilePath | str, *, with_truth: bool = True) -> FilePath:
    """Write one Parquet file per table, `truth/` apart from them, and a `tenure.toml` that reads
    them.

    Memory is bounded by a block of accounts, whatever the size of the world.

    Returns
    -------
    Path
        The project file.
    """
    folder = FilePath(folder)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    writers = _Writers()
    try:
        for block in world.blocks():
            for name, rows in block.tables.items():
                writers.write(folder / "data" / f"{name}.parquet", _arrow(name, rows))
            for part in block.usage_parts():
                writers.write(folder / "data" / "usage_events.parquet", part)
            if with_truth:
                _write_truth(world, block, folder / "truth", writers)
    finally:
        writers.close()
    target = folder / "tenure.toml"
    target.write_text(project_file(world.options), encoding="utf-8")
    return target


def _write_truth(world: World, block: AccountBlock, folder: FilePath, writers: "_Writers") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    churn, decision, drivers = block.truth_tables()
    for name, rows in (("churn_90d", churn), ("decision", decision), ("drivers", drivers)):
        if len(rows):
            writers.write(
                folder / f"{name}.parquet",
                pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata(None),
            )
    if block.company.path.number == 0:
        text = json.dumps(world.effects(block), indent=2, sort_keys=True)
        (folder / "effects.json").write_text(text + "\n", encoding="utf-8")


class _Writers:
    """Open Parquet files, one per path, closed together."""

    def __init__(self) -> None:
        self._open: dict[FilePath, pq.ParquetWriter] = {}

    def write(self, path: FilePath, table: pa.Table) -> None:
        """Append rows to the file."""
        if path not in self._open:
            self._open[path] = pq.ParquetWriter(path, table.schema, compression="zstd")
        self._open[path].write_table(table)

    def close(self) -> None:
        """Finish every file."""
        for writer in self._open.values():
            writer.close()
