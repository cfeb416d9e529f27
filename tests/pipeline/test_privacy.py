"""An account that asks to be forgotten is gone from every table, file and page; old runs go when
their time is over.
"""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from small_company import Command, Company

from features.errors import NotFound
from pipeline.jobs.privacy import forget_account
from pipeline.jobs.retention import Retention


def _files_that_hold(folder: Path, account: str) -> list[Path]:
    """Data files of the store, referenced or not, with a row of the account."""
    return [
        file
        for file in folder.rglob("*.parquet")
        if "account_id" in pq.read_schema(file).names
        and account in set(pq.read_table(file, columns=["account_id"])["account_id"].to_pylist())
    ]


def test_a_forgotten_account_is_gone_everywhere(company_copy: Company, tenure: Command) -> None:
    scores = company_copy.published("scores")
    account, other = scores["account_id"].iloc[0], scores["account_id"].iloc[1]
    store = company_copy.workspace()[0].store
    before = {name: store.read(name) for name in ("scores", "staged_usage_events", "labels")}
    assert _files_that_hold(store.folder, account)

    done = tenure("forget", account, "--yes", "--project", company_copy.folder, "--json")

    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert {
        "scores",
        "drivers",
        "portfolio",
        "staged_accounts",
        "staged_usage_events",
        "features_churn_90d",
    } <= set(told["rows"])
    assert _files_that_hold(store.folder, account) == [] and _files_that_hold(store.folder, other)
    for name, rows in before.items():
        kept = rows[rows["account_id"] != account]
        assert len(store.read(name)) == len(kept) and told["rows"][name] == len(rows) - len(kept)
    pages = [page for page in (company_copy.folder / "reports").rglob("*") if page.is_file()]
    assert not any(account.encode() in page.read_bytes() for page in pages)
    assert tenure("explain", account, "--project", company_copy.folder).code == 2
    assert tenure("explain", other, "--project", company_copy.folder).code == 0


def test_an_unknown_account_removes_nothing(company_copy: Company) -> None:
    workspace, _ = company_copy.workspace()
    versions = {name: workspace.store.version(name) for name in workspace.store.tables()}
    with pytest.raises(NotFound, match='no account "A\'1" in the tables of .*Nearest'):
        forget_account(workspace, "A'1")
    assert versions == {name: workspace.store.version(name) for name in workspace.store.tables()}


def test_runs_beyond_their_time_are_removed_and_the_ledger_stays(company_copy: Company) -> None:
    workspace, target = company_copy.workspace()
    store, newest = workspace.store, company_copy.published("scores")["as_of"].iloc[0]
    old = store.read("scores").assign(as_of=newest - pd.Timedelta(days=400), run_id="old")
    store.write("scores", old, append=True)
    runs = len(store.read("runs"))

    def keeping(days: int | None) -> Retention:
        retention = Retention.of(workspace)
        return replace(retention, settings=replace(retention.settings, keep_runs_days=days))

    assert keeping(None).drop_old_runs(target.name, newest) == {}
    assert keeping(400).drop_old_runs(target.name, newest) == {}
    assert keeping(399).drop_old_runs(target.name, newest) == {"scores": len(old)}

    assert set(store.read("scores")["as_of"]) == {newest} and len(store.read("runs")) == runs
