"""Commands about signals and what they say of all accounts: features, catalogue, metrics, worth,
ratios.
"""

from pipeline.cli.options import (
    HERE,
    DataOption,
    EngineOption,
    JsonOption,
    MetricsDateOption,
    ProjectOption,
    TargetOption,
    day_of,
    open_project,
    project_if_any,
)
from pipeline.edge.terminal import say


def features(
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    engine: EngineOption = "duckdb",
    as_json: JsonOption = False,
) -> None:
    """Build the signals and outcomes that models learn from.

    Example: tenure features --target churn_90d
    """
    from pipeline.console import Story, print_json
    from pipeline.engine.duckdb import connected
    from pipeline.jobs.prepare import prepare_training
    from pipeline.jobs.run import tell_features, tell_stage
    from pipeline.jobs.stage import stage_sources

    workspace, chosen = open_project(project, target, data, engine)
    story = Story(quiet=as_json)
    with workspace.store.writing(), connected() as connection:
        tell_stage(story, stage_sources(workspace, connection))
        counts = prepare_training(workspace, connection, chosen)
    tell_features(story, chosen, counts)
    story.end()
    if as_json:
        print_json(counts)


def catalogue(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Print every signal and what it means.

    Example: tenure catalogue
    """
    from dataclasses import asdict

    from features.catalogue import DEFAULT_WINDOWS, catalogue_text, entries
    from pipeline.console import print_json

    declared = project_if_any(project)
    window_days = DEFAULT_WINDOWS if declared is None else declared.features.window_days
    if as_json:
        print_json([asdict(entry) for entry in entries(window_days)])
        return
    say(catalogue_text(window_days))


def metrics(
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: MetricsDateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show churn, retention, revenue, use and NPS by quarter.

    Also the way to first value, where people get stuck, and signals that lost their link to the
    outcome. All are worked out from the tables that were staged last.

    Example: tenure metrics --as-of 2025-02-16
    """
    from pipeline.console import print_json
    from pipeline.engine.duckdb import connected
    from pipeline.jobs.take_metrics import take_metrics
    from pipeline.reports.metrics import metrics_text

    workspace, chosen = open_project(project, target)
    with workspace.store.writing(), connected() as connection:
        taken = take_metrics(workspace, connection, chosen, day_of(as_of))
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
    say(metrics_text(taken, chosen))


def worth(
    project: ProjectOption = HERE, target: TargetOption = None, as_json: JsonOption = False
) -> None:
    """Show what each measure is worth on later dates.

    Reads the features in the store, never the test.

    Example: tenure worth
    """
    from models.selection import measure_values
    from pipeline.console import print_json
    from pipeline.jobs.prepare import load_training
    from pipeline.jobs.train import plan_of
    from pipeline.reports.selection import selection_text

    workspace, chosen = open_project(project, target)
    values = measure_values(load_training(workspace, chosen)[0], plan_of(workspace, chosen))
    if as_json:
        print_json({"measures": values.to_dict("records")})
        return
    say(selection_text(values))


def ratios(
    project: ProjectOption = HERE, target: TargetOption = None, as_json: JsonOption = False
) -> None:
    """Look for ratios that say more than their two signals.

    Each is tried on dates and accounts not used to choose it, and must beat chance. Prints
    the lines for tenure.toml.

    Example: tenure ratios
    """
    from models.ratios import search_ratios
    from pipeline.console import print_json
    from pipeline.jobs.prepare import load_training
    from pipeline.jobs.train import plan_of
    from pipeline.reports.ratios import declaration, search_text

    workspace, chosen = open_project(project, target)
    search = search_ratios(load_training(workspace, chosen)[0], plan_of(workspace, chosen))
    if as_json:
        print_json(
            {
                "tried": search.ratios.to_dict("records"),
                "found": [
                    {**row, "toml": declaration(row)}
                    for row in search.beyond_chance.to_dict("records")
                ],
            }
        )
        return
    say(search_text(search))
