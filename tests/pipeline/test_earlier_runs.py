"""Runs published before drivers said what they mean in columns of their own stay readable."""

import json

import pyarrow as pa
from small_company import Command, Company
from test_changes import JUNE, changes, first_run, late_rows, published
from test_replay import replayed

from pipeline.jobs.driver_rows import DRIVERS, SPOKEN, keeps_one_sentence, read_drivers


def write_as_earlier(company: Company) -> str:
    """Put the published drivers into the columns of version 0.1; returns an account at risk."""
    workspace, _ = company.workspace()
    rows = workspace.store.read("drivers")
    rows["words"] = rows["said"] + ("; " + rows["compared"]).fillna("")
    schema = pa.schema([(n, t) for n, t in DRIVERS if n not in SPOKEN] + [("words", pa.string())])
    table = pa.Table.from_pandas(rows[schema.names], schema=schema, preserve_index=False)
    workspace.store.write("drivers", table, partition_by=["target", "as_of"])
    scores = company.published("scores")
    return str(scores.loc[scores["band"] == "at_risk", "account_id"].iloc[0])


def test_an_earlier_run_is_explained_without_reasons_and_says_so(
    company_copy: Company, tenure: Command
) -> None:
    account = write_as_earlier(company_copy)
    folder = company_copy.folder
    told = tenure("explain", account, "--project", folder)
    assert told.code == 0 and "published by an earlier version" in told.out
    assert "not explained" not in told.out
    drivers = json.loads(tenure("explain", account, "--project", folder, "--json").out)["drivers"]
    assert all(row["said"] and row["signal"] is None for row in drivers)
    assert tenure("verify", account, "--project", folder).code == 0
    for form in ("--paragraph", "--page"):
        assert tenure("explain", account, "--project", folder, form).code == 0, form
    assert tenure("outcomes", "--project", folder).code == 0
    assert replayed(company_copy, first_run(company_copy)).difference is None


def test_a_later_run_stands_beside_an_earlier_one(company_copy: Company, tenure: Command) -> None:
    account = write_as_earlier(company_copy)
    first = first_run(company_copy)
    late_rows(company_copy, JUNE)
    published(company_copy, stage=True)
    workspace, _ = company_copy.workspace()
    rows = read_drivers(workspace.store, [])
    earlier, later = (rows[(rows["run_id"] == first) == is_first] for is_first in (True, False))
    assert keeps_one_sentence(earlier) and earlier["said"].notna().all()
    assert not keeps_one_sentence(later) and later["said"].notna().all()
    assert later["nature"].notna().any() and later["compared"].notna().any()
    assert len(changes(company_copy).lines)
    assert "earlier version" not in tenure("explain", account, "--project", company_copy.folder).out
