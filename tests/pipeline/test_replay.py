"""A past run can be derived again to the last bit, whatever came after it; what was tampered with
is found and named.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from small_company import Command, Company
from test_changes import JUNE, another_model, first_run, in_use, late_rows, put_to_use

from features.errors import ArtifactMismatch, NotFound
from pipeline.engine.duckdb import connected
from pipeline.jobs.past_runs import same_version_needed
from pipeline.jobs.replay import Replay, first_difference, replay_run
from pipeline.jobs.stage import stage_sources
from pipeline.ledger import RunRow
from pipeline.storage import Store


def replayed(company: Company, wanted: str) -> Replay:
    workspace, target = company.workspace()
    return replay_run(workspace, target, wanted)


def tamper(company: Company, table: str, column: str, value: Any, **where: str) -> None:
    """Put another value into one published row, as somebody with access to the files could."""
    workspace, _ = company.workspace()
    rows = workspace.store.read(table)
    chosen = np.logical_and.reduce([rows[name] == wanted for name, wanted in where.items()])
    assert chosen.sum() == 1
    rows.loc[chosen, column] = value
    schema = pa.schema(workspace.store.delta(table).to_pyarrow_table().schema)
    workspace.store.write(
        table,
        pa.Table.from_pandas(rows, schema=schema, preserve_index=False),
        partition_by=workspace.store.delta(table).metadata().partition_columns,
    )


def test_replay_is_equal_after_newer_data_another_model_and_another_configuration(
    company_copy: Company, tenure: Command
) -> None:
    late_rows(company_copy, JUNE)
    accounts = company_copy.table("accounts")
    company_copy.replace_table("accounts", accounts.assign(owner="CSM-99"))
    file = company_copy.folder / "tenure.toml"
    file.write_text(file.read_text().replace("window_days = [28, 91]", "window_days = [14, 28]"))
    workspace, _ = company_copy.workspace()
    with connected() as connection:
        stage_sources(workspace, connection)
    put_to_use(company_copy, another_model(in_use(company_copy)))
    found = replayed(company_copy, first_run(company_copy))
    assert found.difference is None and found.values > 5_000 and found.libraries == ()
    assert len(workspace.store.read("runs")) == 1  # nothing is published by looking

    scores = company_copy.published("scores").dropna(subset=["health_exact"])
    account, exact = scores["account_id"].iloc[3], float(scores["health_exact"].iloc[3])
    tamper(company_copy, "scores", "health_exact", np.nextafter(exact, 0.0), account_id=account)
    told = tenure("replay", JUNE, "--project", company_copy.folder, "--json")
    assert told.code == 1, told
    answer = json.loads(told.out)
    assert answer["equal"] is False
    assert (
        answer["difference"]["table"],
        answer["difference"]["account_id"],
        answer["difference"]["column"],
    ) == ("scores", account, "health_exact")
    assert answer["difference"]["derived"] == exact
    words = tenure("replay", first_run(company_copy)[:6], "--project", company_copy.folder)
    assert (
        words.code == 1 and f"`scores` of account {account}, health_exact: published" in words.out
    )


def test_removed_version_and_other_libraries_are_said(
    company_copy: Company, tenure: Command
) -> None:
    workspace, _ = company_copy.workspace()
    runs = workspace.store.read("runs")
    recorded = json.loads(runs["input_fingerprints"].iloc[0])
    recorded["libraries"]["lightgbm"] = "4.0.0"
    tamper(
        company_copy,
        "runs",
        "input_fingerprints",
        json.dumps(recorded),
        run_id=first_run(company_copy),
    )
    found = replayed(company_copy, first_run(company_copy))
    assert (
        found.difference is None
        and len(found.libraries) == 1
        and found.libraries[0].startswith("lightgbm 4.0.0 then")
    )
    shutil.rmtree(workspace.store.path("staged_usage_events"))
    gone = tenure("replay", first_run(company_copy), "--project", company_copy.folder)
    assert (
        gone.code == 2 and "staged_usage_events" in gone.err and "deletion on request" in gone.err
    )
    missing = tenure("replay", "zzz", "--project", company_copy.folder)
    assert missing.code == 2 and first_run(company_copy) in missing.err


def test_tables_staged_by_another_version_are_said() -> None:
    run = RunRow.of(
        {"run_id": "abc", "input_fingerprints": json.dumps({"libraries": {"tenure": "0.0.9"}})}
    )
    with pytest.raises(
        ArtifactMismatch,
        match=r"abc was made with other cards.*tenure 0\.0\.9.*Derive it with that version",
    ):
        with connected() as connection, same_version_needed(run):
            connection.execute("select no_such_column from (select 1 as n)")


def test_first_difference_is_named_by_account_and_column() -> None:
    rows = pd.DataFrame(
        {
            "account_id": ["b", "a"],
            "driver": ["x", "y"],
            "points": [1.0, np.nan],
            "words": ["w", None],
        }
    )
    key = ["account_id", "driver"]
    assert first_difference(rows, rows.iloc[::-1], key) is None
    other = rows.assign(words=["w", "v"])
    found = first_difference(rows, other, key)
    assert found is not None and (found.account_id, found.column, found.derived) == (
        "a",
        "words (y)",
        "v",
    )
    found = first_difference(rows, rows.iloc[:1], key)
    assert found is not None and (found.account_id, found.column, found.published) == (
        "a",
        "row",
        "a row",
    )
    found = first_difference(
        rows.assign(points=[0.0, np.nan]), rows.assign(points=[-0.0, np.nan]), key
    )
    assert found is not None and found.column == "points (x)"  # every bit counts
    found = first_difference(rows, rows.drop(columns="words"), key)
    assert found is not None and found.column == "words"


def test_pinned_tables_are_read_at_their_version_and_removed_ones_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.write("t", pd.DataFrame({"n": [1]}))
    store.write("t", pd.DataFrame({"n": [2]}))
    then = Store(tmp_path / "aside", pinned={"t": (store.path("t"), 0)})
    assert (
        list(then.read("t")["n"]) == [1]
        and list(store.read("t")["n"]) == [2]
        and then.version("t") == 0
    )
    store.keep_versions("t", 90)
    assert list(then.read("t")["n"]) == [1]
    store.delta("t").vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    with pytest.raises(NotFound, match="version 0 of `t` is gone: 1 of its files"):
        then.read("t")
    with pytest.raises(NotFound, match="version 99 of `t` cannot be restored"):
        Store(tmp_path / "aside", pinned={"t": (store.path("t"), 99)}).read("t")
