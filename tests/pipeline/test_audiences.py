"""Lists for campaigns: by band, and nobody who did not agree."""

import csv
import json

import pandas as pd
import pytest
from small_company import Command, Company

from pipeline.actions.audiences import audiences

SCORES = pd.DataFrame(
    {
        "account_id": list("ABCDEF"),
        "health": [90, 85, 20, 30, None, 60],
        "band": ["healthy", "healthy", "at_risk", "at_risk", None, "stable"],
        "state": ["member", "member", "member", "notice", "unknown", "member"],
    }
)
PEOPLE = pd.DataFrame({"account_id": list("ABCDEF"), "name": list("abcdef"), "owner": "Ann"})


def test_only_members_who_agreed_are_listed_by_band() -> None:
    """D gave notice, E has no score, B and F did not agree."""
    rows, left_out = audiences(SCORES, PEOPLE, frozenset("ACDE"))
    assert rows[["band", "account_id", "name"]].to_numpy().tolist() == [
        ["at_risk", "C", "c"],
        ["healthy", "A", "a"],
    ]
    assert left_out == {"at_risk": 0, "healthy": 1, "stable": 1}


@pytest.fixture
def agreed(company_copy: Company) -> list[str]:
    """Every second account agreed to be written to, one in ten never said."""
    accounts = company_copy.table("accounts")
    place = accounts["account_id"].astype("category").cat.codes
    flag = (place % 2 == 0).astype("boolean").mask(place % 10 == 0)
    company_copy.replace_table("accounts", accounts.assign(news=flag))
    file = company_copy.folder / "tenure.toml"
    head = "[sources.accounts]"
    extra = '[sources.accounts.extra]\nnews = { column = "news", type = "flag" }\n\n'
    text = file.read_text()
    assert text.count(head) == 1 and "[sources.accounts.extra]" not in text
    after = text.index("\n[", text.index(head)) + 1
    file.write_text(text[:after] + extra + text[after:])
    return accounts.loc[flag.fillna(False), "account_id"].tolist()


def test_lists_of_the_company(company_copy: Company, tenure: Command, agreed: list[str]) -> None:
    assert tenure("score", "--project", company_copy.folder).code == 0
    folder = company_copy.folder / "lists"
    said = tenure(
        "audiences", "--project", company_copy.folder, "--consent", "news", "--csv", folder
    )
    assert said.code == 0, said.err

    told = tenure("audiences", "--project", company_copy.folder, "--consent", "news", "--json")
    found = json.loads(told.out)
    scores = company_copy.published("scores")
    members = scores[scores["state"] == "member"]
    assert set(found["audiences"]) == set(members["band"])
    for band, part in members.groupby("band"):
        wanted = sorted(set(part["account_id"]) & set(agreed))
        assert [row["account_id"] for row in found["audiences"][band]] == wanted
        assert found["left_out"][band] == len(part) - len(wanted)
        with (folder / f"{band}.csv").open(encoding="utf-8-sig") as file:
            assert [row["account_id"] for row in csv.DictReader(file)] == wanted
        assert f"{len(part) - len(wanted):,} did not agree (news)" in said.out


def test_without_the_flag_nothing_is_listed(company: Company, tenure: Command) -> None:
    folder = company.folder / "lists"
    said = tenure("audiences", "--project", company.folder, "--consent", "news", "--csv", folder)
    assert said.code == 2 and "--consent = 'news': the accounts have no such column" in said.err
    assert not folder.exists()
