"""Commands that set a project up and run it whole."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import (
    HERE,
    AgainOption,
    AsOfOption,
    DataOption,
    EngineOption,
    JsonOption,
    PagesOption,
    ProjectOption,
    TargetOption,
    day_of,
    open_project,
    project_if_any,
)
from pipeline.edge.terminal import say

if TYPE_CHECKING:
    from pipeline.flow import WholeRun


def init(
    location: Annotated[
        str | None, typer.Argument(help="Folder with your tables, or a postgresql:// address.")
    ] = None,
    project: ProjectOption = HERE,
    data: DataOption = None,
    contract: Annotated[
        bool,
        typer.Option("--contract", help="Print the columns we need and a SELECT for each table."),
    ] = False,
    account: Annotated[
        str | None, typer.Option(help="Column with the account ids, if init cannot tell.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an existing tenure.toml.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Propose a tenure.toml from your tables.

    Example: tenure init exports/ --project .
    """
    from features.errors import ConfigError
    from pipeline.console import print_json
    from pipeline.proposing import contract_text, propose

    if contract:
        if as_json:
            print_json({"contract": contract_text()})
        else:
            say(contract_text())
        return
    file = project / "tenure.toml"
    if file.exists() and not force:
        raise ConfigError(
            f"{file} already exists. Move it, choose another --project, or replace it with --force."
        )
    proposal = propose(location or str(data or project), data, project, account=account)
    project.mkdir(parents=True, exist_ok=True)
    file.write_text(proposal.toml, encoding="utf-8")
    if as_json:
        print_json({"file": str(file), "unguessed": list(proposal.unguessed)})
        return
    say(f"wrote {file}")
    for line in proposal.unguessed:
        say(f"  not guessed: {line}")
    say("next: read the file, then `tenure check`.")


def check(
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check your tables the way a careful analyst would.

    Example: tenure check --data exports/
    """
    from pipeline.checking import check_sources, check_text, refuse_training
    from pipeline.console import print_json
    from pipeline.engine.duckdb import connected
    from pipeline.jobs.stage import stage_sources

    workspace, chosen = open_project(project, target, data)
    with workspace.store.writing(), connected() as connection:
        stage_sources(workspace, connection)
        report = check_sources(workspace, connection, chosen)
    if as_json:
        print_json(report.to_dict())
    else:
        say(check_text(report))
    refuse_training(report, is_trained=False)


def run(
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    engine: EngineOption = "duckdb",
    every_target: Annotated[
        bool,
        typer.Option("--every-target", help="Do this for all targets of the project, in order."),
    ] = False,
    pages: PagesOption = "none",
    again: AgainOption = False,
) -> None:
    """Do everything, from reading your tables to writing the pages.

    Where what a model learns from did not change, none is trained.

    Stage, features, train, evaluate, promote, score, report; `tenure flow` prints each step.

    Example: tenure run --data exports/
    """
    from features.errors import ConfigError
    from pipeline.console import Story, print_json
    from pipeline.flow import run_flows

    if every_target and target is not None:
        raise ConfigError(
            f"--every-target and --target {target} exclude each other: leave one out."
        )
    workspace, chosen = open_project(project, target, data, engine)
    targets = workspace.project.targets if every_target else (chosen,)
    story = Story(quiet=as_json)
    runs = run_flows(workspace, targets, story, day_of(as_of), pages, is_again=again)
    story.end()
    if as_json:
        by_target = {each.name: _run_json(run) for each, run in zip(targets, runs, strict=True)}
        print_json(by_target if every_target else by_target[chosen.name])


def _run_json(run: "WholeRun") -> dict[str, Any]:
    from pipeline.ledger import plain_run

    return {
        "evaluation": {} if run.evaluation is None else run.evaluation.to_dict(),
        "refused": run.refused,
        "run": plain_run(run.published.run),
        "pages": [str(page) for page in run.pages],
    }


def demo(
    accounts: Annotated[
        int, typer.Option("--accounts", min=50, help="Number of customers ever signed.")
    ] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the simulated company.")] = 1,
    project: Annotated[Path, typer.Option("--project", help="Folder to make.")] = Path("demo"),
    as_exported: Annotated[
        bool,
        typer.Option("--as-exported", help="Add the faults of a typical CRM export to the tables."),
    ] = False,
    yearly_churn: Annotated[
        float | None,
        typer.Option(
            "--yearly-churn",
            min=0.02,
            max=0.6,
            help="Share of customers that leave in a year; default: the company's own.",
        ),
    ] = None,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    pages: PagesOption = "at-risk",
    as_json: JsonOption = False,
) -> None:
    """Simulate a company and do a whole run on it.

    Example: tenure demo --accounts 1000
    """
    from pipeline.console import Story, print_json
    from pipeline.flow import run_flow
    from pipeline.jobs.report import first_to_call
    from pipeline.simulate import WorldOptions, simulate, write_world

    story = Story(quiet=as_json)
    write_world(
        simulate(
            accounts, seed, options=WorldOptions(as_exported=as_exported, yearly_churn=yearly_churn)
        ),
        project,
    )
    story("simulate", f"a company of {accounts:,} customers (seed {seed}) in {project}")
    workspace, chosen = open_project(project, target)
    run = run_flow(workspace, chosen, story, day_of(as_of), pages)
    story.end()
    if as_json:
        print_json(_run_json(run))
        return
    with workspace.store.writing():
        first = first_to_call(workspace, chosen, run.published)
    if first is not None:
        story("next", f"tenure explain {first} --project {project}")
        story(
            "plays",
            f"tenure worklist --project {project}: who gets which; tenure effects: what they do",
        )


def data_use(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Print which fields are read, why, how long, and what leaves.

    Example: tenure data-use --project crm
    """
    from pipeline.console import print_json
    from pipeline.jobs.data_use import data_use as statement_of
    from pipeline.jobs.data_use import data_use_markdown

    workspace, _ = open_project(project)
    statement = statement_of(workspace)
    if as_json:
        print_json(statement)
    else:
        say(data_use_markdown(statement).rstrip())


def flow(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Print the steps of a run, and what each reads and writes.

    Example: tenure flow
    """
    from pipeline.console import print_json
    from pipeline.flow import flow_of, flow_text

    steps = flow_of(project_if_any(project))
    if as_json:
        print_json([step.to_dict() for step in steps])
    else:
        say(flow_text(steps))
