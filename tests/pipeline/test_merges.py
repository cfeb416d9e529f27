"""Accounts that were merged into another, from CSV files through staging to population, labels and
check.
"""

import tomllib
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from features.errors import ChurnError, ConfigError, ContractError
from features.facts import as_known
from features.snapshots import PopulationRule, population
from features.windows import day_number
from models.labels import OPEN_END
from pipeline.checking import check_sources
from pipeline.engine.duckdb import Connection, rows
from pipeline.engine.facts import choose, prepare, source_facts
from pipeline.jobs import features as build
from pipeline.jobs.merges import holders, merged_accounts
from pipeline.jobs.stage import load_staged, stage_sources
from pipeline.proposing import propose
from pipeline.workspace import open_workspace

NOW = datetime(2025, 6, 1, tzinfo=UTC)
TOML = """
name = "merges"
{roll_up}
[sources.accounts]
location = "accounts.csv"
[sources.subscriptions]
location = "subscriptions.csv"
convention = "open_until_cancelled"
data_until = 2024-12-01
[[targets]]
name = "leave"
kind = "churn"
horizon_days = 60
dates = {{ list = [2024-03-01, 2024-05-01, 2024-07-01] }}
test = {{ count = 1 }}
"""
# a: merged into kept, whose own term goes on. b: merged into gone, which leaves in May. c: into b,
# and so into gone. d: left in March, before it was merged. e: never merged, leaves in July.
ACCOUNTS = """account_id,created_at,segment,merged_into,merged_at
kept,2023-01-01,x,,
gone,2023-01-01,y,,
a,2023-01-01,x,kept,2024-04-15
b,2023-01-01,y,gone,2024-04-15
c,2023-01-01,x,b,2024-04-10
d,2023-01-01,y,kept,2024-04-15
e,2023-01-01,x,,
"""
SUBSCRIPTIONS = """account_id,starts_at,ends_at
kept,2023-01-01,
gone,2023-01-01,2024-05-20
a,2023-01-01,2024-04-15
b,2023-01-01,2024-04-15
c,2023-01-01,2024-04-10
d,2023-01-01,2024-03-20
e,2023-01-01,2024-07-10
"""
MARCH, MAY, JULY = (day_number(date(2024, month, 1)) for month in (3, 5, 7))


def project(folder: Path, accounts: str = ACCOUNTS, roll_up: str = "") -> Path:
    (folder / "tenure.toml").write_text(TOML.format(roll_up=roll_up))
    (folder / "accounts.csv").write_text(accounts)
    (folder / "subscriptions.csv").write_text(SUBSCRIPTIONS)
    return folder


def labelled(folder: Path, duck: Connection) -> dict[tuple[str, int], int | None]:
    """(account, as_of) -> label, of everybody in the population."""
    workspace = open_workspace(folder, None, NOW)
    target = workspace.target(None)
    stage_sources(workspace, duck)
    staged = load_staged(workspace, duck)
    build.grid_candidates(duck, workspace, staged, target, [MARCH, MAY, JULY])
    build.take_snapshots(workspace, duck, staged, target, {})
    build.take_labels(workspace, duck, staged, target)
    return {
        (a, d): label
        for a, d, label in rows(
            duck, "select account_id, as_of_day, label from labels order by 1, 2"
        )
    }


def without(columns: tuple[str, ...], text: str = ACCOUNTS) -> str:
    lines = [line.split(",") for line in text.splitlines()]
    wanted = [i for i, name in enumerate(lines[0]) if name not in columns]
    return "".join(",".join(line[i] for i in wanted) + "\n" for line in lines)


def test_a_merged_account_leaves_when_the_one_it_became_part_of_does(
    tmp_path: Path, duck: Connection
) -> None:
    assert labelled(project(tmp_path), duck) == {
        ("kept", MARCH): 0,
        ("kept", MAY): 0,
        ("kept", JULY): 0,
        ("gone", MARCH): 0,
        ("gone", MAY): 1,
        ("a", MARCH): 0,
        ("b", MARCH): 0,
        ("c", MARCH): 0,  # the kept accounts are still there on 2024-04-30
        ("d", MARCH): 1,
        ("e", MARCH): 0,
        ("e", MAY): 0,
        ("e", JULY): 1,
    }


def test_a_longer_look_sees_the_kept_account_leave(tmp_path: Path, duck: Connection) -> None:
    folder = project(tmp_path)
    (folder / "tenure.toml").write_text(
        (folder / "tenure.toml").read_text().replace("horizon_days = 60", "horizon_days = 90")
    )
    found = labelled(folder, duck)
    assert {account: found[account, MARCH] for account in "abcde"} == {
        "a": 0,
        "b": 1,
        "c": 1,
        "d": 1,
        "e": 0,
    }


def test_without_merges_such_accounts_count_as_leaving(tmp_path: Path, duck: Connection) -> None:
    found = labelled(project(tmp_path, without(("merged_into", "merged_at"))), duck)
    assert {account: found[account, MARCH] for account in "abcde"} == {
        "a": 1,
        "b": 1,
        "c": 1,
        "d": 1,
        "e": 0,
    }


def test_nobody_is_asked_about_from_the_merge_on(tmp_path: Path, duck: Connection) -> None:
    """Their terms were left open; before the merge, and on its very day, no date knows of it."""
    folder = project(tmp_path)
    (folder / "subscriptions.csv").write_text(
        "account_id,starts_at,ends_at\n"
        + "".join(f"{account},2023-01-01,\n" for account in ("kept", "gone", *"abcde"))
    )
    workspace = open_workspace(folder, None, NOW)
    stage_sources(workspace, duck)
    staged = load_staged(workspace, duck)
    asked: dict[str, list[str]] = {}
    for day in ("2024-04-10", "2024-04-11", "2024-04-15", "2024-04-16"):
        build.grid_candidates(
            duck, workspace, staged, workspace.target(None), [day_number(date.fromisoformat(day))]
        )
        build.take_snapshots(workspace, duck, staged, workspace.target(None), {})
        asked[day] = [
            a
            for (a,) in rows(
                duck, "select account_id from snapshots where state = 'member' order by 1"
            )
        ]
    everybody = ["a", "b", "c", "d", "e", "gone", "kept"]
    assert asked == {
        "2024-04-10": everybody,
        "2024-04-11": [a for a in everybody if a != "c"],
        "2024-04-15": [a for a in everybody if a != "c"],
        "2024-04-16": ["e", "gone", "kept"],
    }


def test_a_merge_counts_from_when_its_version_was_known(tmp_path: Path, duck: Connection) -> None:
    """The pointer of April reached us in June, and was taken back in August: between the two nobody
    asks.
    """
    versions = (
        "account_id,created_at,known_at,row_key,merged_into,merged_at\nkept,2023-01-01,2023-01-01,1,,\n"
        "a,2023-01-01,2023-01-01,2,,\na,2023-01-01,2024-06-01,2,kept,2024-04-15\na,2023-01-01,2024-08-01,2,,\n"
    )
    workspace = open_workspace(project(tmp_path, versions), None, NOW)
    stage_sources(workspace, duck)
    staged = load_staged(workspace, duck)
    duck.execute(
        "create or replace temp table candidates as select 'a' as account_id, '' as"
        f" partition_name, d as as_of_day from unnest([{MAY}, {JULY}, {JULY + 60}]) t(d)"
    )
    facts, accounts = source_facts(staged["accounts"], {}), merged_accounts(duck, staged)
    query = population(PopulationRule("accounts"), facts, accounts)
    assert rows(duck, f"select as_of_day from ({query}) order by 1") == [(MAY,), (JULY + 60,)]
    assert rows(duck, "select count(*) from holders") == [(0,)]  # what is known today is no merge


def test_the_queries_are_as_they_were_where_no_merges_are_mapped(
    tmp_path: Path, duck: Connection
) -> None:
    workspace = open_workspace(project(tmp_path, without(("merged_into", "merged_at"))), None, NOW)
    stage_sources(workspace, duck)
    assert merged_accounts(duck, load_staged(workspace, duck)) is None
    assert "holders" not in {
        name for (name,) in rows(duck, "select table_name from information_schema.tables")
    }


def test_sources_staged_before_merges_were_read_still_serve(
    tmp_path: Path, duck: Connection
) -> None:
    workspace = open_workspace(project(tmp_path, without(("merged_into", "merged_at"))), None, NOW)
    stage_sources(workspace, duck)
    now = load_staged(workspace, duck)["accounts"]
    rows_of = f"read_parquet({workspace.store.files('staged_accounts')})"
    duck.execute(
        "create or replace temp table old as select * exclude (merged_into, merged_at) from"
        f" {rows_of}"
    )
    old = replace(
        now, columns={n: c for n, c in now.columns.items() if n not in ("merged_into", "merged_at")}
    )
    prepare(duck, old, "old")
    assert merged_accounts(duck, {"accounts": old}) is None
    duck.execute(
        f"create or replace temp table snapshots as select 'a' as account_id, {MAY} as as_of_day"
    )
    assert rows(
        duck, f"select segment, merged_into, merged_at from ({as_known(source_facts(old, {}))})"
    ) == [("x", None, None)]


def test_holders_follow_the_chain() -> None:
    table = holders({"a": ("b", 30), "b": ("c", 50), "x": ("y", 70), "y": ("z", 40)})
    assert list(table.itertuples(index=False, name=None)) == [
        ("a", "a", -OPEN_END, 30),
        ("a", "b", 30, 50),
        ("a", "c", 50, OPEN_END),
        ("b", "b", -OPEN_END, 50),
        ("b", "c", 50, OPEN_END),
        ("x", "x", -OPEN_END, 70),
        ("x", "z", 70, OPEN_END),  # y was z already when x came
        ("y", "y", -OPEN_END, 40),
        ("y", "z", 40, OPEN_END),
    ]


@pytest.mark.parametrize(
    ("accounts", "error", "words"),
    [
        (without(("merged_at",)), ConfigError, "maps merged_into but not merged_at"),
        (
            ACCOUNTS.replace("kept,2024-04-15", "kept,"),
            ContractError,
            "2 accounts with merged_into have no merged_at, such as a, d",
        ),
        (
            ACCOUNTS.replace("x,kept", "x,nobody"),
            ContractError,
            r"1 accounts were merged into accounts .*a into nobody",
        ),
        (
            ACCOUNTS.replace("gone,2023-01-01,y,,", "gone,2023-01-01,y,c,2024-05-01"),
            ContractError,
            "go round in a circle .b -> gone -> c -> b.",
        ),
        (ACCOUNTS.replace("x,kept", "x,a"), ContractError, "go round in a circle .a -> a."),
    ],
    ids=["no time mapped", "time empty", "unknown account", "circle", "itself"],
)
def test_merges_that_cannot_be_are_refused(
    tmp_path: Path, duck: Connection, accounts: str, error: type[ChurnError], words: str
) -> None:
    folder = project(tmp_path, accounts)
    with pytest.raises(error, match=words):
        labelled(folder, duck)
    found = check_sources(open_workspace(folder, None, NOW), duck).finding("no-labels")
    assert found is not None and found.severity == "stop" and "merge" in found.what


def test_an_account_merged_twice_is_refused(tmp_path: Path, duck: Connection) -> None:
    history = (
        "account_id,created_at,valid_from,merged_into,merged_at\nkept,2023-01-01,2023-01-01,,\n"
        "b,2023-01-01,2023-01-01,,\na,2023-01-01,2024-04-15,kept,2024-04-15\na,2023-01-01,2024-06-15,b,2024-06-15\n"
    )
    with pytest.raises(
        ContractError, match=r"merged more than once, such as a \(into b and kept\)"
    ):
        labelled(project(tmp_path, history), duck)


def test_the_record_a_crm_gave_up_is_kept_although_it_is_marked_deleted(
    tmp_path: Path, duck: Connection
) -> None:
    lines = ACCOUNTS.splitlines()
    marked = [lines[0] + ",is_deleted"] + [
        f"{line},{'true' if line.split(',')[3] or line.startswith('e,') else 'false'}"
        for line in lines[1:]
    ]
    found = labelled(project(tmp_path, "\n".join(marked) + "\n"), duck)
    assert found["a", MARCH] == 0 and found["d", MARCH] == 1
    assert "e" not in {a for (a,) in rows(duck, "select account_id from facts_accounts")}


def test_consent_withheld_holds_for_what_became_part_of_the_account(
    tmp_path: Path, duck: Connection
) -> None:
    lines = ACCOUNTS.splitlines()
    consent = [lines[0] + ",consent"] + [
        f"{line},{'false' if line.startswith('gone') else 'true'}" for line in lines[1:]
    ]
    found = labelled(project(tmp_path, "\n".join(consent) + "\n"), duck)
    assert {account for account, _ in found} == {"kept", "a", "d", "e"}


def test_a_merge_into_a_child_is_one_into_its_root(tmp_path: Path, duck: Connection) -> None:
    """`kept` is a child of `e` (which leaves in July), and so a and d live on in e."""
    lines = ACCOUNTS.splitlines()
    families = [lines[0] + ",parent_account_id"] + [
        f"{line},{'e' if line.startswith('kept') else ''}" for line in lines[1:]
    ]
    folder = project(tmp_path, "\n".join(families) + "\n", roll_up='roll_up = "parent"')
    labelled(folder, duck)
    pointers = rows(
        duck,
        "select account_id, merged_into from facts_accounts where merged_into is not null order"
        " by 1",
    )
    assert pointers == [("a", "e"), ("b", "gone"), ("c", "b"), ("d", "e")]


@pytest.mark.parametrize("has_history", [False, True])
def test_check_takes_the_pointer_for_no_leak(
    tmp_path: Path, duck: Connection, has_history: bool
) -> None:
    """Filled for those who seem to have left and for nobody else, from the time their row begins:
    it is a merge.
    """
    names = [f"m{i:03}" for i in range(120)]
    rows_ = [f"{n},2023-01-01,2024-04-15,x,kept,2024-04-15" for n in names]
    history = ACCOUNTS.replace("created_at", "created_at,valid_from").replace(
        "2023-01-01,", "2023-01-01,2023-01-01,"
    )
    text = history + "\n".join(rows_) + "\n"
    folder = project(tmp_path, text if has_history else without(("valid_from",), text))
    with (folder / "subscriptions.csv").open("a") as file:
        file.writelines(f"{n},2023-01-01,2024-04-15\n" for n in names)
    stops = check_sources(open_workspace(folder, None, NOW), duck).stops
    assert [f for f in stops if "merged" in f"{f.what} {f.column}"] == []


def test_the_pointer_is_no_signal(tmp_path: Path, duck: Connection) -> None:
    """Not even with a history of attributes, where all other text is one."""
    history = ACCOUNTS.replace("created_at", "created_at,valid_from").replace(
        "2023-01-01,", "2023-01-01,2023-01-01,"
    )
    workspace = open_workspace(project(tmp_path, history), None, NOW)
    stage_sources(workspace, duck)
    accounts = load_staged(workspace, duck)["accounts"]
    chosen = choose(duck, accounts, JULY, 12)
    assert set(chosen["categories"]) == {"segment"}
    assert source_facts(accounts, {"accounts": chosen}).attributes == ("segment",)


def test_check_tells_of_contracts_left_under_the_old_id(tmp_path: Path, duck: Connection) -> None:
    folder = project(tmp_path)
    assert (
        check_sources(open_workspace(folder, None, NOW), duck).finding("merged-still-covered")
        is None
    )
    text = SUBSCRIPTIONS.replace("kept,2023-01-01,\n", "").replace(
        "a,2023-01-01,2024-04-15", "a,2023-01-01,"
    )
    (folder / "subscriptions.csv").write_text(text)
    found = check_sources(open_workspace(folder, None, NOW), duck).finding("merged-still-covered")
    assert found is not None and (found.severity, found.count, found.total, found.examples) == (
        "warn",
        1,
        4,
        ("a",),
    )


@pytest.mark.parametrize(
    ("pointer", "time"),
    [
        ("MasterRecordId", "merge_date"),
        ("merged_to_account_id", "MergedOn"),
        ("surviving_customer_id", "merged_time"),
    ],
)
def test_init_knows_the_pointer_of_a_crm(tmp_path: Path, pointer: str, time: str) -> None:
    def proposed(text: str) -> str:
        (tmp_path / "accounts.csv").write_text(text)
        (tmp_path / "subscriptions.csv").write_text(SUBSCRIPTIONS)
        return propose(tmp_path, tmp_path).toml

    renamed = ACCOUNTS.replace("merged_into", pointer).replace("merged_at", time)
    columns = tomllib.loads(proposed(renamed))["sources"]["accounts"]["columns"]
    assert (columns["merged_into"], columns["merged_at"]) == (pointer, time)
    undated = proposed(without((time,), renamed))
    assert "columns" not in tomllib.loads(undated)["sources"]["accounts"]
    assert (
        f"{pointer} could be merged_into, if merged_at (the time of the merge) were there as well"
        in undated
    )
