"""Commands for operators: the night, how things stand, and whether the record of it is whole."""

from typing import Annotated

import typer

from pipeline.cli.options import (
    HERE,
    AsOfOption,
    BackfillOption,
    DataOption,
    JsonOption,
    ProjectOption,
    TargetOption,
    day_of,
    open_project,
)
from pipeline.edge.terminal import say

LISTED_RUNS = 20


def night(
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    backfill: BackfillOption = False,
    as_json: JsonOption = False,
) -> None:
    """Do what a schedule should: stage, score, publish, draw.

    For every target with a model in use, or for one: forecasts and pages, too. A night that was
    killed goes on at the first step that is not done; the same tables, settings and model are not
    computed again.

    Example: tenure night --data exports/
    """
    from pipeline.console import DatedStory, print_json
    from pipeline.flow import run_night
    from pipeline.ledger import plain_run

    workspace, chosen = open_project(project, target, data)
    whole = run_night(
        workspace,
        None if target is None else chosen,
        DatedStory(workspace.moment, quiet=as_json),
        day_of(as_of),
        backfill=backfill,
    )
    if as_json:
        print_json(
            {
                "exit_code": whole.exit_code,
                "steps": list(whole.steps),
                "runs": [plain_run(run) for run in whole.published],
            }
        )
    if whole.exit_code:
        raise typer.Exit(whole.exit_code)


def publish(
    project: ProjectOption = HERE,
    target: TargetOption = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of the file of a run.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Copy what was published to PostgreSQL, or to a file.

    Where [publish] of tenure.toml says. Whatever the store no longer holds goes there, too.

    Example: tenure publish
    """
    from pipeline.console import print_json
    from pipeline.jobs.publish import copy_lines, publish_copies
    from pipeline.publish.document import document_schema

    if schema:
        print_json(document_schema())
        return
    workspace, chosen = open_project(project, target)
    with workspace.store.writing():
        copies = publish_copies(workspace, chosen)
    if as_json:
        print_json(copies)
        return
    for line in copy_lines(copies):
        say(line)


def watch(
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    every: Annotated[
        float, typer.Option("--every", min=1, metavar="SECONDS", help="From one tick to the next.")
    ] = 60,
    ticks: Annotated[
        int | None, typer.Option("--ticks", min=1, help="End after so many; default: never.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show how the coming midnight's scores move as rows arrive.

    Each tick reads the sources that changed. Its scores are provisional: they stand in the table
    provisional_scores, and nothing learns from them or is judged by them. With --json each tick is
    one line.

    Example: tenure watch --every 300
    """
    import json
    import time

    from pipeline.console import DatedStory, tick_json, tick_lines
    from pipeline.jobs.watch import watch_tick

    workspace, chosen = open_project(project, target, data)
    story = DatedStory(workspace.moment, quiet=as_json)
    ticked = 0
    while True:
        tick = watch_tick(workspace, chosen)
        for line in tick_lines(tick):
            story("tick", line)
        if as_json:
            say(json.dumps(tick_json(tick)))
        ticked += 1
        if ticked == ticks:
            return
        time.sleep(every)


def status(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Say whether scores are fresh, and what to do if not.

    Exit code 0 if every target is fresh, 3 if one is late, refused or stopped.

    Example: tenure status
    """
    from pipeline.console import print_json, status_lines
    from pipeline.jobs.night_steps import statuses

    workspace, _ = open_project(project)
    states = statuses(workspace)
    if as_json:
        print_json(list(states))
    else:
        for line in status_lines(states):
            say(line)
    if not all(each.is_fresh for each in states):
        raise typer.Exit(3)


def runs(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """List runs, and nights that published nothing.

    Example: tenure runs
    """
    from pipeline.console import print_json, run_lines
    from pipeline.jobs.night_steps import listed_runs

    workspace, _ = open_project(project)
    listed = listed_runs(workspace)
    if as_json:
        print_json(listed)
        return
    for line in run_lines(listed[:LISTED_RUNS]):
        say(line)
    if len(listed) > LISTED_RUNS:
        say(f"{len(listed) - LISTED_RUNS:,} older ones: --json")


def ledger_verify(
    project: ProjectOption = HERE,
    head: Annotated[
        str | None,
        typer.Option(
            "--head", metavar="HASH", help="A head noted elsewhere: it must stand in the ledger."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check that runs, published tables and pages are as written.

    Exit code 1 names each row, table or file that was changed.

    Example: tenure ledger verify --head 3f9c0a12
    """
    from pipeline.artefacts import verify_all
    from pipeline.console import ledger_lines, print_json

    workspace, _ = open_project(project)
    checked = verify_all(workspace, head)
    if as_json:
        print_json(checked)
    else:
        for line in ledger_lines(checked):
            say(line)
    if checked.problems:
        raise typer.Exit(1)
