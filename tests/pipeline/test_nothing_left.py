"""What is removed is in no file: deletion on request, consent withdrawn later, the retention
period. Every file of store, MLflow, reports and the dashboard is read in every way, and searched
for ids, names and addresses.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pyarrow.compute as pc
import pytest
from attack_run import Tally, run_command
from deltalake import write_deltalake
from everywhere import files_with
from small_company import Company
from test_inbox import ENTRY

from pipeline.dashboard.inbox import inbox_of
from pipeline.dashboard.schema import PAGES
from pipeline.edge.scratch import remove_left_behind
from pipeline.engine.duckdb import connected
from pipeline.jobs.stage import stage_sources
from pipeline.kept import KEPT, kept_as
from pipeline.ledger import run_rows
from pipeline.storage import Store

FOLDERS = ("store", "mlruns", "reports", "pages")
LAST, BEFORE, LONG_BEFORE = date(2025, 6, 1), date(2025, 5, 18), date(2025, 4, 6)
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("features",),
    ("score", "--as-of", str(LONG_BEFORE)),
    ("score", "--as-of", str(BEFORE)),
    ("alerts", "run"),
    ("score",),
    ("alerts", "run"),
    ("changes",),
    ("trajectory",),
    ("forecast",),
    ("outcomes",),
    ("pulse", "--page"),
    ("patterns", "--page"),
    ("metrics",),
    ("explain", "ACCOUNT", "--page"),
    ("watch", "--ticks", "1"),
    ("pages",),
)
"""Every command that keeps something of accounts."""
NAMES = (
    'Ödmann & Söhne "Nord" 4711',
    "O'Hara <b>Freight</b> 4712",
    "=Quill Partners 4713",
    "Zephyr\u202e Stores 4714",
)
"""Names that pages, JSON and spreadsheets each write in their own way."""


def victims(folder: Path) -> dict[str, tuple[str, str]]:
    """Account -> its name and the address of its people: the first id and the last, whose values
    stand in statistics, one that left before the first score, and the parent of others.
    """
    terms = _table(folder, "subscriptions").groupby("account_id")["ends_at"].max().sort_index()
    left = terms.index[terms < pd.Timestamp(LONG_BEFORE)]
    there = terms.index[terms > pd.Timestamp(LAST)]
    parents = set(_table(folder, "accounts")["parent_account_id"].dropna())
    parent = next(account for account in there if account in parents)
    ids = (terms.index[0], left[1], terms.index[-1], parent)
    return {
        account: (name, f"ann.{name[-4:]}@example.com")
        for account, name in zip(ids, NAMES, strict=True)
    }


def _table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / "data" / f"{name}.parquet")


def _replace(folder: Path, name: str, rows: pd.DataFrame) -> None:
    rows.to_parquet(folder / "data" / f"{name}.parquet", index=False)


def _on(folder: Path) -> tuple[str, Path]:
    return "--project", folder


def words_of(folder: Path, account: str) -> list[str]:
    return [account, *victims(folder)[account]]


def left_of(folder: Path, accounts: Iterable[str]) -> dict[str, list[str]]:
    """Files that still hold a word of the accounts."""
    words = [word for account in accounts for word in words_of(folder, account)]
    return {
        f"{part}/{name}": held
        for part in FOLDERS
        for name, held in files_with(folder / part, words).items()
    }


@pytest.fixture(scope="module")
def planted(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A company with accounts whose words are theirs alone, after every command that keeps
    something; read it, never change it.
    """
    folder = tmp_path_factory.mktemp("left") / "project"
    shutil.copytree(company.folder, folder)
    known = victims(folder)
    accounts, contacts = _table(folder, "accounts"), _table(folder, "contacts")
    accounts["name"] = (
        accounts["account_id"].map({each: name for each, (name, _) in known.items()})
    ).fillna(accounts["name"])
    people = {each: address for each, (_, address) in known.items()}
    contacts["person"] = contacts["account_id"].map(people).fillna(contacts["person"])
    _replace(folder, "accounts", accounts)
    _replace(folder, "contacts", contacts)
    # Bad rows are kept as they came. One says whose it is by its id, one only by an address.
    invoices = _table(folder, "invoices").astype({"issued_at": "str"}).assign(note="")
    first = invoices.drop_duplicates("account_id")
    bad = pd.concat(
        [
            first.assign(account_id=account, issued_at="soon", note=note, row_key="bad" + each)
            for each, address in people.items()
            for account, note in ((each, ""), ("", f"ask {address}"))
        ]
    ).drop_duplicates(["account_id", "note"])
    _replace(folder, "invoices", pd.concat([invoices, bad], ignore_index=True))
    file = folder / "tenure.toml"
    text = file.read_text()
    assert "[sources.invoices]\n" in text
    file.write_text(
        text.replace("[sources.invoices]\n", "[sources.invoices]\nmax_bad_share = 0.5\n")
    )
    file.write_text(
        file.read_text()
        + '\n[[alerting.senders]]\nname = "out"\nkind = "file"\npath = "reports/alerts.jsonl"\n'
    )
    there = list(known)[-1]
    for command in COMMANDS:
        words = (there if word == "ACCOUNT" else word for word in command)
        done = run_command(*words, *_on(folder))
        assert done.code == 0, (command, done.err)
    inbox = inbox_of(folder / PAGES)
    for number, (account, (name, address)) in enumerate(known.items()):
        told = replace(ENTRY, account_id=account, note=f"{name}: ask {address}", once=f"{number}")
        inbox.add(told)
    inbox.close()
    return folder


@pytest.fixture
def copied(planted: Path, tmp_path: Path) -> Path:
    """The same project in a folder of its own."""
    shutil.copytree(planted, tmp_path / "project")
    return tmp_path / "project"


def test_every_table_stands_in_the_registry(planted: Path) -> None:
    """What is written and not declared would be forgotten by nobody."""
    store = Store(planted / "store")
    for table in store.tables():
        columns = store.columns(table)
        kept = kept_as(table, tuple(columns))
        assert kept in KEPT, f"declare {table} in pipeline/kept.py"
        assert {*kept.accounts, *kept.texts, *kept.runs} <= set(columns), table
        named = {name for name in columns if name in ("account_id", "root_id")}
        assert named <= {*kept.accounts, *kept.mentions}, table
        runs = {name for name in columns if name.endswith(("run_id", "_run"))}
        # Chains of hashes hold no account, and a row taken out would break them.
        assert runs <= set(kept.runs) or table in ("runs", "artefacts"), table
    assert {kept.table for kept in KEPT} - {
        "assignments",
        "bench",
        "effects",
        "families",
        "night_steps",
        "monitor",
        "shadow",
    } == {kept_as(table, ()).table for table in store.tables()}


def test_no_log_holds_a_value_of_a_column(planted: Path) -> None:
    store = Store(planted / "store")
    for table in store.tables():
        for entry in (store.path(table) / "_delta_log").glob("*.json"):
            assert '\\"minValues\\":{}' in entry.read_text() or '"add"' not in entry.read_text()


def test_forgotten_accounts_are_in_no_file(copied: Path, tally: Tally) -> None:
    """By id, and by name where nobody has an id at hand; one had left before the first score."""
    known = victims(copied)
    before = left_of(copied, known)
    assert {word for held in before.values() for word in held} == {
        word for account in known for word in words_of(copied, account)
    }
    for account, (name, _) in known.items():
        done = run_command(
            "forget", name if account == list(known)[1] else account, "--yes", *_on(copied)
        )
        assert done.code == 0, done.err

    left = left_of(copied, known)

    tally(
        "identifiers after `forget`", tried=3 * len(known), files_before=len(before), left=len(left)
    )
    assert not left
    scores = Store(copied / "store").read("scores")
    assert len(scores) and not scores["account_id"].isin(list(known)).any()


def test_who_withdraws_consent_later_is_in_no_file(copied: Path, tally: Tally) -> None:
    known, accounts = victims(copied), _table(copied, "accounts")
    withdrawn = accounts["account_id"].isin(list(known))
    assert accounts["parent_account_id"].isin(list(known)).any()
    before = left_of(copied, known)
    _replace(copied, "accounts", accounts.assign(consent=~withdrawn))

    done = run_command("score", *_on(copied))

    assert done.code == 0, done.err
    left = left_of(copied, known)
    tally(
        "identifiers after consent withdrawn",
        tried=3 * len(known),
        files_before=len(before),
        left=len(left),
    )
    assert not left
    store = Store(copied / "store")
    version = store.version("staged_accounts")
    with connected() as connection:
        stage_sources(Company(copied).workspace()[0], connection)
    assert store.version("staged_accounts") == version, "nothing was left to remove"


def test_nothing_published_outlives_the_retention_period(copied: Path) -> None:
    file = copied / "tenure.toml"
    text = file.read_text()
    assert "[store]" not in text
    file.write_text(text + "\n[store]\nkeep_runs_days = 40\n")
    ledger = run_rows(Store(copied / "store"))
    old = set(ledger["run_id"][ledger["as_of"] == pd.Timestamp(LONG_BEFORE)])

    done = run_command("score", *_on(copied))
    again = run_command("trajectory", *_on(copied))

    assert (done.code, again.code) == (0, 0), done.err + again.err
    store = Store(copied / "store")
    first = pd.Timestamp(LAST - timedelta(days=40))
    dated = 0
    for table in store.tables():
        kept, columns = kept_as(table, tuple(store.columns(table))), store.columns(table)
        for column in kept.runs:
            assert not set(store.read(table, columns=[column])[column]) & old, table
        if (kept.runs or kept.dated) and "as_of" in columns:
            dated += 1
            assert store.read(table, columns=["as_of"])["as_of"].min() >= first, table
    assert dated > 5
    pages = files_with(copied / "reports", [*old, str(LONG_BEFORE)])
    assert not [page for page in pages if str(LONG_BEFORE) in page], pages
    assert not [page for page, held in pages.items() if old & set(held)], pages
    assert (copied / "reports" / "churn_90d" / str(BEFORE) / "portfolio.html").exists()
    states = run_rows(store).set_index("run_id")
    assert set(states.loc[list(old), "state"]) == {"removed"}
    assert "older than 40 days" in states.loc[list(old), "note"].iloc[0]
    (run,) = old
    for command in (
        ("rollback", run, "--yes"),
        ("replay", run),
        ("explain", "A", "--as-of", LONG_BEFORE),
    ):
        refused = run_command(*command, *_on(copied))
        assert refused.code == 2, (command, refused.said)


def test_statistics_of_an_older_release_go_with_the_account(tmp_path: Path) -> None:
    rows = pd.DataFrame({"account_id": ["A-1", "B-2"], "name": ["Ann", "Bob"], "run_id": "r"})
    store = Store(tmp_path)
    write_deltalake(str(store.path("portfolio")), rows, partition_by=["run_id"])
    assert len(files_with(tmp_path, ["A-1", "Ann"])) == 2
    mine = pc.field("account_id").isin(["A-1"])

    assert store.erase("portfolio", mine) == 1
    store.give_up_versions("portfolio")

    assert files_with(tmp_path, ["A-1", "Ann"]) == {}
    assert list(store.read("portfolio")["name"]) == ["Bob"]


def test_what_a_killed_command_left_in_the_temporary_folder_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead, mine = tmp_path / f"tenure-spill-{gone.pid}", tmp_path / f"tenure-read-{os.getpid()}-x"
    for folder in (dead, mine, tmp_path / "tenure-notes"):
        folder.mkdir()
    assert remove_left_behind() == [dead]
    assert mine.exists() and (tmp_path / "tenure-notes").exists()
