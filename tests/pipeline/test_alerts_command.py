"""Alerts of a company: customers who fall are told of, and nothing that only the method did."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pandas as pd
import pytest
from small_company import NOW, Command, Company
from test_changes import (
    JUNE,
    MAY,
    another_model,
    first_run,
    in_use,
    late_rows,
    published,
    put_to_use,
)

from features.errors import ConfigError
from pipeline.alerts.episodes import CLOSED, OPEN, OPERATOR, Alert
from pipeline.alerts.inhibition import BEGAN, CHANGED, LATE, REFUSED
from pipeline.alerts.tables import WATCH_TABLE, evaluated_runs, read_alerts
from pipeline.jobs.alerts import AlertsReport, raise_alerts, tell_refusal
from pipeline.ledger import roll_back


def raised(company: Company, hours: int = 1) -> AlertsReport:
    workspace, target = company.workspace(NOW + timedelta(hours=hours))
    return raise_alerts(workspace, target)


def of_accounts(report: AlertsReport) -> list[Alert]:
    return [alert for alert in report.news if alert.kind != OPERATOR]


def of_operator(report: AlertsReport) -> list[str]:
    """What the operator is told, but for onboarding milestones: so small a company has none for
    weeks, and that is said once.
    """
    told = [a for a in report.news if a.kind == OPERATOR and a.state == OPEN]
    return [a.rule for a in told if a.evidence["sources"] != ["milestones"]]


def told(report: AlertsReport) -> list[Alert]:
    return [alert for alert in of_accounts(report) if alert.state == OPEN]


def settings(company: Company, lines: str) -> None:
    file = company.folder / "tenure.toml"
    file.write_text(file.read_text() + lines)


def in_may(company: Company) -> AlertsReport:
    """Go back to May, and begin to watch there."""
    may = published(company, MAY)
    workspace, _ = company.workspace(NOW + timedelta(hours=2))
    roll_back(workspace.store, may, workspace.now)
    return raised(company, 3)


def in_june(company: Company, june: str) -> AlertsReport:
    workspace, _ = company.workspace(NOW + timedelta(hours=4))
    roll_back(workspace.store, june, workspace.now)
    return raised(company, 5)


SENSITIVE = """
[[alerts]]
name = "down"
kind = "crossing"
enter = 70
points = 3
[[alerts]]
name = "notice"
kind = "notice"
[[alerts]]
name = "payment"
kind = "payment"
overdue_days = 1
"""


def test_watching_begins_without_a_flood(company_copy: Company) -> None:
    workspace, target = company_copy.workspace()
    (refused,) = tell_refusal(workspace, target, MAY, "stale sources: usage_events")
    assert refused.rule == REFUSED
    assert tell_refusal(workspace, target, JUNE, "stale sources") == []
    first = raised(company_copy)
    assert told(first) == [] and of_operator(first) == [BEGAN]
    assert (refused.alert_id, CLOSED) in [(a.alert_id, a.state) for a in first.news]
    again = raised(company_copy, 2)
    assert again.was_evaluated and {a.alert_id for a in again.news} == {
        a.alert_id for a in first.news
    }
    with pytest.raises(ConfigError, match="event that is wanted"):
        raise_alerts(workspace, workspace.target("expansion_90d"))


def test_customers_who_fell_are_told_of_once(company_copy: Company, tenure: Command) -> None:
    settings(company_copy, SENSITIVE)
    june = first_run(company_copy)
    assert of_operator(in_may(company_copy)) == [BEGAN]
    report = in_june(company_copy, june)
    assert of_operator(report) == [] and report.counts["opened"] > 3
    crossed = [a for a in of_accounts(report) if a.kind == "crossing"]
    assert crossed and all("below its usual level" in a.reason for a in crossed)
    assert any(": " in a.reason for a in crossed), "what the customer did is told"
    assert pd.Series([a.owner for a in told(report)]).value_counts().max() <= 5
    assert raised(company_copy, 6).was_evaluated

    # Killed before the watch was written: the same alerts again, none twice.
    workspace, target = company_copy.workspace(NOW + timedelta(hours=6))
    watch = workspace.store.read(WATCH_TABLE)
    kept = watch[watch["run_id"] != june]
    workspace.store.write(WATCH_TABLE, kept, partition_by=["target", "as_of"])
    again = raised(company_copy, 6)
    assert not again.was_evaluated and plain(again.news) == plain(report.news)
    rows = [(a.alert_id, a.run_id) for a in read_alerts(workspace.store, target.name)]
    assert len(rows) == len(set(rows))

    # Taken back, its alerts are none; published again, they are the same.
    may = evaluated_runs(workspace.store, target.name)[0].run_id
    roll_back(workspace.store, may, workspace.now + timedelta(hours=1))
    history = read_alerts(workspace.store, target.name)
    assert [a for a in history if a.telling and a.account_id] == []
    roll_back(workspace.store, june, workspace.now + timedelta(hours=2))
    assert {a.alert_id for a in told(raised(company_copy, 9))} == {a.alert_id for a in told(report)}

    project = ("--project", company_copy.folder)
    listed = tenure("alerts", "list", *project)
    assert listed.code == 0 and told(report)[0].name in listed.out
    one, two, three = (a.alert_id for a in told(report)[:3])
    acknowledged = tenure("alerts", "acknowledge", one[:10], "--note", "on it", *project)
    assert acknowledged.code == 0, acknowledged.err
    until = ("--until", "2090-01-01", "--reason", "holiday")
    assert "snoozed until 2090-01-01" in tenure("alerts", "snooze", two, *until, *project).out
    assert tenure("alerts", "done", three, "--by", "Ann", *project).code == 0
    shown = json.loads(tenure("alerts", "list", "--json", *project).out)
    states = {a["alert_id"]: a["state"] for a in shown["alerts"]}
    assert [states[each] for each in (one, two, three)] == ["acknowledged", "snoozed", "done"]
    assert sum(rule["acted_on"] for rule in shown["rules"]) == 2
    assert tenure("alerts", "acknowledge", "nothing", *project).code == 2
    over = ("--until", "2020-01-01", "--reason", "holiday")
    assert tenure("alerts", "snooze", two, *over, *project).code == 2


def plain(alerts: Sequence[Alert]) -> set[str]:
    return {repr(replace(alert, recorded_at=NOW)) for alert in alerts}


def planted(company: Company, hours: int, *, rows: bool = False) -> AlertsReport:
    """Score and raise alerts after something was planted in a company that is watched."""
    published(company, hours=hours, stage=rows)
    return raised(company, hours)


def test_what_no_customer_did_is_one_message_and_no_alert(company_copy: Company) -> None:
    settings(company_copy, SENSITIVE)
    raised(company_copy)

    put_to_use(company_copy, another_model(in_use(company_copy)))
    retrained = planted(company_copy, 3)
    assert of_accounts(retrained) == [] and of_operator(retrained) == [CHANGED]

    file = company_copy.folder / "tenure.toml"
    file.write_text(file.read_text().replace("capacity = 30", "capacity = 31"))
    configured = planted(company_copy, 4)
    assert of_accounts(configured) == [] and of_operator(configured) == [CHANGED]

    for _ in range(4):  # each time twice as many
        late_rows(company_copy, JUNE)
    late = planted(company_copy, 5, rows=True)
    assert of_accounts(late) == [] and of_operator(late) == [LATE]
