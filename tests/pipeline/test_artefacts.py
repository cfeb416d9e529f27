"""What is made of a run later: a table or a page that was rewritten is named, by `ledger verify` and
by `replay`.
"""

import json
from datetime import timedelta

import pyarrow as pa
import pytest
from small_company import NOW, Command, Company

from pipeline.artefacts import rewritten, verify_all
from pipeline.chain import ARTEFACTS, ARTEFACTS_HEAD, HASH
from pipeline.jobs.pages import ACCOUNTS_FOLDER, noted_pages
from pipeline.jobs.privacy import forget_account
from pipeline.ledger import current_run

LATER = NOW + timedelta(hours=3)


@pytest.fixture
def made(company_copy: Company, tenure: Command) -> Company:
    """With trajectory and forecast of the run."""
    for command in ("trajectory", "forecast"):
        answer = tenure(command, "--project", company_copy.folder)
        assert answer.code == 0, answer.err
    return company_copy


def test_everything_made_of_a_run_is_noted_and_stands(made: Company, tenure: Command) -> None:
    workspace, target = made.workspace(LATER)
    rows = workspace.store.read(ARTEFACTS)
    names = set(rows["name"])
    assert {"trajectory", "past_scores", "horizons", "renewals", "renewal_forecast"} <= names
    pages = f"reports/{target.name}"
    assert {f"{pages}/portfolio.html", f"{pages}/worklist.csv", f"{pages}/tables"} <= names
    drawn = [path for path in noted_pages(made.folder / pages) if path.exists()]
    assert {f"{pages}/{path.name}" for path in drawn} <= names
    assert f"{pages}/{ACCOUNTS_FOLDER}" not in names
    assert verify_all(workspace).problems == ()
    # Made again from the same, it is noted once.
    assert tenure("trajectory", "--project", made.folder).code == 0
    assert len(workspace.store.read(ARTEFACTS)) == len(rows)


@pytest.mark.parametrize(
    ("table", "column"), [("trajectory", "p_leaves"), ("horizons", "probability")]
)
def test_a_changed_value_made_later_is_named_and_fails_the_replay(
    made: Company, tenure: Command, table: str, column: str
) -> None:
    store = made.workspace()[0].store
    whole = store.read_arrow(table)
    rows = whole.to_pandas()
    place = rows[column].first_valid_index()
    rows.loc[place, column] = 0.123456
    changed = pa.Table.from_pandas(rows, schema=whole.schema, preserve_index=False)
    store.write(table, changed, partition_by=["run_id"])
    answer = tenure("ledger", "verify", "--project", made.folder)
    assert answer.code == 1 and f"table `{table}`: the rows were changed since" in answer.out
    replay = tenure("replay", "2025-06-01", "--project", made.folder)
    assert replay.code == 1 and f"table `{table}`: the rows were changed since" in replay.out
    assert "all" in replay.out and "values are equal" in replay.out  # the scores themselves are


def test_a_rewritten_page_is_told_in_words(company_copy: Company, tenure: Command) -> None:
    workspace, target = company_copy.workspace(LATER)
    page = company_copy.folder / "reports" / target.name / "portfolio.html"
    text = page.read_text(encoding="utf-8")
    page.unlink()  # copies share files
    page.write_text(text.replace("</title>", " and more</title>"), encoding="utf-8")
    worklist = page.with_name("worklist.csv")
    worklist.unlink()
    told = {each.name.split("/")[-1]: each.words() for each in rewritten(workspace)}
    assert set(told) == {"portfolio.html", "worklist.csv"}
    assert (
        f"file reports/{target.name}/portfolio.html was rewritten since it was made on"
        in (told["portfolio.html"])
    )
    assert "worklist.csv is gone since" in told["worklist.csv"]
    replay = tenure("replay", "2025-06-01", "--project", company_copy.folder, "--json")
    answer = json.loads(replay.out)
    assert replay.code == 1 and answer["difference"] is None and answer["equal"] is False
    assert sorted(answer["rewritten"]) == sorted(told.values())


def test_a_note_that_is_changed_or_taken_out_is_named(made: Company) -> None:
    workspace, _ = made.workspace(LATER)
    whole = workspace.store.read_arrow(ARTEFACTS)
    rows = whole.to_pylist()
    for changed in ([{**rows[0], "sha256": "0" * 64}, *rows[1:]], [rows[0], *rows[2:]]):
        workspace.store.write(ARTEFACTS, pa.Table.from_pylist(changed, schema=whole.schema))
        assert any("`artefacts`" in problem for problem in verify_all(workspace).problems)


def test_the_next_run_carries_the_newest_note(company_copy: Company) -> None:
    workspace, target = company_copy.workspace(LATER)
    accounts = company_copy.table("accounts")
    company_copy.replace_table("accounts", accounts.assign(owner="CSM-99"))
    company_copy.score(LATER)
    run = current_run(workspace.store, target.name)
    assert run is not None
    head = json.loads(run.table_hashes or "")[ARTEFACTS_HEAD]
    assert head in set(workspace.store.read(ARTEFACTS)[HASH])


def test_a_deletion_on_request_rewrites_nothing(made: Company) -> None:
    workspace, _ = made.workspace(LATER)
    account = made.published("scores").dropna(subset=["health"])["account_id"].iloc[0]
    forget_account(workspace, account)
    assert verify_all(workspace).problems == ()
    notes = workspace.store.read(ARTEFACTS)["note"].dropna()
    assert len(notes) and notes.str.contains("deleted on request").all()
