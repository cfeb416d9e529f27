"""Read every source, check it against its contract, and keep the result in the store."""

from collections.abc import Collection

import pyarrow as pa

from features.sources import CONTRACTS
from pipeline.engine.duckdb import Connection, rows
from pipeline.engine.facts import prepare
from pipeline.engine.staged_facts import StagedFacts, from_json, staged_facts
from pipeline.staging import stage
from pipeline.workspace import Workspace

QUARANTINE = "quarantine"


def stage_sources(
    workspace: Workspace, connection: Connection, keep: Collection[str] = ()
) -> dict[str, StagedFacts]:
    """Stage all sources and write them; nothing is written unless every source is good.

    Sources named in `keep` are accepted as stale: what was staged of them last is used again.
    """
    earlier = _earlier(workspace, keep)
    names = [name for name in workspace.project.sources if name not in earlier]
    staged = stage(workspace.project, workspace.data_dir, connection, only=names if earlier else None)
    staged = {name: staged[name] for name in names}
    facts = {name: staged_facts(source, has_versions=_has_versions(connection, source.table))
             for name, source in staged.items()}
    for source in staged.values():
        workspace.store.write(f"staged_{source.name}", connection.sql(f"select * from {source.table}"))
        connection.execute(f"drop table {source.table}")
        bad = connection.sql(f"select * from quarantine_{source.name}").to_arrow_table()
        if bad.num_rows:
            workspace.store.write(QUARANTINE, bad, replace=f"source = '{source.name}'", partition_by=["source"])
    facts |= earlier
    entries = [{"source": name, "facts": facts[name].to_json()} for name in workspace.project.sources]
    # Written last: a stage that was killed half way leaves the earlier list, and is run again.
    workspace.store.write("staged_sources", pa.Table.from_pylist(entries))
    return facts


def _earlier(workspace: Workspace, keep: Collection[str]) -> dict[str, StagedFacts]:
    """What was staged before of the sources to keep; those never staged are read anew."""
    if not keep or not workspace.store.exists("staged_sources"):
        return {}
    entries = workspace.store.read("staged_sources")
    return {name: from_json(facts, workspace.project.sources[name])
            for name, facts in zip(entries["source"], entries["facts"], strict=True)
            if name in keep and name in workspace.project.sources}


def _has_versions(connection: Connection, table: str) -> bool:
    return bool(rows(connection, f"select count(known_until) from {table}")[0][0])


def load_staged(workspace: Workspace, connection: Connection) -> dict[str, StagedFacts]:
    """The sources as they were last staged, with the views `facts_<source>` ready to query."""
    entries = workspace.store.read("staged_sources")
    sources = workspace.project.sources
    found = {
        name: from_json(facts, sources[name])
        for name, facts in zip(entries["source"], entries["facts"], strict=True) if name in sources
    }
    for name, facts in found.items():
        prepare(connection, facts, _files(workspace, name))
    return found


def _files(workspace: Workspace, name: str) -> str:
    files = ", ".join("'" + f.replace("'", "''") + "'" for f in workspace.store.files(f"staged_{name}"))
    return f"read_parquet([{files}])"


def contract_names() -> list[str]:
    """Contracts a source can fill."""
    return sorted(CONTRACTS)
