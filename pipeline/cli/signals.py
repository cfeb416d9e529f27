"""`tenure features` and what it prints of signals."""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import (
    HERE,
    AsOfOption,
    DataOption,
    EngineOption,
    JsonOption,
    ProjectOption,
    TargetOption,
    day_of,
    open_project,
)


def features(
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    engine: EngineOption = "duckdb",
    catalogue: Annotated[
        bool, typer.Option("--catalogue", help="Print every signal and what it means.")
    ] = False,
    metrics: Annotated[
        bool,
        typer.Option(
            "--metrics",
            help="Print churn, retention, revenue, use and NPS by quarter, the way to "
            "first value, where people get stuck (on --as-of), and signals that lost their link, "
            "from the staged tables.",
        ),
    ] = False,
    value: Annotated[
        bool,
        typer.Option(
            "--value",
            help="Print what each measure is worth out of time, from the features in the "
            "store; the test is not read.",
        ),
    ] = False,
    search: Annotated[
        bool,
        typer.Option(
            "--search",
            help="Look for ratios of two signals that say what the others do not, out "
            "of time and beyond chance; prints the lines for tenure.toml.",
        ),
    ] = False,
) -> None:
    """Build snapshots, labels and features from the staged tables.

    Example: tenure features --target churn_90d
    """
    from pipeline.console import Story, print_json
    from pipeline.engine.duckdb import connected
    from pipeline.jobs.prepare import prepare_training
    from pipeline.jobs.run import tell_features, tell_stage
    from pipeline.jobs.stage import stage_sources

    if catalogue:
        from features.catalogue import catalogue_text

        typer.echo(catalogue_text())
        return
    if metrics:
        _print_metrics(project, data, target, day_of(as_of), as_json=as_json)
        return
    if value:
        _print_values(project, data, target, as_json=as_json)
        return
    if search:
        _print_search(project, data, target, as_json=as_json)
        return
    workspace, chosen = open_project(project, data, target, engine)
    story = Story(quiet=as_json)
    with workspace.store.writing(), connected() as connection:
        tell_stage(story, stage_sources(workspace, connection))
        counts = prepare_training(workspace, connection, chosen)
    tell_features(story, chosen, counts)
    if as_json:
        print_json(counts)


def _print_values(project: Path, data: Path | None, target: str | None, *, as_json: bool) -> None:
    """`features --value`: on the rows and the validation dates that training uses."""
    from models.selection import measure_values
    from pipeline.console import print_json
    from pipeline.jobs.prepare import load_training
    from pipeline.jobs.train import plan_of
    from pipeline.reports.selection import selection_text

    workspace, chosen = open_project(project, data, target)
    found = measure_values(load_training(workspace, chosen)[0], plan_of(workspace, chosen))
    if as_json:
        print_json({"measures": found.to_dict("records")})
        return
    typer.echo(selection_text(found))


def _print_search(project: Path, data: Path | None, target: str | None, *, as_json: bool) -> None:
    """`features --search`: on the rows and the validation dates that training uses."""
    from models.ratios import search_ratios
    from pipeline.console import print_json
    from pipeline.jobs.prepare import load_training
    from pipeline.jobs.train import plan_of
    from pipeline.reports.ratios import declaration, search_text

    workspace, chosen = open_project(project, data, target)
    searched = search_ratios(load_training(workspace, chosen)[0], plan_of(workspace, chosen))
    if as_json:
        found = searched.found.to_dict("records")
        print_json(
            {
                "tried": searched.ratios.to_dict("records"),
                "found": [{**row, "toml": declaration(row)} for row in found],
            }
        )
        return
    typer.echo(search_text(searched))


def _print_metrics(
    project: Path, data: Path | None, target: str | None, as_of: date | None, *, as_json: bool
) -> None:
    """`features --metrics`: what was staged last is enough."""
    from pipeline.console import print_json
    from pipeline.engine.duckdb import connected
    from pipeline.jobs.take_metrics import take_metrics
    from pipeline.reports.metrics import metrics_text

    workspace, chosen = open_project(project, data, target)
    with workspace.store.writing(), connected() as connection:
        taken = take_metrics(workspace, connection, chosen, as_of)
    if as_json:
        tables = {
            "metrics": taken.metrics,
            "first_value": taken.first_value,
            "stuck": taken.stuck,
            "signal_links": taken.links,
        }
        print_json(
            {
                name: None if table is None else table.to_dict("records")
                for name, table in tables.items()
            }
        )
        return
    typer.echo(metrics_text(taken, chosen))
