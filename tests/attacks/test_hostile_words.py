"""Words that try to be code, through the whole flow: every way out to a reader is looked at."""

import html
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from attack_run import Attacked, Tally, run_command, through
from hostile_words import EVENTS, IDS, NAMES, OBEYED

from pipeline.edge.text import visible
from pipeline.storage import Store

PAYLOADS = tuple(dict.fromkeys((*EVENTS, *NAMES, *IDS)))
READ = (
    ("check",),
    ("flow",),
    ("outcomes",),
    ("patterns",),
    ("patterns", "--page"),
    ("pulse",),
    ("pulse", "--page"),
    ("trajectory",),
    ("scale",),
    ("verify",),
    ("catalogue",),
    ("metrics",),
    ("changes",),
)


def not_in_terminal(answer: Attacked) -> list[str]:
    """Characters that a terminal would obey, and what Python or Rich said of words."""
    return [
        *(ascii(each) for each in OBEYED if each in answer.said),
        *(
            each
            for each in ("Traceback", "MarkupError", "This is not foreseen")
            if each in answer.said
        ),
    ]


def scored(company: Path) -> pd.DataFrame:
    return Store(company / "store").read("scores")


def test_there_are_enough_payloads() -> None:
    assert len(PAYLOADS) >= 40


@pytest.mark.parametrize("command", READ, ids=" ".join)
def test_commands_print_words_as_words(hostile_company: Path, command: tuple[str, ...]) -> None:
    answer = run_command(*command, "--project", hostile_company)
    assert not_in_terminal(answer) == []
    assert answer.code == 0 or answer.err.startswith("tenure: "), answer.err


def test_every_account_is_explained_whatever_its_id(hostile_company: Path) -> None:
    """Its id as an argument, its page as a file in the folder of accounts, no two the same."""
    ids = [each for each in IDS if each in set(scored(hostile_company)["account_id"])]
    assert len(ids) >= 5
    pages = []
    for account in ids:
        # Behind `--`, since an id may be spelt as an option is.
        said = run_command("explain", "--project", hostile_company, "--", account)
        assert said.code == 0 and not_in_terminal(said) == [], (account, said.err)
        page = run_command("explain", "--page", "--project", hostile_company, "--", account)
        assert page.code == 0, (account, page.err)
        pages.append(Path(page.out.strip()))
    folder = hostile_company / "reports" / "churn_90d" / "accounts"
    assert len(set(pages)) == len(ids) and all(page.parent == folder for page in pages)


def test_an_id_that_begins_with_a_hyphen_needs_no_separator(hostile_company: Path) -> None:
    answer = run_command("explain", "-5", "--project", hostile_company)
    known = "-5" in set(scored(hostile_company)["account_id"])
    assert answer.code == (0 if known else 2) and "No such option" not in answer.err


def test_a_misspelt_option_is_still_told(hostile_company: Path) -> None:
    answer = run_command("explain", "A", "--jsn", "--project", hostile_company)
    assert answer.code == 2 and "--jsn" in answer.err


def test_pages_and_tables_hold_words_as_text(hostile_company: Path, tally: Tally) -> None:
    """Every file under reports: nothing a browser or a spreadsheet would obey."""
    files = [file for file in (hostile_company / "reports").rglob("*") if file.is_file()]
    assert {file.suffix for file in files} >= {".html", ".csv", ".md"}
    got_through = 0
    for file in files:
        text = file.read_text(encoding="utf-8-sig")
        found = [ascii(each) for each in OBEYED if each in text]
        assert found == [], (file.name, found)
        if file.suffix == ".html":
            tags = re.findall(r"<(script|img|iframe|object|a)\b[^>]*>", text, re.I)
            assert "<img src=x" not in text and "<script>alert" not in text, file.name
            assert not re.search(r"<[^>]+\son\w+\s*=", text), file.name
            got_through += text.count("<script>alert") + tags.count("iframe")
    tally("payloads in pages, tables and commands", tried=len(PAYLOADS), through=got_through)
    assert not got_through


def test_no_cell_of_the_worklist_is_a_formula(hostile_company: Path) -> None:
    rows = pd.read_csv(hostile_company / "reports" / "churn_90d" / "worklist.csv", dtype=str)
    for column in rows:
        for cell in rows[column].dropna():
            bare = "".join(letter for letter in cell if letter.isprintable()).lstrip()
            is_number = re.fullmatch(r"-?[0-9.e+-]+", cell)
            assert is_number or not bare.startswith(("=", "+", "-", "@", "＝")), (column, cell)


def test_the_words_are_still_there_to_read(hostile_company: Path) -> None:
    """Made visible, not thrown away: a name is found again on the page of all accounts."""
    page = (hostile_company / "reports" / "churn_90d" / "portfolio.html").read_text()
    people = Store(hostile_company / "store").read("portfolio")
    told = [name for name in people["name"].dropna().unique() if html.escape(visible(name)) in page]
    assert len(told) > 3


def test_tables_and_store_are_whole_after_the_payloads(hostile_company: Path) -> None:
    """`'; drop table scores; --` is the name of an account and nothing more."""
    assert len(scored(hostile_company)) > 20
    signals = Store(hostile_company / "store").columns("features_churn_90d")
    assert any(name.startswith("2fa_enabled") for name in signals)
    assert any(name.startswith("3d_view") for name in signals)


def test_an_account_is_forgotten_by_its_odd_id(hostile_company: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(hostile_company, copy)
    account = "[/b]"
    answer = run_command("forget", account, "--yes", "--project", copy)
    assert answer.code == 0 and not_in_terminal(answer) == [], answer.err
    assert account not in set(scored(copy)["account_id"])
    assert not list(through(answer.said, tuple(OBEYED)))
