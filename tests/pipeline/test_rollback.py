"""A bad run is taken back with everything that shows it, and stays back."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from small_company import NOW, Command, Company
from test_company_runs import LATER

from pipeline.engine.duckdb import connected
from pipeline.jobs.changes import find_changes
from pipeline.jobs.explain import explain_account
from pipeline.jobs.pulse import pulse_report
from pipeline.jobs.report import (
    write_account_page,
    write_changes_page,
    write_pulse_page,
    write_reports,
)
from pipeline.jobs.rollback import roll_back_run
from pipeline.jobs.score import score_target
from pipeline.jobs.stage import stage_sources
from pipeline.ledger import current_run

WRONG_OWNER = "CSM-99"
NEXT_DAY = LATER + timedelta(days=1)
MADE = re.compile(r"page made [^·<]*| Ledger [0-9a-f]*\.")


def pages_of(company: Company) -> dict[str, str]:
    """Text of every file among the reports of the target, without the day it was drawn."""
    _, target = company.workspace()
    folder = company.folder / "reports" / target.name
    return {
        str(path.relative_to(folder)): MADE.sub("", path.read_text(encoding="utf-8"))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def draw_single_pages(company: Company, account: str) -> None:
    """Pages that commands draw when they are asked to."""
    workspace, target = company.workspace(LATER)
    explained = explain_account(workspace, target, account, ask_model=True)
    write_account_page(workspace, target, explained)
    write_pulse_page(workspace, target, pulse_report(workspace, target))


def score_badly(company: Company) -> str:
    """A run on a table that went wrong: every account has one owner."""
    accounts = company.table("accounts").assign(owner=WRONG_OWNER)
    company.replace_table("accounts", accounts)
    workspace, target = company.workspace(LATER)
    with connected() as connection:
        stage_sources(workspace, connection)
        published = score_target(workspace, connection, target)
        write_reports(workspace, target, published)
    return published.run.run_id


@pytest.fixture
def account(company: Company) -> str:
    return str(company.published("scores").dropna(subset=["health"])["account_id"].iloc[0])


def test_page_worklist_and_every_page_of_a_current_run_are_those_of_the_run_before(
    company_copy: Company, account: str
) -> None:
    good = str(company_copy.published("scores")["run_id"].iloc[0])
    draw_single_pages(company_copy, account)
    before = pages_of(company_copy)
    bad = score_badly(company_copy)
    draw_single_pages(company_copy, account)
    workspace, target = company_copy.workspace(LATER)
    write_changes_page(workspace, target, find_changes(workspace, target))
    shown = pages_of(company_copy)
    assert bad in shown["portfolio.html"] and WRONG_OWNER in shown["worklist.csv"]
    rolled = roll_back_run(company_copy.workspace(NEXT_DAY)[0], good[:8])
    assert rolled.superseded == (bad,) and rolled.run.run_id == good
    after = pages_of(company_copy)
    # With one run left nothing can have changed: the page of changes goes.
    assert {path.name for path in rolled.removed} == {"changes.html"}
    assert after.keys() == before.keys()
    assert not [name for name, text in after.items() if bad in text or WRONG_OWNER in text]
    assert after["worklist.csv"] == before["worklist.csv"]
    assert after["portfolio.html"] == before["portfolio.html"]
    assert after[f"accounts/{account}.html"] == before[f"accounts/{account}.html"]
    assert after["pulse.html"] == before["pulse.html"]


def test_the_run_taken_back_is_not_published_again_unless_it_is_named(
    company_copy: Company, tenure: Command
) -> None:
    good = str(company_copy.published("scores")["run_id"].iloc[0])
    bad = score_badly(company_copy)
    folder = ("--project", company_copy.folder)
    said = tenure("rollback", good, "--yes", *folder)
    assert said.code == 0 and bad in said.out and "worklist.csv" in said.out
    # What is printed is nothing that would bring the run back.
    assert "tenure score" not in said.out
    for command in (("score",), ("score", "--as-of", "2025-06-01")):
        refused = tenure(*command, *folder)
        assert refused.code == 3 and f"tenure rollback {bad}" in refused.err
        _, target = company_copy.workspace()
        current = current_run(company_copy.workspace()[0].store, target.name)
        assert current is not None and current.run_id == good
    assert bad not in pages_of(company_copy)["portfolio.html"]
    named = tenure("rollback", bad, "--yes", *folder)
    assert named.code == 0 and bad in pages_of(company_copy)["portfolio.html"]


def test_a_folder_of_an_earlier_date_shows_no_run_that_was_taken_back(
    company_copy: Company,
) -> None:
    """Both dates were scored badly; the page of the earlier one stands in a folder of its own."""
    good = str(company_copy.published("scores")["run_id"].iloc[0])
    workspace, target = company_copy.workspace(NOW)
    with connected() as connection:
        stage_sources(workspace, connection)
        earlier = score_target(workspace, connection, target, (NOW.date().replace(month=5, day=4)))
        write_reports(workspace, target, earlier)
    folder = Path(f"{company_copy.folder}/reports/{target.name}/2025-05-04")
    assert (folder / "portfolio.html").exists()
    rolled = roll_back_run(company_copy.workspace(NEXT_DAY)[0], earlier.run.run_id)
    assert rolled.superseded == (good,)
    # What readers see now stands where they look; nothing of the run of June is left.
    texts = pages_of(company_copy)
    assert earlier.run.run_id in texts["portfolio.html"]
    assert not [name for name, text in texts.items() if good in text]
