"""Commands that look over all accounts, forward and back."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.cli.options import (
    HERE,
    JsonOption,
    JudgedOnOption,
    PageOption,
    ProjectOption,
    RunDateOption,
    TargetOption,
    day_of,
    open_project,
)
from pipeline.edge.terminal import say, show


def forecast(
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: RunDateOption = None,
    account: Annotated[
        str | None,
        typer.Option(
            "--account",
            metavar="ACCOUNT",
            help="Account id or name: show its own curve and remaining value.",
        ),
    ] = None,
    months: Annotated[
        int,
        typer.Option("--months", help="How many months ahead remaining value looks, 12 to 120."),
    ] = 36,
    discount: Annotated[
        float, typer.Option("--discount", help="Yearly discount of remaining value, e.g. 0.08.")
    ] = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Show chances by day, renewals by month and remaining value.

    Example: tenure forecast --months 24
    """
    from pipeline.console import print_json
    from pipeline.engine.duckdb import connected
    from pipeline.jobs.forecast import ForecastOptions, forecast_account, forecast_target
    from pipeline.reports.forecast import forecast_json, forecast_lines

    options = ForecastOptions(months, discount)
    workspace, chosen = open_project(project, target)
    with workspace.store.writing(), connected() as connection:
        forecasts = forecast_target(workspace, connection, chosen, day_of(as_of), options)
    account_id = None if account is None else forecast_account(workspace, forecasts, account)
    if as_json:
        print_json(forecast_json(forecasts, account_id))
        return
    show(forecast_lines(forecasts, account_id))


def pulse(
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: RunDateOption = None,
    as_page: PageOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare the account managers' ratings with the score.

    How much the ratings count in the score, where they disagree with it, and who was right.

    Example: tenure pulse --page
    """
    from pipeline.console import print_json
    from pipeline.jobs.pulse import pulse_report
    from pipeline.jobs.report import write_pulse_page
    from pipeline.reports.pulse import pulse_json, pulse_lines

    workspace, chosen = open_project(project, target)
    report = pulse_report(workspace, chosen, day_of(as_of))
    page = write_pulse_page(workspace, chosen, report) if as_page else None
    if as_json:
        print_json({**pulse_json(report), "page": None if page is None else str(page)})
    elif page is not None:
        say(page)
    else:
        show(pulse_lines(report))


def outcomes(
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: JudgedOnOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare published scores with what happened since.

    Example: tenure outcomes --target churn_90d
    """
    import pandas as pd

    from models.target_words import TARGET_WORDS
    from pipeline.console import print_json
    from pipeline.jobs.outcomes import outcomes_report
    from pipeline.reports.outcomes import outcomes_json, outcomes_lines

    workspace, chosen = open_project(project, target)
    report = outcomes_report(workspace, chosen, on=None if as_of is None else pd.Timestamp(as_of))
    if as_json:
        print_json(outcomes_json(report))
        return
    show(outcomes_lines(report, TARGET_WORDS[chosen.kind]))


def monitor(
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: RunDateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what scores promise, and what moved since training.

    Leavers, log loss and AUC before outcomes are known; how earlier promises did; which signals and
    sources moved the mean score.

    Example: tenure monitor
    """
    from models.target_words import TARGET_WORDS
    from pipeline.console import print_json
    from pipeline.jobs.monitor import monitor_target
    from pipeline.reports.monitor import monitor_json, monitor_lines

    workspace, chosen = open_project(project, target)
    with workspace.store.writing():
        report = monitor_target(workspace, chosen, day_of(as_of))
    if as_json:
        print_json(monitor_json(report))
        return
    for line in monitor_lines(report, TARGET_WORDS[chosen.kind]):
        say(line)


def effects(
    project: ProjectOption = HERE, target: TargetOption = None, as_json: JsonOption = False
) -> None:
    """Show what each play does, or why that cannot be told yet.

    Measured by the random draw of the worklist, by a holdout, or on the accounts that people chose.
    Where none of them is enough it says so, and how long until more is known.

    Example: tenure effects
    """
    from models.target_words import TARGET_WORDS
    from pipeline.console import print_json
    from pipeline.jobs.effects import effects_report
    from pipeline.reports.effects import effects_json, effects_lines

    workspace, chosen = open_project(project, target)
    with workspace.store.writing():
        report = effects_report(workspace, chosen)
    if as_json:
        print_json(effects_json(report))
        return
    declared = {play.name: play for play in workspace.project.plays}
    show(effects_lines(report, declared, TARGET_WORDS[chosen.kind]))


def peers(
    project: ProjectOption = HERE,
    target: TargetOption = None,
    by: Annotated[
        Literal["owner", "segment"], typer.Option("--by", help="What is compared.")
    ] = "owner",
    as_json: JsonOption = False,
) -> None:
    """Compare owners, or segments, on the accounts they have.

    How many left beside how many were expected to, and who stands out by more than chance.

    Example: tenure peers --by segment
    """
    from models.target_words import TARGET_WORDS
    from pipeline.console import print_json
    from pipeline.jobs.peers import peers_report
    from pipeline.reports.peers import peers_json, peers_lines

    workspace, chosen = open_project(project, target)
    report = peers_report(workspace, chosen, by)
    if as_json:
        print_json(peers_json(report))
        return
    show(peers_lines(report, TARGET_WORDS[chosen.kind]))


def shadow(
    project: ProjectOption = HERE,
    target: TargetOption = None,
    old: Annotated[
        Path | None,
        typer.Option("--old", metavar="FILE", help="A table with an old score (CSV, Parquet)."),
    ] = None,
    account: Annotated[
        str, typer.Option("--account", metavar="COLUMN", help="Its column of accounts.")
    ] = "account_id",
    score: Annotated[
        str, typer.Option("--score", metavar="COLUMN", help="Its column of scores.")
    ] = "score",
    date: Annotated[
        str | None,
        typer.Option("--date", metavar="COLUMN", help="Its column of when a score was known."),
    ] = None,
    high: Annotated[
        Literal["good", "bad"], typer.Option("--high", help="What a high old score means.")
    ] = "good",
    as_json: JsonOption = False,
) -> None:
    """Lay another score beside the published one.

    The candidate's, which is kept and judged once outcomes are known, or an old score from a table:
    who moves, why, and which was right. Publishes nothing; all accounts are in side_by_side.csv.

    Example: tenure shadow --old scores.csv --score health --date month
    """
    from models.target_words import TARGET_WORDS
    from pipeline.console import print_json
    from pipeline.jobs.shadow import OldScore, beside_old_score, shadow_candidate
    from pipeline.reports.shadow import side_json, side_lines, write_side_csv

    workspace, chosen = open_project(project, target)
    with workspace.store.writing():
        report = (
            shadow_candidate(workspace, chosen)
            if old is None
            else beside_old_score(
                workspace,
                chosen,
                OldScore(old.resolve(), account, score, date, high_is_good=high == "good"),
            )
        )
        page = workspace.folder / "reports" / chosen.name / "side_by_side.csv"
        write_side_csv(report, page)
    if as_json:
        print_json(side_json(report))
        return
    show(side_lines(report, TARGET_WORDS[chosen.kind]))
    say(str(page))


def onboarding(
    project: ProjectOption = HERE, target: TargetOption = None, as_json: JsonOption = False
) -> None:
    """Show who reaches each onboarding step.

    Example: tenure onboarding
    """
    from models.target_words import TARGET_WORDS
    from pipeline.console import print_json
    from pipeline.jobs.funnel import onboarding_funnel
    from pipeline.reports.funnel import funnel_json, funnel_lines

    workspace, chosen = open_project(project, target)
    report = onboarding_funnel(workspace, chosen)
    if as_json:
        print_json(funnel_json(report))
        return
    show(funnel_lines(report, TARGET_WORDS[chosen.kind]))


def advocates(
    project: ProjectOption = HERE, target: TargetOption = None, as_json: JsonOption = False
) -> None:
    """List healthy accounts that may speak for you.

    Example: tenure advocates
    """
    from pipeline.console import print_json
    from pipeline.jobs.advocates import find_advocates
    from pipeline.reports.render import counted

    workspace, chosen = open_project(project, target)
    rows = find_advocates(workspace, chosen)
    if as_json:
        plain = rows.astype(object)
        print_json({"advocates": plain.where(plain.notna(), None).to_dict("records")})
        return
    say(f"{counted(len(rows), 'account')} may speak for you; ask their managers first.")
    for row in rows.to_dict("records"):
        who = f"{row['name']} ({row['owner']}, health {row['health']})"
        say(f"  {row['rank']}. {who}: {row['signs']}")


def audiences(
    consent: Annotated[
        str,
        typer.Option("--consent", metavar="COLUMN", help="Flag of the accounts that must be true."),
    ],
    project: ProjectOption = HERE,
    target: TargetOption = None,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FOLDER", help="Write a list of each band there."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List by band whom a campaign may be sent to.

    Accounts without the consent named, and all who gave notice or have no score, are on no list.

    Example: tenure audiences --consent agreed_to_mail --csv lists
    """
    from pipeline.console import print_json
    from pipeline.jobs.audiences import find_audiences, write_audiences
    from pipeline.reports.render import counted

    workspace, chosen = open_project(project, target)
    members = find_audiences(workspace, chosen, consent)
    files = [] if csv is None else write_audiences(members, csv)
    if as_json:
        lists = {
            band: members.of(band).astype(object).where(members.of(band).notna(), None)
            for band in members.left_out
        }
        print_json(
            {
                "consent": consent,
                "audiences": {band: rows.to_dict("records") for band, rows in lists.items()},
                "left_out": dict(members.left_out),
                "files": [str(file) for file in files],
            }
        )
        return
    for band, without in members.left_out.items():
        agreed = counted(len(members.of(band)), "account")
        words = band.replace("_", " ")
        say(f"{words}: {agreed} may be written to; {without:,} did not agree ({consent}).")
    for file in files:
        say(f"  {file}")


def patterns(
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_page: PageOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find what accounts that left, or stayed, have in common.

    Patterns are found on earlier dates and checked on the test dates.

    Example: tenure patterns --page
    """
    from pipeline.console import print_json
    from pipeline.jobs.patterns import pattern_report
    from pipeline.jobs.report import write_pattern_page
    from pipeline.reports.patterns import pattern_json, pattern_lines

    workspace, chosen = open_project(project, target)
    report = pattern_report(workspace, chosen)
    page = write_pattern_page(workspace, chosen, report) if as_page else None
    if as_json:
        print_json({**pattern_json(report), "page": None if page is None else str(page)})
    elif page is not None:
        say(page)
    else:
        show(pattern_lines(report))


def trajectory(
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: RunDateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find sudden drops and slow declines, and project scores.

    Compares every account with its own past, and says whether it will grow, stay or leave.

    Example: tenure trajectory --json
    """
    from models.target_words import TARGET_WORDS
    from pipeline.console import print_json
    from pipeline.engine.duckdb import connected
    from pipeline.jobs.trajectory import trajectory_target
    from pipeline.reports.trajectory import trajectory_json, trajectory_lines

    workspace, chosen = open_project(project, target)
    with workspace.store.writing(), connected() as connection:
        trajectories = trajectory_target(workspace, connection, chosen, day_of(as_of))
    if as_json:
        print_json(trajectory_json(trajectories.accounts, trajectories.summary))
        return
    show(
        trajectory_lines(
            trajectories.accounts,
            trajectories.summary,
            trajectories.people,
            TARGET_WORDS[chosen.kind].verb,
        )
    )


def postmortem(
    account: Annotated[
        str | None,
        typer.Argument(help="Account id or name that left; default: all that left in the month."),
    ] = None,
    month: Annotated[
        datetime | None,
        typer.Option(
            "--month",
            formats=["%Y-%m"],
            metavar="YYYY-MM",
            help="Month to report; default: the last whole one before the current run, of one"
            " account the year before it.",
        ),
    ] = None,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say who was warned before each account left, and when.

    First warning, days of notice, path of the score, what was known, what was tried, and the rule
    that came nearest.

    Example: tenure postmortem --month 2025-05
    """
    from pipeline.console import print_json
    from pipeline.jobs.postmortem import post_mortems, span_of
    from pipeline.reports.postmortem import account_lines, month_lines

    workspace, chosen = open_project(project, target)
    first, until = span_of(workspace, chosen, day_of(month), whole_year=account is not None)
    lost = post_mortems(workspace, chosen, first, until, account)
    if as_json:
        print_json({"from": first, "until": until, "accounts": lost})
        return
    words = f"from {first} on and before {until}"
    for line in account_lines(lost[0]) if account is not None else month_lines(lost, words):
        say(line)
