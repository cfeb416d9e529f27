"""Commands that look over all accounts, forward and back."""

import sys
from typing import Annotated

import typer

from pipeline.cli.options import (
    HERE,
    AsOfOption,
    DataOption,
    JsonOption,
    ProjectOption,
    TargetOption,
    day_of,
    open_project,
)


def forecast(
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    account: Annotated[
        str | None, typer.Option("--account", help="Account id: its own curve and remaining value.")
    ] = None,
    months: Annotated[
        int, typer.Option("--months", help="Remaining value looks so far ahead, 12 to 120.")
    ] = 36,
    discount: Annotated[
        float, typer.Option("--discount", help="Yearly discount of remaining value, e.g. 0.08.")
    ] = 0.0,
) -> None:
    """Chances by day, renewals by month, remaining value, for the accounts of a run. Example:
    tenure forecast --months 24
    """
    from pipeline.console import print_json
    from pipeline.engine.duckdb import connected
    from pipeline.jobs.forecast import ForecastOptions, check_account, forecast_target
    from pipeline.reports.forecast import forecast_json, forecast_lines

    options = ForecastOptions(months, discount)
    workspace, chosen = open_project(project, data, target)
    with workspace.store.writing(), connected() as connection:
        made = forecast_target(workspace, connection, chosen, day_of(as_of), options)
    if account is not None:
        check_account(made, account)
    if as_json:
        print_json(forecast_json(made, account))
        return
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    for line in forecast_lines(made, account):
        console.print(line)


def pulse(
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    as_page: Annotated[
        bool, typer.Option("--page", help="Write the page beside the reports.")
    ] = False,
) -> None:
    """Account managers' pulse beside the score: weight, disagreements, who was right. Example:
    tenure pulse --page
    """
    from pipeline.console import print_json
    from pipeline.jobs.pulse import pulse_report
    from pipeline.jobs.report import write_pulse_page
    from pipeline.reports.pulse import pulse_json, pulse_lines

    workspace, chosen = open_project(project, data, target)
    report = pulse_report(workspace, chosen)
    page = write_pulse_page(workspace, chosen, report) if as_page else None
    if as_json:
        print_json({**pulse_json(report), "page": None if page is None else str(page)})
        return
    if page is not None:
        typer.echo(page)
        return
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    for line in pulse_lines(report):
        console.print(line)


def outcomes(
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Published scores against what happened since, run by run.

    Example: tenure outcomes --target churn_90d
    """
    import pandas as pd

    from pipeline.console import print_json
    from pipeline.jobs.outcomes import outcomes_report
    from pipeline.reports.outcomes import outcomes_json, outcomes_lines
    from pipeline.reports.portfolio import EVENT_WORDS

    workspace, chosen = open_project(project, data, target)
    report = outcomes_report(workspace, chosen, on=None if as_of is None else pd.Timestamp(as_of))
    if as_json:
        print_json(outcomes_json(report))
        return
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    for line in outcomes_lines(report, EVENT_WORDS[chosen.kind]):
        console.print(line)


def patterns(
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    as_page: Annotated[
        bool, typer.Option("--page", help="Write the page beside the reports.")
    ] = False,
) -> None:
    """What accounts that left have in common, and those that stayed, checked out of time. Example:
    tenure patterns --page
    """
    from pipeline.console import print_json
    from pipeline.jobs.patterns import pattern_report
    from pipeline.jobs.report import write_pattern_page
    from pipeline.reports.patterns import pattern_json, pattern_lines

    workspace, chosen = open_project(project, data, target)
    report = pattern_report(workspace, chosen)
    page = write_pattern_page(workspace, chosen, report) if as_page else None
    if as_json:
        print_json({**pattern_json(report), "page": None if page is None else str(page)})
        return
    if page is not None:
        typer.echo(page)
        return
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    for line in pattern_lines(report):
        console.print(line)


def trajectory(
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sudden drops, slow declines, where scores will stand, who grows or leaves.

    Example: tenure trajectory --json
    """
    from pipeline.console import print_json
    from pipeline.engine.duckdb import connected
    from pipeline.jobs.trajectory import trajectory_target
    from pipeline.reports.portfolio import EVENT_WORDS
    from pipeline.reports.trajectory import trajectory_json, trajectory_lines

    workspace, chosen = open_project(project, data, target)
    with workspace.store.writing(), connected() as connection:
        made = trajectory_target(workspace, connection, chosen, day_of(as_of))
    if as_json:
        print_json(trajectory_json(made.accounts, made.facts))
        return
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    for line in trajectory_lines(
        made.accounts, made.facts, made.people, EVENT_WORDS[chosen.kind][0]
    ):
        console.print(line)
