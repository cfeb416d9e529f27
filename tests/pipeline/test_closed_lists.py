"""Words of closed lists: read however they are written, listed where they are others, and never
counted as nothing.
"""

from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from test_check_sources import checked

from features.catalogue import CARDS, STATES
from features.sources import CONTRACTS, Column
from pipeline.config import read_project
from pipeline.config.schema import Project, Source
from pipeline.engine.duckdb import Connection, connected, rows
from pipeline.proposing import propose
from pipeline.staging import stage

LISTS = [(c.table, column) for c in CONTRACTS.values() for column in c.columns if column.words]
WRITINGS = (str.upper, str.title, lambda w: f"  {w} ", lambda w: w.replace("_", " ").title())

PROJECT = """
name = "words"
time_zone = "UTC"
[sources.accounts]
location = "accounts.csv"
[sources.subscriptions]
location = "subscriptions.csv"
convention = "fixed_term"
[sources.contacts]
location = "contacts.csv"
[sources.contacts.columns]
{role}
[[targets]]
name = "churn_30d"
kind = "churn"
horizon_days = 30
dates = {{ every_days = 7 }}
"""
ROLES = {"Champion": 3, "Executive sponsor": 4, "Buyer": 2}


def test_the_lists_are_those_of_roles_severities_surveys_contacts_and_billing() -> None:
    assert {(table, column.name) for table, column in LISTS} == {
        ("contacts", "role"),
        ("surveys", "kind"),
        ("support_tickets", "severity"),
        ("touchpoints", "kind"),
        ("subscriptions", "billing_period"),
    }


@pytest.mark.parametrize(("table", "column"), LISTS, ids=lambda each: str(each)[:20])
def test_a_word_is_read_regardless_of_case_blanks_and_hyphens(
    table: str, column: Column, tmp_path: Path, duck: Connection
) -> None:
    written = [(write(word), word) for word in column.words for write in WRITINGS]
    event = str(CONTRACTS[table].event_time)
    required = {c.name: "1" for c in CONTRACTS[table].columns if c.required}
    frame = pd.DataFrame(
        {
            **required,
            "account_id": [f"a{i:03}" for i in range(len(written))],
            event: datetime(2024, 1, 1),
            column.name: [text for text, _ in written],
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    convention = "fixed_term" if table == "subscriptions" else None
    settings = {"convention": convention} if convention else {}
    source = Source(location="t.parquet", **settings)  # type: ignore[arg-type]
    project = Project(name="p", time_zone="UTC", sources={table: source})
    staged = stage(project, tmp_path, duck)[table]
    read = rows(duck, f"select {column.name} from {staged.table} order by account_id")
    assert [value for (value,) in read] == [word for _, word in written]


def test_cards_count_words_of_the_lists_only() -> None:
    """A word that no list holds would never match, however it is written."""
    counted = {
        (c.contract, str(stream.kind), word)
        for c in CARDS
        for stream in CONTRACTS[c.contract].streams
        if stream.name == c.stream
        for word in c.measure.kinds
    } | {(s.contract, str(s.words_of[0]), word) for s in STATES for word in s.words_of[1]}
    listed = {(table, column.name, word) for table, column in LISTS for word in column.words}
    assert counted and counted <= listed


@pytest.fixture
def roles(tmp_path: Path) -> Path:
    """Three accounts whose contacts hold roles in the words of a CRM."""
    folder = tmp_path / "roles"
    folder.mkdir()
    ids = ["a", "b", "c"]
    pd.DataFrame({"account_id": ids, "created_at": "2024-01-01"}).to_csv(
        folder / "accounts.csv", index=False
    )
    pd.DataFrame(
        {
            "account_id": ids,
            "starts_at": "2024-01-01",
            "ends_at": ["2024-05-01", "2025-01-01", "2025-01-01"],
        }
    ).to_csv(folder / "subscriptions.csv", index=False)
    words = [role for role, n in ROLES.items() for _ in range(n)]
    pd.DataFrame(
        {
            "account_id": [ids[i % 3] for i in range(len(words))],
            "person": [f"p{i}" for i in range(len(words))],
            "role": words,
            "valid_from": "2024-01-05",
        }
    ).to_csv(folder / "contacts.csv", index=False)
    (folder / "tenure.toml").write_text(PROJECT.format(role=""), encoding="utf-8")
    return folder


def test_unknown_words_are_listed_with_counts_and_the_line_to_paste(
    roles: Path, tmp_path: Path, duck: Connection
) -> None:
    finding = checked(roles, tmp_path, duck).finding("unknown-words", "contacts")
    assert finding is not None and (finding.severity, finding.count, finding.total) == (
        "warn",
        6,
        9,
    )
    assert "'Executive sponsor' (4), 'Buyer' (2)" in finding.what
    assert "Champion" not in finding.what
    line = (
        'role = { column = "role", codes = { "Executive sponsor" = "sponsor", Buyer = "Buyer" } }'
    )
    assert finding.todo.endswith(f"under [sources.contacts.columns] write {line}")
    # The line as it is printed: the sponsor counts, and the buyer is meant as it is.
    (roles / "tenure.toml").write_text(PROJECT.format(role=line), encoding="utf-8")
    with connected(threads=1) as other:
        assert checked(roles, tmp_path, other).finding("unknown-words") is None
        counted = rows(other, "select role, count(*) from facts_contacts group by 1 order by 1")
    assert dict(counted) == {"Buyer": 2, "champion": 3, "sponsor": 4}


def test_init_lists_them_with_the_same_line(roles: Path) -> None:
    (roles / "tenure.toml").unlink()
    toml = propose(roles, roles).toml
    assert "'Executive sponsor' (4), 'Buyer' (2)" in toml
    line = next(x for x in toml.splitlines() if x.startswith("# role = "))
    assert '"Executive sponsor" = "sponsor"' in line
    (roles / "tenure.toml").write_text(PROJECT.format(role=line.removeprefix("# ")), "utf-8")
    assert "sponsor" in str(read_project(roles).sources["contacts"].columns["role"])


def scored(folder: Path, *scores: float) -> Path:
    """The project with NPS answers."""
    pd.DataFrame(
        {
            "account_id": "a",
            "answered_at": [f"2024-02-{1 + i % 28:02}" for i in range(len(scores))],
            "kind": "NPS",
            "scale": "0-10",
            "score": scores,
        }
    ).to_csv(folder / "surveys.csv", index=False)
    text = PROJECT.format(role="") + '[sources.surveys]\nlocation = "surveys.csv"\n'
    (folder / "tenure.toml").write_text(text, encoding="utf-8")
    return folder


def test_answers_on_another_scale_stop_the_check_and_a_typing_error_does_not(
    roles: Path, tmp_path: Path, duck: Connection
) -> None:
    tenfold = checked(scored(roles, *[90, 100, 70, 0, 30] * 8), tmp_path, duck)
    finding = tenfold.finding("answers-off-scale", "surveys")
    assert finding is not None and (finding.severity, finding.count, finding.total) == (
        "stop",
        32,
        40,
    )
    assert "scores of nps on 0-10 run from 0 to 100" in finding.what
    with connected(threads=1) as other:
        typed = checked(scored(roles, *[9, 10, 7, 0, 3] * 8, 99), tmp_path, other)
    finding = typed.finding("answers-off-scale", "surveys")
    assert finding is not None and (finding.severity, finding.count) == ("warn", 1)
    with connected(threads=1) as other:
        clean = checked(scored(roles, *[9, 10, 7, 0, 3] * 8), tmp_path, other)
    assert clean.finding("answers-off-scale") is None
