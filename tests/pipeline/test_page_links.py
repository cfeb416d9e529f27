"""Every link of the pages of a run leads somewhere, and each page of an account to the first one."""

import re
from pathlib import Path
from urllib.parse import unquote

import pandas as pd
from small_company import Company

from models.health.standing import standing
from pipeline.jobs.report import INDEX, first_to_call, write_reports
from pipeline.jobs.rollback import published_again
from pipeline.ledger import published_run


def _broken(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    addresses = [each.partition("#")[0] for each in re.findall(r'href="([^"]+)"', text)]
    return [each for each in addresses if each and not (page.parent / unquote(each)).exists()]


def test_every_link_leads_somewhere(company_copy: Company) -> None:
    workspace, target = company_copy.workspace()
    published = published_again(workspace, target, published_run(workspace.store, target.name))
    first, *_ = write_reports(workspace, target, published, "at-risk")
    pages = [*first.parent.glob("*.html"), first.parent.parent / INDEX]
    briefs = sorted((first.parent / "accounts").glob("*.html"))
    assert {page.name: _broken(page) for page in (*pages, *briefs)} == {
        page.name: [] for page in (*pages, *briefs)
    }
    is_red = standing(published.scores).isin(["at_risk", "leaving"])
    assert {*published.scores.loc[is_red, "account_id"]} <= {page.stem for page in briefs}
    assert '"accounts/' in first.read_text(encoding="utf-8")
    everybody = pd.read_csv(first.parent / "accounts.csv")
    assert len(everybody) == len(published.scores)
    one = everybody.loc[everybody["place"] == 1, "account_id"].iloc[0]
    assert one == first_to_call(workspace, target, published)

    write_reports(workspace, target, published)
    assert not (first.parent / "accounts").exists(), "pages of accounts go with those of their run"
    assert '"accounts/' not in first.read_text(encoding="utf-8")
