"""One run as one JSON document for other systems, and the schema that it keeps to.

`version` changes when a member is renamed, removed or means something else; members may be added
without it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.jobs.driver_rows import DRIVERS
from pipeline.jobs.score import SCORES
from pipeline.ledger import RUNS, RunRow
from pipeline.published import read_scores
from pipeline.storage import Store

DOCUMENT_VERSION = 1
OF_THE_RUN = (
    *("run_id", "as_of", "target", "horizon_days", "basis", "model_version"),
    *("calibrator_version", "scale_version", "published_at"),
)
"""Members of `run`; the rows of accounts do not repeat them."""
ACCOUNT_MEMBERS = tuple(
    (name, kind)
    for name, kind in SCORES
    if name not in OF_THE_RUN and name not in ("account_id", "scored_at")
)
DRIVER_MEMBERS = tuple(
    (name, kind) for name, kind in DRIVERS if name not in OF_THE_RUN and name != "account_id"
)
FACTS: tuple[tuple[str, pa.DataType], ...] = (
    *((name, pa.string()) for name in ("name", "owner", "segment", "currency")),
    ("value_per_year", pa.float64()),
    ("renewal_date", pa.timestamp("us")),
)
ACCOUNTS_AT_A_TIME = 5_000


def document_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a document."""
    account = {"account_id": {"type": "string"}, **_members(FACTS), **_members(ACCOUNT_MEMBERS)}
    account["drivers"] = {"type": "array", "items": _object(_members(DRIVER_MEMBERS))}
    run = _members([(f.name, f.type) for f in RUNS if f.name in OF_THE_RUN])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tenure: scores and drivers of one run",
        **_object(
            {
                "version": {"const": DOCUMENT_VERSION},
                "run": _object(run),
                "accounts": {"type": "array", "items": _object(account)},
            }
        ),
    }


def _object(members: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(members), "properties": dict(members)}


def _members(columns: Sequence[tuple[str, pa.DataType]]) -> dict[str, Any]:
    return {name: _json_type(kind) for name, kind in columns}


def _json_type(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_timestamp(kind):
        return {"type": ["string", "null"], "format": "date-time"}
    if pa.types.is_floating(kind):
        return {"type": ["number", "null"]}
    return {"type": ["integer" if pa.types.is_integer(kind) else "string", "null"]}


def write_document(store: Store, run: RunRow, path: Path) -> None:
    """Write the document of a run, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}")
    with aside.open("w", encoding="utf-8") as file:
        facts = {name: _value(getattr(run, name)) for name in OF_THE_RUN}
        head = {"version": DOCUMENT_VERSION, "run": facts}
        file.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "accounts": [')
        for number, account in enumerate(_accounts(store, run.run_id)):
            file.write(",\n" if number else "\n")
            file.write(json.dumps(account, ensure_ascii=False, allow_nan=False))
        file.write("\n]}\n")
    aside.replace(path)


def _accounts(store: Store, run_id: str) -> Iterator[dict[str, Any]]:
    """Accounts of a run by id, some held at a time."""
    mine = [("run_id", "=", run_id)]
    scores = read_scores(store, mine).sort_values("account_id", kind="stable")
    people = store.read("portfolio", filters=mine).set_index("account_id")
    scores = scores.set_index("account_id").join(people[[name for name, _ in FACTS]])
    drivers = store.delta("drivers").to_pyarrow_dataset()
    members = [name for name, _ in DRIVER_MEMBERS]
    for start in range(0, len(scores), ACCOUNTS_AT_A_TIME):
        part = scores.iloc[start : start + ACCOUNTS_AT_A_TIME]
        wanted = (pc.field("run_id") == run_id) & pc.field("account_id").isin(list(part.index))
        rows = drivers.to_table(filter=wanted).to_pandas()
        # Rows of an earlier release lack some members.
        rows = rows.reindex(columns=["account_id", *members]).sort_values(
            ["account_id", "points", "driver"], kind="stable"
        )
        of = {str(account): group for account, group in rows.groupby("account_id")}
        for account, score in zip(part.index, part.to_dict("records"), strict=True):
            group = of.get(str(account))
            yield {
                "account_id": str(account),
                **{
                    name: _value(score.get(name), kind) for name, kind in (*FACTS, *ACCOUNT_MEMBERS)
                },
                "drivers": []
                if group is None
                else [
                    {name: _value(row[name], kind) for name, kind in DRIVER_MEMBERS}
                    for row in group.to_dict("records")
                ],
            }


def _value(value: Any, kind: pa.DataType | None = None) -> Any:
    """A value as JSON has it; times are UTC and say so."""
    if value is None or pd.isna(value):
        return None
    if hasattr(value, "isoformat"):
        return pd.Timestamp(value).isoformat() + "Z"
    if hasattr(value, "item"):
        value = value.item()
    return int(value) if kind is not None and pa.types.is_integer(kind) else value
