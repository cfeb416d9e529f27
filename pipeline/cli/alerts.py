"""Commands about alerts: who was told what, and what they did about it."""

import getpass
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import HERE, JsonOption, ProjectOption, TargetOption, day_of, open_project
from pipeline.edge.terminal import say

AlertArgument = Annotated[
    str, typer.Argument(metavar="ALERT", help="Id of the alert; its first characters will do.")
]
ByOption = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Who; default: the user of the machine.")
]
NoteOption = Annotated[
    str, typer.Option("--note", metavar="TEXT", help="What was done, or will be.")
]


def alerts_list(
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show open alerts by owner, and how often each rule is acted on.

    Example: tenure alerts list
    """
    from pipeline.alerts.tables import current_alerts, read_alerts
    from pipeline.console import print_json
    from pipeline.reports.alerts import list_lines, rule_table

    workspace, chosen = open_project(project, target)
    history = read_alerts(workspace.store, chosen.name)
    current = current_alerts(history)
    if as_json:
        active = [asdict(alert) for alert in current if alert.is_active]
        print_json({"alerts": active, "rules": rule_table(history)})
        return
    for line in list_lines(current, history):
        say(line)


def alerts_run(
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Raise the alerts of the current run and send those not yet sent.

    A run that was evaluated before raises nothing again. Exit code 1 if something could not be
    sent; the next run sends it.

    Example: tenure alerts run
    """
    from pipeline.console import print_json
    from pipeline.jobs.alerts import raise_alerts
    from pipeline.jobs.deliver import FAILED, deliver
    from pipeline.reports.alerts import delivery_lines, report_json, run_lines

    workspace, chosen = open_project(project, target)
    with workspace.store.writing():
        report = raise_alerts(workspace, chosen)
        deliveries = deliver(workspace, chosen, wait=time.sleep)
    if as_json:
        print_json({**report_json(report), "deliveries": deliveries})
    else:
        for line in [*run_lines(report), *delivery_lines(deliveries)]:
            say(line)
    if any(each.state == FAILED for each in deliveries):
        raise typer.Exit(1)


def alerts_acknowledge(
    alert: AlertArgument,
    note: NoteOption = "",
    by: ByOption = None,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that you have an alert; it stays quiet until the data close it.

    Example: tenure alerts acknowledge 3f9c0a --note "calling on Monday"
    """
    _act(project, target, alert, "acknowledged", by, note, None, as_json=as_json)


def alerts_snooze(
    alert: AlertArgument,
    until: Annotated[
        datetime,
        typer.Option(
            "--until",
            formats=["%Y-%m-%d"],
            metavar="DATE",
            help="Told again then, if it still holds.",
        ),
    ],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why it can wait.")],
    by: ByOption = None,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put an alert off until a date, with a reason.

    Example: tenure alerts snooze 3f9c0a --until 2030-03-03 --reason "on holiday"
    """
    _act(project, target, alert, "snoozed", by, reason, until, as_json=as_json)


def alerts_done(
    alert: AlertArgument,
    note: NoteOption = "",
    by: ByOption = None,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that you acted on an alert; it stays quiet until the data close it.

    Example: tenure alerts done 3f9c0a --note "new contact found"
    """
    _act(project, target, alert, "done", by, note, None, as_json=as_json)


def _act(
    project: Path,
    target: str | None,
    alert: str,
    state: str,
    by: str | None,
    note: str,
    until: datetime | None,
    *,
    as_json: bool,
) -> None:
    from pipeline.console import print_json
    from pipeline.jobs.alerts import act_on_alert
    from pipeline.reports.alerts import alert_line

    workspace, chosen = open_project(project, target)
    who = by or getpass.getuser()
    with workspace.store.writing():
        acted = act_on_alert(
            workspace, chosen, alert, state, by=who, note=note, until=day_of(until)
        )
    if as_json:
        print_json(asdict(acted))
        return
    say(alert_line(acted))
