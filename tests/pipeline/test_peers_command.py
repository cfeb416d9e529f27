"""`tenure peers`: every tested account counts for its owner once."""

import json

from small_company import Command, Company


def test_owners_and_segments_of_the_test(company: Company, tenure: Command) -> None:
    for by in ("owner", "segment"):
        answer = tenure("peers", "--project", company.folder, "--by", by, "--json")
        report = json.loads(answer.out)
        peers = report["peers"]
        workspace, target = company.workspace()
        tested = workspace.store.read("backtest", filters=[("target", "=", target.name)])
        assert sum(each["accounts"] for each in peers) == tested["account_id"].nunique()
        assert abs(sum(each["expected"] - each["left"] for each in peers)) < 1e-6
    said = tenure("peers", "--project", company.folder).out
    assert "by chance" in said and "expected" in said
