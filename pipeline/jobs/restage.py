"""Which sources need not be read again: nothing that their staged rows rest on has changed.

A source's rows rest on its files, its settings, what the project says of all sources, the code that
reads them, and who withholds consent. A hash of all that is kept beside what was staged; where it
is the same the staged table is what another reading would give, to the byte. Databases tell no hash
and are read each time. A deletion on request drops the hashes, so that everything is read again.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

import features.sources
import pipeline.staging
from features.errors import ContractError
from pipeline.config.schema import Project, Source
from pipeline.libraries import library_versions
from pipeline.staging.inputs import hashes
from pipeline.staging.reach import AFTER_START, FAR_BEYOND, RECORDS
from pipeline.staging.read import files_of
from pipeline.staging.staged import StagedSource
from pipeline.workspace import Workspace

STAGED_INPUTS = "staged_inputs"


def input_hashes(workspace: Workspace, told_digests: Mapping[str, str]) -> dict[str, str]:
    """Source -> hash of what its rows rest on; without those whose inputs tell none.

    Parameters
    ----------
    told
        Source -> digest of what people told on the dashboard that becomes rows of it.
    """
    hashes = {}
    for name, source in workspace.project.sources.items():
        try:
            files = [_file_hashes(place, workspace.data_dir) for place in _locations(source)]
        except (ContractError, OSError):
            continue  # reading it says what is wrong
        if None in files:
            continue
        facts = {
            "code": _code(),
            "libraries": library_versions(),
            "project": _shared(workspace.project),
            "source": asdict(source),
            "files": files,
            "told": told_digests.get(name),
        }
        text = json.dumps(facts, sort_keys=True, default=str)
        hashes[name] = hashlib.sha256(text.encode()).hexdigest()
    return hashes


def denied_hash(denied: Collection[str]) -> str:
    """Hash of the accounts that withhold consent, whose rows are left out of every table."""
    return hashlib.sha256(json.dumps(sorted(denied)).encode()).hexdigest()


def unchanged_sources(
    workspace: Workspace, staged: Mapping[str, StagedSource], now: Mapping[str, str]
) -> set[str]:
    """Sources among those staged last that another reading would give again."""
    kept = _kept(workspace)
    same = {
        name
        for name in kept.index
        if name in staged
        and kept.loc[name, "inputs"] == now.get(name)
        and not _depends_on_the_clock(staged[name], kept.loc[name, "started_at"])
    }
    accounts = {name for name, source in staged.items() if source.contract.table == "accounts"}
    # Families of accounts decide whose rows are whose.
    is_rolled_up = workspace.project.roll_up != "none"
    return set() if is_rolled_up and not accounts <= same else same


def is_denied_unchanged(workspace: Workspace, names: Iterable[str], denied: str) -> bool:
    """Whether the sources were staged without the rows of the same accounts."""
    kept = _kept(workspace)
    return all(kept.loc[name, "denied"] == denied for name in names)


def keep_hashes(
    workspace: Workspace, inputs: Mapping[str, str], denied: str, unchanged: Collection[str]
) -> None:
    """Keep the hashes of what is staged now.

    Parameters
    ----------
    inputs
        Hashes taken before the sources were read, of those that were read or are `unchanged`.
    """
    kept = _kept(workspace)
    rows = [
        {
            "source": name,
            "inputs": hashed,
            "denied": denied,
            "started_at": kept.loc[name, "started_at"] if name in unchanged else workspace.now,
        }
        for name, hashed in sorted(inputs.items())
    ]
    columns = ["source", "inputs", "denied", "started_at"]
    frame = pd.DataFrame(rows, columns=columns).astype({name: "str" for name in columns[:3]})
    # The clock may be told with its zone, and the store keeps naive UTC.
    started = pd.to_datetime(frame["started_at"], utc=True).dt.tz_localize(None).dt.as_unit("us")
    workspace.store.write(STAGED_INPUTS, frame.assign(started_at=started))


def _kept(workspace: Workspace) -> pd.DataFrame:
    if not workspace.store.exists(STAGED_INPUTS):
        return pd.DataFrame(columns=["inputs", "denied", "started_at"])
    return workspace.store.read(STAGED_INPUTS).set_index("source")


def _depends_on_the_clock(source: StagedSource, started: datetime) -> bool:
    """Whether a later reading might keep rows that lay in the future then."""
    if source.contract.table not in RECORDS:
        return False
    cut = any(AFTER_START in reason or FAR_BEYOND in reason for reason in source.rows_bad)
    return cut or (source.last_event is not None and source.last_event >= started)


def _locations(source: Source) -> list[str]:
    places = [source.location, *(part.location for part in source.parts)]
    places += [lookup.location for lookup in source.lookups]
    return [place for place in places if place is not None]


def _file_hashes(location: str, data_dir: Path) -> list[dict[str, str]] | None:
    files = files_of(location, data_dir)
    # One by one: files in two folders may have one name.
    return None if files is None else [hashes([file]) for file in files]


def _shared(project: Project) -> dict[str, Any]:
    """What the project says of all sources."""
    return {
        "currency": project.currency,
        "time_zone": project.time_zone,
        "roll_up": project.roll_up,
        "accept": project.checks.accept,
    }


@cache
def _code() -> str:
    """Hash of the modules that make staged rows."""
    digest = hashlib.sha256()
    for package in (features.sources, pipeline.staging):
        for folder in package.__path__:
            for path in sorted(Path(folder).rglob("*.py")):
                digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
