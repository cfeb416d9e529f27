"""Read every source, check it against its contract, and keep the result in the store."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.errors import ConfigError
from pipeline.dashboard.inbox import TAKES_ROWS, InboxFile, Told, digest_of, inbox_of
from pipeline.dashboard.schema import PAGES
from pipeline.engine.duckdb import Connection, columns_of, identifier, row, rows
from pipeline.engine.facts import prepare
from pipeline.jobs.privacy import forget_without_consent
from pipeline.jobs.restage import (
    denied_hash,
    input_hashes,
    is_denied_unchanged,
    keep_hashes,
    unchanged_sources,
)
from pipeline.jobs.shrunk import refuse_shrunk
from pipeline.staging import StagedSource, drop_staged, stage
from pipeline.staging.derived import derive
from pipeline.staging.late import InTime
from pipeline.staging.reach import RECORDS, entered_until
from pipeline.staging.roll_up import families
from pipeline.staging.sentiment import no_texts
from pipeline.staging.sources import denied_accounts
from pipeline.staging.staged import from_json
from pipeline.staging.told import add_told
from pipeline.workspace import Workspace

QUARANTINE = "quarantine"
STAGED_SOURCES = "staged_sources"
JUDGED_TEXTS, FAMILIES = "judged_texts", "families"


def stage_sources(
    workspace: Workspace,
    connection: Connection,
    keep: Collection[str] = (),
    *,
    only_changed: bool = False,
) -> dict[str, StagedSource]:
    """Stage all sources and write them; nothing is written unless every source is good.

    Sources named in `keep` are accepted as stale: what was staged of them last is used again.

    Parameters
    ----------
    only_changed
        Leave the tables of sources as they are that another reading would give again.
    """
    inbox = inbox_of(workspace.folder / PAGES)
    told_rows = _told(workspace, inbox)
    inputs = input_hashes(workspace, {name: digest_of(mine) for name, mine in told_rows.items()})
    before = staged_before(workspace) if keep or only_changed else {}
    accepted = {name: before[name] for name in keep if name in before}
    unchanged = (
        {name: before[name] for name in unchanged_sources(workspace, before, inputs)}
        if only_changed
        else {}
    )
    earlier = unchanged | accepted
    names = [name for name in workspace.project.sources if name not in earlier]
    staged = stage(
        workspace.project,
        workspace.data_dir,
        connection,
        only=names if earlier else None,
        started=workspace.now,
    )
    denied = denied_hash(denied_accounts(connection))
    if not is_denied_unchanged(workspace, unchanged, denied):
        for name in names:
            drop_staged(connection, name)
        return stage_sources(workspace, connection, keep)
    refuse_shrunk(connection, staged, _staged_last(workspace, names))
    staged = {
        name: add_told(connection, staged[name], told_rows[name])
        if name in told_rows
        else staged[name]
        for name in names
    }
    staged = _completed(workspace, connection, staged)
    staged = {
        name: replace(source, has_versions=_has_versions(connection, source.table))
        for name, source in staged.items()
    }
    every = {**earlier, **staged}
    staged = _with_ends_of_entry(connection, staged, every)
    kept = {name: source for name, source in unchanged.items() if name not in accepted}
    earlier |= _with_ends_of_entry(
        connection, kept, every, table=lambda source: staged_rows(workspace, source.name)
    )
    if staged:  # a stage that is killed from here on leaves no hash of what it may have replaced
        keep_hashes(workspace, {name: inputs[name] for name in kept}, denied, kept)
    for source in staged.values():
        _write_rows(workspace, connection, source)
        connection.execute(f"drop table {source.table}")
    _write_bad_rows(workspace, connection, [*staged])
    staged |= earlier
    entries = [
        {"source": name, "facts": staged[name].to_json()} for name in workspace.project.sources
    ]
    # Written last: a stage that was killed half way leaves the earlier list, and is run again.
    if (
        not workspace.store.exists(STAGED_SOURCES)
        or workspace.store.read(STAGED_SOURCES).to_dict("records") != entries
    ):
        workspace.store.write(STAGED_SOURCES, pa.Table.from_pylist(entries))
    workspace.store.keep_versions(STAGED_SOURCES, workspace.project.store.replay_days)
    read = {name: hashed for name, hashed in inputs.items() if name not in accepted}
    keep_hashes(workspace, read, denied, kept)
    forget_without_consent(workspace, denied_accounts(connection))
    for name in {*told_rows} & {*names}:
        inbox.taken([each.number for each in told_rows[name]], workspace.moment())
    inbox.close()
    return {name: staged[name] for name in workspace.project.sources}


def _told(workspace: Workspace, inbox: InboxFile) -> dict[str, list[Told]]:
    """Source -> what people told on the dashboard before now that becomes rows of it; the first
    source of a contract takes them.
    """
    rows_of = {}
    for contract in TAKES_ROWS:
        name = workspace.source_named(contract)
        entries = [each for each in inbox.rows_of(contract) if each.entry.at < workspace.now]
        if name is not None and entries:
            rows_of[name] = entries
    return rows_of


def _write_bad_rows(workspace: Workspace, connection: Connection, staged: Sequence[str]) -> None:
    """Keep the bad rows of this reading, and none of an earlier one: they are raw, with all that
    people wrote.
    """
    if not staged:
        return
    store = workspace.store
    bad = pa.concat_tables(
        connection.sql(f"select * from quarantine_{name}").to_arrow_table() for name in staged
    )
    if store.exists(QUARANTINE):
        others = store.delta(QUARANTINE).to_pyarrow_table(filters=[("source", "not in", staged)])
        kept = others.filter(pc.is_in(others["source"], pa.array([*workspace.project.sources])))
        bad = pa.concat_tables([bad, kept.select(bad.column_names)], promote_options="permissive")
    elif not bad.num_rows:
        return
    store.write(QUARANTINE, bad, partition_by=["source"])
    store.give_up_versions(QUARANTINE)


def _with_ends_of_entry(
    connection: Connection,
    facts: Mapping[str, StagedSource],
    every: Mapping[str, StagedSource],
    table: Callable[[StagedSource], str] = lambda source: source.table,
) -> dict[str, StagedSource]:
    """Tables of contracts with the day on which they ended, where others go on."""
    past = [s for s in every.values() if s.contract.table in RECORDS]
    ends = [day for source in past for day in source.data_until.values()]
    return {
        name: (
            replace(source, entered_until=entered_until(connection, table(source), max(ends)))
            if ends and source.contract.table == "subscriptions" and not source.has_known_at
            else source
        )
        for name, source in facts.items()
    }


def _completed(
    workspace: Workspace, connection: Connection, staged: Mapping[str, StagedSource]
) -> dict[str, StagedSource]:
    """The sources with their worked-out columns; judged texts and families are kept for the next
    time.
    """
    store = workspace.store
    texts = store.read(JUDGED_TEXTS) if store.exists(JUDGED_TEXTS) else no_texts()
    derived = derive(
        connection, staged, families=_families(workspace, connection, staged), texts=texts
    )
    if len(derived.texts):
        store.write(JUDGED_TEXTS, derived.texts, append=True)
    return derived.sources


def _families(
    workspace: Workspace, connection: Connection, staged: Mapping[str, StagedSource]
) -> pd.DataFrame | None:
    """Children and their roots; None where accounts are not rolled up. Accounts that were kept keep
    their families.
    """
    if workspace.project.roll_up == "none":
        return None
    accounts = next((s for s in staged.values() if s.contract.table == "accounts"), None)
    if accounts is None and workspace.store.exists(FAMILIES):
        return workspace.store.read(FAMILIES)
    if accounts is None:
        raise ConfigError(
            'roll_up = "parent" needs a source accounts with parent_account_id. Add'
            ' [sources.accounts], or set roll_up = "none".'
        )
    roots = families(connection, accounts)
    workspace.store.write(FAMILIES, roots)
    return roots


def _write_rows(workspace: Workspace, connection: Connection, source: StagedSource) -> None:
    """Replace a staged table, unless its rows are those of the version before: a copy would say
    nothing new.
    """
    name = source.table
    if not workspace.store.exists(name) or not _is_unchanged(workspace, connection, source):
        workspace.store.write(name, connection.sql(f"select * from {source.table}"))
    workspace.store.keep_versions(name, workspace.project.store.replay_days)


def _is_unchanged(workspace: Workspace, connection: Connection, source: StagedSource) -> bool:
    before = staged_rows(workspace, source.name)
    try:
        same = columns_of(connection, before) == columns_of(connection, source.table)
        return same and _fingerprint(connection, before) == _fingerprint(connection, source.table)
    except duckdb.Error:
        return False  # what cannot be read is written anew


def _fingerprint(connection: Connection, relation: str) -> tuple[Any, ...]:
    """Count and two sums of the rows' hashes: equal for equal rows in any order."""
    hashed = f"hash({', '.join(identifier(name) for name in columns_of(connection, relation))})"
    return row(connection, f"select count(*), sum({hashed}), bit_xor({hashed}) from {relation}")


def _staged_last(workspace: Workspace, names: Sequence[str]) -> dict[str, tuple[StagedSource, str]]:
    """What was staged of the sources before this reading, with the relation that holds it."""
    return {
        name: (source, staged_rows(workspace, name))
        for name, source in staged_before(workspace).items()
        if name in names and workspace.store.exists(source.table)
    }


def staged_before(workspace: Workspace) -> dict[str, StagedSource]:
    """What was staged before of the project's sources."""
    if not workspace.store.exists(STAGED_SOURCES):
        return {}
    entries = workspace.store.read(STAGED_SOURCES)
    return {
        name: from_json(facts, workspace.project.sources[name])
        for name, facts in zip(entries["source"], entries["facts"], strict=True)
        if name in workspace.project.sources
    }


def _has_versions(connection: Connection, table: str) -> bool:
    return bool(rows(connection, f"select count(known_until) from {table}")[0][0])


def load_staged(
    workspace: Workspace, connection: Connection, in_time: InTime | None = None
) -> dict[str, StagedSource]:
    """The sources as they were last staged, with the views `facts_<source>` ready to query.

    Parameters
    ----------
    in_time
        Read late rows as if they had come in time.
    """
    staged = staged_facts(workspace)
    for name, source in staged.items():
        files = staged_rows(workspace, name)
        if in_time is not None:
            files = in_time.relation(connection, source, files)
        prepare(connection, source, files)
    return staged


def has_late_rows(workspace: Workspace, connection: Connection, in_time: InTime) -> bool:
    """Whether any staged row came late between two dates."""
    return any(
        in_time.has_late_rows(connection, source, staged_rows(workspace, name))
        for name, source in staged_facts(workspace).items()
    )


def staged_facts(workspace: Workspace) -> dict[str, StagedSource]:
    """What is known of the sources as they were last staged, without their rows."""
    entries = workspace.store.read(STAGED_SOURCES)
    sources = workspace.project.sources
    return {
        name: from_json(facts, sources[name])
        for name, facts in zip(entries["source"], entries["facts"], strict=True)
        if name in sources
    }


def staged_rows(workspace: Workspace, name: str) -> str:
    """The rows of a staged source, as SQL reads them."""
    files = ", ".join(
        "'" + f.replace("'", "''") + "'" for f in workspace.store.files(f"staged_{name}")
    )
    return f"read_parquet([{files}])"


def staged_fingerprints(workspace: Workspace, connection: Connection) -> dict[str, str]:
    """Staged table -> count and hashes of its rows: the same where the rows are, whatever version
    they are kept in.
    """
    names = [str(name) for name in workspace.store.read(STAGED_SOURCES)["source"]]
    return {
        f"staged_{name}": " ".join(
            str(part) for part in _fingerprint(connection, staged_rows(workspace, name))
        )
        for name in names
    }


def staged_versions(workspace: Workspace) -> dict[str, int]:
    """Staged table -> the version that is read now, so that a run can be derived again."""
    names = [f"staged_{name}" for name in workspace.store.read(STAGED_SOURCES)["source"]]
    return {name: workspace.store.version(name) for name in [*names, STAGED_SOURCES]}
