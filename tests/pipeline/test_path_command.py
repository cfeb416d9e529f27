"""The path back: what it finds, done to the raw tables and run again, reads what it said; nothing
cheaper does.
"""

import itertools
import json

import pandas as pd
import pytest
from small_company import Command, Company

from features.errors import ConfigError
from pipeline.config import read_project
from pipeline.engine.duckdb import connected
from pipeline.jobs.path import PathReport, RowsOfAnAccount, path_report, plain_path
from pipeline.jobs.registry import need_version
from pipeline.jobs.stage import stage_sources
from pipeline.tracking import CHAMPION

LEVERS = """
[[levers]]
name = "ticket closed"
source = "support_tickets"
close = "closed_at"
most = 2
[[levers]]
name = "meeting held"
source = "touchpoints"
add = { kind = "meeting" }
most = 2
effort = 2.5
[[levers]]
name = "plans built"
source = "usage_events"
add = { event_name = "build_plan" }
rows = 12
most = 2
effort = 2
within_days = 20
"""


@pytest.fixture
def levers(company_copy: Company) -> Company:
    file = company_copy.folder / "tenure.toml"
    file.write_text(file.read_text() + LEVERS)
    return company_copy


def with_a_path(company: Company, wanted: str) -> list[PathReport]:
    workspace, target = company.workspace()
    scores = company.published("scores")
    below = scores[scores["health"].notna() & (scores["state"] == "member")]
    order = below.sort_values("health", ascending=False)
    first = order[order["band"] == ("at_risk" if wanted == "stable" else "stable")]
    return [
        path_report(workspace, target, account, wanted) for account in first["account_id"].head(4)
    ]


def do(company: Company, reports: list[PathReport]) -> None:
    """Write the changes of paths into the raw tables, as the customers' systems would."""
    tables: dict[str, pd.DataFrame] = {}
    for report in reports:
        for change in plain_path(report)["changes"]:
            rows = tables.setdefault(change["source"], company.table(change["source"]))
            if change["set"] is not None:
                is_row = rows["ticket_id"] == change["row"]["ticket_id"]
                assert is_row.sum() == 1 and change["set"].keys() == {"closed_at"}
                rows.loc[is_row, "closed_at"] = change["set"]["closed_at"]
                continue
            added = {**change["row"], "account_id": report.account_id}
            if "known_at" in rows:
                added["known_at"] = added["event_time"]
            whole = {
                name: "Int64" for name, kind in rows.dtypes.items() if kind.kind == "i"
            }  # a table of whole numbers stays one where the new row has none
            new = pd.DataFrame([added]).astype({"event_time": rows["event_time"].dtype})
            rows = pd.concat([rows.astype(whole), new], ignore_index=True)
            tables[change["source"]] = rows
    for name, rows in tables.items():
        company.replace_table(name, rows)


def test_a_path_done_to_the_raw_tables_reads_what_it_said(levers: Company) -> None:
    reports = [
        each
        for wanted in ("stable", "healthy")
        for each in with_a_path(levers, wanted)
        if each.path is not None and each.path.steps is not None
    ]
    assert len(reports) >= 2, "no account of the company has a path: give it other levers"
    assert {change.source for each in reports for change in each.changes} - {"support_tickets"}
    do(levers, reports)
    after = levers.score().scores.set_index("account_id")
    for each in reports:
        row = after.loc[each.account_id]
        assert each.path is not None
        assert row["health"] == each.path.health >= each.wanted_from > each.health
        assert row["band"] == each.best_band


def test_nothing_cheaper_reaches_the_band(levers: Company) -> None:
    workspace, target = levers.workspace()
    bundle = need_version(workspace, target, CHAMPION).bundle
    is_found = set()
    for each in with_a_path(levers, "stable")[:3]:
        efforts = [lever.effort for lever in each.levers]
        every = list(itertools.product(*(range(most + 1) for most in each.available)))
        with connected() as connection:
            rows = RowsOfAnAccount(
                workspace, connection, target, bundle, each.levers, each.account_id, each.as_of
            )
            healths = rows.healths(every)
        cost = {
            steps: sum(n * effort for n, effort in zip(steps, efforts, strict=True))
            for steps, health in zip(every, healths, strict=True)
            if health >= each.wanted_from
        }
        assert each.path is not None
        is_found.add(bool(cost))
        if cost:
            assert each.path.effort == min(cost.values()) == cost[each.path.best]
        else:
            assert each.path.steps is None and each.path.health == max(healths[1:])
    assert True in is_found


def test_the_command_says_that_it_proves_nothing(levers: Company, tenure: Command) -> None:
    scores = levers.published("scores")
    worst = scores[scores["state"] == "member"].nsmallest(1, "health")["account_id"].iloc[0]
    text = tenure("path", worst, "--project", levers.folder).out
    assert "not what keeps a customer" in text and "path" in text.lower()
    plain = json.loads(tenure("path", worst, "--project", levers.folder, "--json").out)
    assert plain["is_causal"] is False and plain["combinations_tried"] > 0
    best = scores[scores["state"] == "member"].nlargest(1, "health")["account_id"].iloc[0]
    assert "already" in tenure("path", best, "--project", levers.folder, "--to", "at_risk").out


def test_what_cannot_be_answered_is_refused(levers: Company, tenure: Command) -> None:
    scores = levers.published("scores")
    member = scores.loc[scores["state"] == "member", "account_id"].iloc[0]
    wrong = tenure("path", member, "--to", "green", "--project", levers.folder)
    assert wrong.code == 2 and "at_risk, stable, healthy" in wrong.err + wrong.out
    leaving = scores.loc[scores["state"] != "member", "account_id"]
    if len(leaving):
        assert tenure("path", leaving.iloc[0], "--project", levers.folder).code == 2
    file = levers.folder / "tenure.toml"
    whole = file.read_text()
    file.write_text(whole.replace('kind = "meeting"', 'kind = "meting"'))
    workspace, target = levers.workspace()
    with pytest.raises(ConfigError, match="did you mean `meeting`"):
        path_report(workspace, target, member)
    file.write_text(whole.partition("[[levers]]")[0])
    workspace, target = levers.workspace()
    with pytest.raises(ConfigError, match="no lever is declared"):
        path_report(workspace, target, member)


def test_rows_that_changed_since_the_run_are_told(levers: Company) -> None:
    scores = levers.published("scores")
    member = scores.loc[scores["state"] == "member", "account_id"].iloc[0]
    events = levers.table("usage_events")
    is_mine = events["account_id"] == member
    levers.replace_table("usage_events", events[~is_mine | (events.index % 3 == 0)])
    workspace, target = levers.workspace()
    with connected() as connection:
        stage_sources(workspace, connection)
    with pytest.raises(ConfigError, match="changed since the run"):
        path_report(workspace, target, member)


@pytest.mark.parametrize(
    ("lever", "said"),
    [
        ('source = "subscriptions"\nclose = "ends_at"', "is no source of"),
        ('source = "support_tickets"\nclose = "opened_at"', "is no time by which a row"),
        ('source = "touchpoints"\nadd = { kid = "meeting" }', "did you mean `kind`"),
        ('source = "touchpoints"', "needs add"),
        (
            'source = "touchpoints"\nadd = { kind = "meeting" }\nmost = 50\n[[levers]]\nname = "b"\n'
            'source = "touchpoints"\nadd = { kind = "training" }\nmost = 50\n[[levers]]\nname = "c"\n'
            'source = "touchpoints"\nadd = { kind = "training" }\nmost = 50',
            "Lower most",
        ),
    ],
)
def test_a_lever_that_cannot_be_is_told(company_copy: Company, lever: str, said: str) -> None:
    file = company_copy.folder / "tenure.toml"
    file.write_text(f'{file.read_text()}\n[[levers]]\nname = "a"\n{lever}\n')
    with pytest.raises(ConfigError, match=said):
        read_project(company_copy.folder)
