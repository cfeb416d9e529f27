"""Only sources that changed are read again, and what comes of it is equal to reading all."""

import random
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small_company import Company
from test_company_runs import LATER

from pipeline.engine.duckdb import connected
from pipeline.jobs import stage as stage_job
from pipeline.jobs.privacy import forget_account
from pipeline.jobs.restage import STAGED_INPUTS
from pipeline.jobs.stage import stage_sources


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Sources that each staging read."""
    readings: list[list[str]] = []
    whole = stage_job.stage

    def counted(project: Any, *arguments: Any, only: Any = None, **options: Any) -> Any:
        readings.append(sorted(project.sources) if only is None else sorted(only))
        return whole(project, *arguments, only=only, **options)

    monkeypatch.setattr(stage_job, "stage", counted)
    return readings


def restage(company: Company, *, only_changed: bool = True, hours: int = 0) -> None:
    workspace, _ = company.workspace(LATER + timedelta(hours=hours))
    with connected() as connection:
        stage_sources(workspace, connection, only_changed=only_changed)


def staged(company: Company) -> dict[str, Any]:
    """Rows of every staged table, the quarantine and what is known of the sources."""
    store = company.workspace()[0].store
    names = [
        name for name in store.tables() if name.startswith("staged_") and name != STAGED_INPUTS
    ]
    if store.exists("quarantine"):
        names.append("quarantine")
    found = {}
    for name in names:
        rows = store.read(name)
        of_rows = pd.util.hash_pandas_object(rows, index=False).sort_values()
        found[name] = (dict(rows.dtypes), of_rows.tolist())
    return found


def read_whole(company: Company, folder: Path) -> dict[str, Any]:
    """The same tables staged from nothing."""
    shutil.copytree(company.folder, folder, ignore=shutil.ignore_patterns("store", "reports"))
    fresh = Company(folder)
    restage(fresh, only_changed=False)
    return staged(fresh)


def test_nothing_new_reads_nothing(company_copy: Company, read: list[list[str]]) -> None:
    before = staged(company_copy)
    restage(company_copy)
    assert read == [[]] and staged(company_copy) == before


def test_a_source_that_changed_is_read_and_all_is_equal_to_reading_everything(
    company_copy: Company, read: list[list[str]], tmp_path: Path
) -> None:
    draw = random.Random(3)
    for day, name in enumerate(("usage_events", "surveys", "subscriptions", "accounts")):
        rows = company_copy.table(name)
        # Corrected and late rows: some are left out, some repeat.
        kept = rows.sample(frac=1 - draw.random() / 20, random_state=day)
        company_copy.replace_table(name, pd.concat([kept, kept.head(1)], ignore_index=True))
        restage(company_copy, hours=day)
        assert read[-1] == [name]
        assert staged(company_copy) == read_whole(company_copy, tmp_path / f"whole{day}")


def test_a_setting_that_changed_reads_its_source_again(
    company_copy: Company, read: list[list[str]]
) -> None:
    toml = company_copy.folder / "tenure.toml"
    toml.write_text(
        toml.read_text().replace("[sources.surveys]", "[sources.surveys]\npromoters_from = 8", 1)
    )
    restage(company_copy)
    assert read == [["surveys"]]


def test_a_deletion_reads_everything_again(company_copy: Company, read: list[list[str]]) -> None:
    workspace, _ = company_copy.workspace(LATER)
    account = company_copy.published("scores")["account_id"].iloc[0]
    forget_account(workspace, account)
    restage(company_copy)
    assert len(read[0]) == len(workspace.project.sources)
    rows = workspace.store.read("staged_accounts")
    assert account in set(rows["account_id"])  # as `forget` says: delete it at the source as well


def test_consent_withheld_reads_everything_again(
    company_copy: Company, read: list[list[str]], tmp_path: Path
) -> None:
    accounts = company_copy.table("accounts")
    if "consent" not in accounts:
        accounts = accounts.assign(consent=True)
        company_copy.replace_table("accounts", accounts)
        restage(company_copy)
    account = company_copy.published("scores")["account_id"].iloc[0]
    consent = accounts["consent"].where(accounts["account_id"] != account, False)
    company_copy.replace_table("accounts", accounts.assign(consent=consent))
    read.clear()
    restage(company_copy)
    assert read[0] == ["accounts"] and len(read[1]) > 1
    store = company_copy.workspace()[0].store
    assert account not in set(store.read("staged_usage_events")["account_id"])
