"""Pages in a browser: people find, filter, sort and save accounts, and nothing keeps anybody out.

axe-core looks for what keeps people from reading: contrast, names of controls, order of headings,
tables without headers.
"""

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# The same accounts as the tests of what the pages say.
from test_account_page import explained
from test_account_page import page as account_brief
from test_portfolio_page import CHROMIUM, HOSTILE, some_inputs

from pipeline.actions.account_rows import Fall, Fallen
from pipeline.reports.account_list import account_pages
from pipeline.reports.portfolio import PortfolioInputs, list_rows, portfolio_page

pytestmark = pytest.mark.browser
SIZES = {"desk": (1280, 900), "phone": (390, 800)}


def _missing() -> str:
    if CHROMIUM is None:
        return "chromium is not installed"
    try:
        import axe_playwright_python  # noqa: F401
        import playwright  # noqa: F401
    except ImportError as error:
        return f"{error.name} is not installed (the extra `test` brings it)"
    return ""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    missing = _missing()
    if missing and "browser" in os.environ.get("TENURE_REQUIRE", ""):
        pytest.fail(f"TENURE_REQUIRE names browser, but {missing}")
    if missing:
        pytest.skip(missing)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def inputs() -> PortfolioInputs:
    made = some_inputs()
    fell = made.scores.account_id[made.scores.band == "healthy"].iloc[0]
    return PortfolioInputs(**{**vars(made), "fallen": Fallen({fell: Fall(93, None)}, "Since May.")})


@pytest.fixture(scope="module")
def folder(inputs: PortfolioInputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages")
    (path / "portfolio.html").write_text(portfolio_page(inputs), encoding="utf-8")
    for name, page in account_pages(inputs, lambda _: "accounts.html").items():
        (path / name).write_text(page, encoding="utf-8")
    (path / "account.html").write_text(account_brief(explained()), encoding="utf-8")
    return path


def opened(browser: Any, path: Path, **options: Any) -> Any:
    page = browser.new_page(**options)
    page.goto(path.as_uri())
    return page


def seen(page: Any) -> list[str]:
    return [
        row.get_attribute("data-id")
        for row in page.query_selector_all("#accounts tbody tr:not([hidden])")
    ]


def faults(page: Any) -> list[str]:
    """What axe-core finds, of any impact."""
    from axe_playwright_python.sync_playwright import Axe

    return [
        f"{each['id']} ({each['impact']}): {each['nodes'][0]['html'][:200]}"
        for each in Axe().run(page).response["violations"]
    ]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["portfolio.html", "accounts.html", "account.html"])
def test_nothing_keeps_anybody_from_reading(
    browser: Any, folder: Path, name: str, scheme: str, size: str
) -> None:
    width, height = SIZES[size]
    page = opened(
        browser,
        folder / name,
        color_scheme=scheme,
        viewport={"width": width, "height": height},
    )
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_a_number_of_the_first_page_leads_to_its_accounts(
    browser: Any, folder: Path, inputs: PortfolioInputs
) -> None:
    page = opened(browser, folder / "portfolio.html")
    page.click(".tile.at_risk a")
    red = [row.account_id for row in list_rows(inputs) if row.band == "at_risk"]
    assert seen(page) == red
    assert page.inner_text("#count").endswith(f"of {len(red)} accounts")
    page.close()


def test_accounts_are_found_filtered_and_sorted(
    browser: Any, folder: Path, inputs: PortfolioInputs
) -> None:
    rows = list_rows(inputs)
    page = opened(browser, folder / "accounts.html")
    assert seen(page) == [row.account_id for row in rows[:50]]
    page.fill("#find", rows[57].account_id.lower())
    assert seen(page) == [rows[57].account_id]
    page.click("text=Clear")
    page.wait_for_selector("text=1–50 of 60 accounts")
    page.click("text=Next")
    assert len(seen(page)) == 10
    page.click("th:has-text('Value per year') button")
    page.click("th:has-text('Value per year') button")
    richest = sorted(rows, key=lambda row: -(row.value or 0))
    assert seen(page)[:5] == [row.account_id for row in richest[:5]]
    page.select_option("select[data-filter=band]", "stable")
    stable = [row.account_id for row in richest if row.band == "stable"]
    assert seen(page) == stable[:50]
    page.close()


def test_what_is_shown_is_saved_without_formulas(
    browser: Any, tmp_path: Path, inputs: PortfolioInputs
) -> None:
    named = inputs.portfolio.assign(name="=1+1")
    changed = PortfolioInputs(**{**vars(inputs), "portfolio": named})
    (text,) = account_pages(changed, lambda _: "accounts.html").values()
    (tmp_path / "accounts.html").write_text(text, encoding="utf-8")
    page = opened(browser, tmp_path / "accounts.html", accept_downloads=True)
    page.select_option("select[data-filter=band]", "leaving")
    with page.expect_download() as saved:
        page.click("#csv")
    text = Path(saved.value.path()).read_text(encoding="utf-8-sig")
    lines = list(csv.reader(text.splitlines()))
    assert lines[0][:3] == ["account_id", "Place", "Account"]
    assert {line[2] for line in lines[1:]} == {"'=1+1"} and len(lines) == 3
    page.close()


def test_names_are_text_and_pages_read_without_script(browser: Any, folder: Path) -> None:
    page = opened(browser, folder / "accounts.html", java_script_enabled=False)
    assert page.locator("#accounts tbody tr").count() == 60
    assert not page.is_visible("#tools")
    assert HOSTILE in page.inner_text("#accounts")
    page.close()
