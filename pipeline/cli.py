"""The command line: arguments in, a job, words or JSON out. Heavy imports load inside the
commands.
"""

import os
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from features.errors import ChurnError

if TYPE_CHECKING:
    from pipeline.config.schema import Target
    from pipeline.workspace import Workspace

app = typer.Typer(
    name="tenure",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help=(
        "Which accounts will leave or grow, how sure that is, why, and what to do.\n\nExit codes: 0"
        " done, 1 fault, 2 wrong use, 3 refused by a gate."
    ),
)
model_app = typer.Typer(
    no_args_is_help=True, help="Carry a model to another machine as text and JSON."
)
app.add_typer(model_app, name="model")

ProjectOption = Annotated[Path, typer.Option("--project", help="Folder with tenure.toml.")]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Folder that relative source locations start from.")
]
TargetOption = Annotated[
    str | None, typer.Option("--target", help="Name of the target; default: the first.")
]
AsOfOption = Annotated[
    datetime | None, typer.Option("--as-of", formats=["%Y-%m-%d"], help="Date, 00:00 UTC.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Standard output holds only JSON.")]
EngineOption = Annotated[
    Literal["duckdb", "spark"],
    typer.Option("--engine", help="What adds facts up to features: both give the same table."),
]
HERE = Path(".")


def now() -> datetime:
    """The moment the command was started; read here and nowhere else."""
    return datetime.now(UTC).replace(tzinfo=None)


def open_project(
    project: Path,
    data: Path | None,
    target: str | None,
    engine: Literal["duckdb", "spark"] = "duckdb",
) -> "tuple[Workspace, Target]":
    """The workspace of a command and its target."""
    from pipeline.workspace import open_workspace

    if engine == "spark":
        from pipeline.engine.spark import require_spark

        require_spark()  # before anything is staged
    workspace = open_workspace(project.resolve(), data, now(), engine)
    return workspace, workspace.target(target)


def _day(as_of: datetime | None) -> date | None:
    return as_of.date() if as_of else None


@app.command()
def init(
    location: Annotated[
        str | None, typer.Argument(help="Folder with your tables, or a postgresql:// address.")
    ] = None,
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    contract: Annotated[
        bool, typer.Option("--contract", help="Print the wanted columns and a SELECT per table.")
    ] = False,
    account: Annotated[
        str | None, typer.Option(help="Column that names the accounts, where init cannot tell.")
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
        typer.echo(contract_text())
        return
    file = project / "tenure.toml"
    if file.exists() and not force:
        raise ConfigError(
            f"{file} exists. Move it away, choose another --project, or replace it with --force."
        )
    proposal = propose(location or str(data or project), data, project, account=account)
    project.mkdir(parents=True, exist_ok=True)
    file.write_text(proposal.toml, encoding="utf-8")
    if as_json:
        print_json({"file": str(file), "unguessed": list(proposal.unguessed)})
        return
    typer.echo(f"wrote {file}")
    for line in proposal.unguessed:
        typer.echo(f"  not guessed: {line}")
    typer.echo("next: read the file, then `tenure check`.")


@app.command()
def check(
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read the sources and say what a careful analyst would ask.

    Example: tenure check --data exports/
    """
    from pipeline.checking import check_sources, check_text, refuse_training
    from pipeline.console import print_json
    from pipeline.engine.duckdb import connected
    from pipeline.jobs.stage import stage_sources

    workspace, chosen = open_project(project, data, target)
    with workspace.store.writing(), connected() as connection:
        stage_sources(workspace, connection)
        report = check_sources(workspace, connection, chosen)
    if as_json:
        print_json(report.to_dict())
    else:
        typer.echo(check_text(report))
    refuse_training(report)


@app.command()
def run(
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    engine: EngineOption = "duckdb",
    every_target: Annotated[
        bool, typer.Option("--every-target", help="All targets of the project, in their order.")
    ] = False,
) -> None:
    """Run the whole flow: stage, features, train, evaluate, promote, score, report.

    Example: tenure run --data exports/
    """
    from features.errors import ConfigError
    from pipeline.console import Story, print_json
    from pipeline.jobs.run import run_flows

    if every_target and target is not None:
        raise ConfigError(
            f"--every-target and --target {target} exclude each other: leave one out."
        )
    workspace, chosen = open_project(project, data, target, engine)
    targets = workspace.project.targets if every_target else (chosen,)
    done = run_flows(workspace, targets, Story(quiet=as_json), _day(as_of))
    if as_json:
        told = [_told_run(each) for each in done]
        print_json(
            {t.name: each for t, each in zip(targets, told, strict=True)}
            if every_target
            else told[0]
        )


def _told_run(done: Any) -> dict[str, Any]:
    return {
        "evaluation": dict(done.evaluation),
        "refused": done.refused,
        "run": done.published.run,
        "pages": [str(p) for p in done.pages],
    }


@app.command()
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
        _print_metrics(project, data, target, _day(as_of), as_json=as_json)
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


@app.command()
def train(
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="A date; with --table the COLUMN that dates rows.")
    ] = None,
    as_json: JsonOption = False,
    table: Annotated[
        Path | None,
        typer.Option(
            "--table",
            help="Train on this ready feature table (Parquet, CSV) instead of "
            "the features in the store; needs no tenure.toml.",
        ),
    ] = None,
    label: Annotated[
        str | None, typer.Option("--label", help="Column of the outcome; two values.")
    ] = None,
    positive: Annotated[
        str | None,
        typer.Option("--positive", help="Label value of the event; default 1, true, yes."),
    ] = None,
    account: Annotated[
        str | None, typer.Option("--account", help="Column that names the accounts.")
    ] = None,
    horizon_days: Annotated[
        int | None,
        typer.Option("--horizon-days", help="Days from --as-of until the label was complete."),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option("--drop", metavar="COLUMN", help="Leave a column out; repeat."),
    ] = None,
    waive: Annotated[
        list[str] | None,
        typer.Option(
            "--waive",
            metavar="COLUMN=REASON",
            help="Keep a column the leakage audit refuses; the reason is recorded.",
        ),
    ] = None,
    test_share: Annotated[
        float | None, typer.Option("--test-share", help="Share of rows held out; default 0.2.")
    ] = None,
    trials: Annotated[
        int | None, typer.Option("--trials", min=0, help="Trials of the search, with --table.")
    ] = None,
) -> None:
    """Tune, calibrate and register a candidate.

    Example: tenure train --table accounts.csv --label churned --account id
    """
    from pipeline.console import Story, print_json

    given = {
        "--label": label,
        "--positive": positive,
        "--account": account,
        "--horizon-days": horizon_days,
        "--drop": drop,
        "--waive": waive,
        "--test-share": test_share,
        "--trials": trials,
    }
    if table is not None:
        _train_table(
            table, project, data, target, as_of, given, Story(quiet=as_json), as_json=as_json
        )
        return
    from pipeline.jobs.run import refuse_leaking_store, tell_training
    from pipeline.jobs.train import train_target

    _refuse_table_options(as_of, given)
    workspace, chosen = open_project(project, data, target)
    story = Story(quiet=as_json)
    with workspace.store.writing():
        refuse_leaking_store(workspace, chosen)
        trained = train_target(workspace, chosen)
    tell_training(story, trained)
    if as_json:
        print_json(
            {
                "version": trained.version,
                "model_version": trained.bundle.model_version,
                "training": dict(trained.bundle.model.training),
                "scale": trained.bundle.scale.to_dict(),
            }
        )


def _train_table(
    table: Path,
    project: Path,
    data: Path | None,
    target: str | None,
    as_of: str | None,
    given: dict[str, Any],
    story: Any,
    *,
    as_json: bool,
) -> None:
    """`train --table`: no store and no target of the project file takes part."""
    from features.errors import ConfigError
    from models.table import TableOptions
    from pipeline.console import print_json
    from pipeline.jobs.train_table import parse_waivers, table_job, train_table

    if target is not None:
        raise ConfigError(
            f"--target {target} names a target of tenure.toml; with --table the outcome is --label"
            " COLUMN."
        )
    if given["--label"] is None:
        raise ConfigError(
            f"--table {table} needs --label COLUMN, the column that holds the outcome."
        )
    share = given["--test-share"]
    options = TableOptions(
        label=given["--label"],
        positive=given["--positive"],
        account=given["--account"],
        as_of=as_of,
        horizon_days=given["--horizon-days"],
        drop=tuple(given["--drop"] or ()),
        waivers=parse_waivers(given["--waive"] or ()),
        test_share=0.2 if share is None else share,
    )
    job = table_job(
        table, options, project.resolve(), now(), data_dir=data, trials=given["--trials"]
    )
    done = train_table(job, story)
    if as_json:
        print_json(dict(done.evaluation))


def _refuse_table_options(as_of: str | None, given: dict[str, Any]) -> None:
    """Options of `--table` without it would be ignored in silence."""
    from features.errors import ConfigError

    named = [name for name, value in given.items() if value is not None]
    if named:
        raise ConfigError(
            f"{', '.join(named)} go{'es' if len(named) == 1 else ''} with --table FILE. Without it"
            " `train` learns from the features in the store, as tenure.toml says."
        )
    if as_of is not None:
        try:
            date.fromisoformat(as_of)
        except ValueError as error:
            raise ConfigError(
                f"--as-of {as_of!r} is no date like 2025-06-01; a column that dates rows goes with "
                "--table FILE."
            ) from error


@app.command()
def evaluate(
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge the newest candidate on the untouched test.

    Example: tenure evaluate --json
    """
    from models.gates import verdict
    from pipeline.console import Story, print_json
    from pipeline.jobs.evaluate import evaluate_target
    from pipeline.jobs.run import tell_beside, tell_evaluation

    workspace, chosen = open_project(project, data, target)
    story = Story(quiet=as_json)
    with workspace.store.writing():
        found = evaluate_target(workspace, chosen)
    tell_evaluation(story, found)
    tell_beside(story, found)
    for gate in found["gates"]:
        story("gate", f"{verdict(gate)}  {gate['name']}: {gate['reason']}")
    if as_json:
        print_json(found)


@app.command()
def bench(
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare all methods on one out-of-time test and name the smallest adequate one. Example:
    tenure bench
    """
    from pipeline.console import Story, print_json
    from pipeline.jobs.bench import bench_target
    from pipeline.reports.bench import WIDTH, bench_json, bench_lines

    workspace, chosen = open_project(project, data, target)
    story = Story(quiet=True)
    with workspace.store.writing():
        result = bench_target(
            workspace,
            chosen,
            lambda name, seconds: story("bench", f"{name} fitted in {seconds:.2f} s"),
        )
    if as_json:
        print_json(bench_json(result, chosen.name))
        return
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    for line in bench_lines(result):
        console.print(line)


@app.command()
def promote(
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    acknowledge: Annotated[
        str | None, typer.Option("--acknowledge", help="Why the scale's problems are accepted.")
    ] = None,
    scorecard: Annotated[
        bool, typer.Option("--scorecard", help="Publish the scorecard instead of the model.")
    ] = False,
    label: Annotated[
        str | None,
        typer.Option(
            "--label",
            metavar="COLUMN",
            help="The candidate that `train --table` made for "
            "this label, instead of a target's; needs no tenure.toml.",
        ),
    ] = None,
) -> None:
    """Put the candidate to use if it passes the gates.

    Example: tenure promote
    """
    from pipeline.console import print_json
    from pipeline.jobs.bench_advice import NO_BENCH
    from pipeline.jobs.promote import candidate_advice, promote_target

    if label is not None:
        _promote_table(
            label, project, target, acknowledge, use_scorecard=scorecard, as_json=as_json
        )
        return
    workspace, chosen = open_project(project, data, target)
    with workspace.store.writing():
        advice = candidate_advice(workspace, chosen, use_scorecard=scorecard)
        if not as_json:  # before the gates: who reads a refusal wants it, too
            typer.echo(NO_BENCH if advice is None else advice.words)
        done = promote_target(workspace, chosen, acknowledge=acknowledge, use_scorecard=scorecard)
    if as_json:
        print_json(
            {
                "version": done.version,
                "basis": done.basis,
                "reasons": list(done.reasons),
                "bench": None if advice is None else advice.to_dict(),
            }
        )
        return
    typer.echo(f"version {done.version} of {chosen.name} is in use ({done.basis}).")
    for reason in done.reasons:
        typer.echo(f"  {reason}")


def _promote_table(
    label: str,
    project: Path,
    target: str | None,
    acknowledge: str | None,
    *,
    use_scorecard: bool,
    as_json: bool,
) -> None:
    """`promote --label`: no store and no target of the project file takes part."""
    from features.errors import ConfigError
    from pipeline.console import print_json
    from pipeline.jobs.promote_table import promote_table

    if target is not None:
        raise ConfigError(
            f"--target {target} names a target of tenure.toml; --label {label} a model of `train"
            " --table`. Name one of them."
        )
    done = promote_table(
        project.resolve(), label, acknowledge=acknowledge, use_scorecard=use_scorecard
    )
    promotion, address = done.promotion, f"models:/{done.registered}@champion"
    if as_json:
        print_json(
            {
                "version": promotion.version,
                "basis": promotion.basis,
                "reasons": list(promotion.reasons),
                "registered_model": done.registered,
                "is_out_of_time": done.is_out_of_time,
                "notes": list(done.notes),
            }
        )
        return
    typer.echo(f"version {promotion.version} of {done.registered} is in use ({promotion.basis}).")
    for line in (*promotion.reasons, *done.notes, f"MLflow loads it as {address}"):
        typer.echo(f"  {line}")


@app.command()
def recalibrate(
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    candidate: Annotated[
        bool,
        typer.Option(
            "--candidate",
            help="Correct the candidate, which the gates refused for its level, "
            "and use it if it then passes them on the newest date.",
        ),
    ] = False,
) -> None:
    """Correct the level of the model in use from newer labels.

    Example: tenure recalibrate
    """
    from dataclasses import asdict

    from pipeline.console import print_json
    from pipeline.jobs.recalibrate import recalibrate_target

    workspace, chosen = open_project(project, data, target)
    with workspace.store.writing():
        done = recalibrate_target(workspace, chosen, candidate=candidate)
    if as_json:
        print_json(asdict(done))
        return
    typer.echo(done.check.words)
    if done.version is None:
        typer.echo("The calibrator stays as it is.")
    else:
        typer.echo(
            f"Version {done.version} of {chosen.name} is in use: log loss on the newest date"
            f" {done.log_loss_after:.4f}, before {done.log_loss_before:.4f}."
        )


@app.command()
def score(
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    candidate: Annotated[
        bool, typer.Option("--candidate", help="Score with the candidate, not the model in use.")
    ] = False,
    allow_stale: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-stale",
            metavar="SOURCE",
            help="Score although this source is stale; its accounts become unknown.",
        ),
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why stale sources are accepted; recorded.")
    ] = None,
    accept_shift: Annotated[
        str | None,
        typer.Option(
            "--accept-shift",
            metavar="REASON",
            help="Publish although the scores "
            "moved more than score.largest_shift; the reason is recorded.",
        ),
    ] = None,
    explain_scale: Annotated[
        bool,
        typer.Option(
            "--explain-scale",
            help="Score nothing; print what each ten points promise and what the test saw.",
        ),
    ] = False,
) -> None:
    """Score, explain and publish every account of one date.

    Example: tenure score --as-of 2025-06-01
    """
    from features.errors import ConfigError
    from pipeline.console import Story
    from pipeline.engine.duckdb import connected
    from pipeline.jobs.report import write_reports
    from pipeline.jobs.run import tell_score, tell_stage
    from pipeline.jobs.score import score_target
    from pipeline.jobs.stage import stage_sources

    if allow_stale and not reason:
        raise ConfigError("--allow-stale needs --reason TEXT: it is recorded with the run.")
    workspace, chosen = open_project(project, data, target)
    if explain_scale:
        _print_scale(workspace, chosen, use_candidate=candidate, as_json=as_json)
        return
    story = Story(quiet=as_json)
    with workspace.store.writing(), connected() as connection:
        tell_stage(story, stage_sources(workspace, connection, keep=allow_stale or []))
        published = score_target(
            workspace,
            connection,
            chosen,
            _day(as_of),
            use_candidate=candidate,
            allow_stale={name: str(reason) for name in allow_stale or []},
            accept_shift=accept_shift,
        )
        pages = write_reports(workspace, chosen, published)
    tell_score(story, published)
    story("look", f"{pages[0]}  {pages[1].name}  {pages[2].name}; next: tenure explain ACCOUNT")
    if as_json:
        from pipeline.console import print_json

        print_json({"run": published.run, "pages": [str(p) for p in pages]})


def _print_scale(
    workspace: "Workspace", target: "Target", *, use_candidate: bool, as_json: bool
) -> None:
    """`score --explain-scale`: nothing is scored or written."""
    from pipeline.console import print_json, scale_lines
    from pipeline.jobs.explain_scale import explain_scale
    from pipeline.reports.portfolio import EVENT_WORDS

    found = explain_scale(workspace, target, use_candidate=use_candidate)
    if as_json:
        print_json(found.to_dict())
        return
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    for line in scale_lines(found, EVENT_WORDS[target.kind][0]):
        console.print(line)


@app.command()
def rollback(
    run_id: Annotated[str, typer.Argument(help="Run to go back to, or the start of its id.")],
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an earlier run the current one again.

    Example: tenure rollback 3f9c0a
    """
    from pipeline.console import print_json
    from pipeline.ledger import roll_back

    workspace, _ = open_project(project, data, target)
    with workspace.store.writing():
        superseded = roll_back(workspace.store, run_id, workspace.now)
    if as_json:
        print_json({"superseded": superseded})
    else:
        typer.echo(
            f"readers see run {run_id} again; superseded: {', '.join(superseded) or 'none'}. The"
            " pages still show the run they were drawn for; `tenure score --as-of DATE` draws them"
            " anew."
        )


@app.command()
def forget(
    account: Annotated[str, typer.Argument(help="Account id.")],
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove every row of an account from the store, for good.

    Example: tenure forget A-0000017
    """
    from pipeline.console import print_json
    from pipeline.jobs.privacy import forget_account

    workspace, _ = open_project(project, data, target)
    with workspace.store.writing():
        done = forget_account(workspace, account)
    if as_json:
        print_json({"rows": dict(done.rows), "pages": [str(page) for page in done.pages]})
        return
    typer.echo(
        f"{sum(done.rows.values()):,} rows of {account} removed from {len(done.rows)} tables, with"
        f" the tables' earlier versions; {len(done.pages)} pages that named it are gone (`tenure"
        " score` writes them anew). Delete it at the source as well, or the next staging brings it"
        " back. Runs before today can no longer be replayed."
    )


@app.command()
def explain(
    account: Annotated[str | None, typer.Argument(help="Account id or name.")] = None,
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Without an account: check for every one that points add to the "
            "score. With one: ask the model, too, which drivers another seed confirms.",
        ),
    ] = False,
    as_paragraph: Annotated[
        bool, typer.Option("--paragraph", help="A few sentences, ready for a mail or a CRM.")
    ] = False,
    as_page: Annotated[
        bool, typer.Option("--page", help="Write a one-page account brief beside the reports.")
    ] = False,
) -> None:
    """Show one account's score and its reasons.

    Example: tenure explain A-000123
    """
    from features.errors import ConfigError
    from pipeline.console import explained_text, print_json
    from pipeline.jobs.explain import check_points, explain_account
    from pipeline.jobs.point_bound import bound_words
    from pipeline.reports.portfolio import EVENT_WORDS

    workspace, chosen = open_project(project, data, target)
    if verify and account is None:
        found = check_points(workspace, chosen)
        if as_json:
            print_json(found)
        else:
            typer.echo(
                f"base and points add to the score for all {found['accounts']:,} scored accounts "
                f"(largest gap {found['largest_gap']:.1e}; displayed integers add exactly)."
            )
            typer.echo(f"{bound_words(found['bound'])}.")
        return
    if account is None:
        raise ConfigError("name an account, or check all of them with --verify.")
    explained = explain_account(workspace, chosen, account, ask_model=verify or as_page)
    if as_json:
        print_json(
            {
                "score": explained.score,
                "account": explained.account,
                "dimensions": explained.dimensions.to_dict("records"),
                "scale_sentence": explained.scale_sentence,
                "unsure_band": explained.unsure_band,
                "to_edges": explained.to_edges,
                "why": explained.why,
                "advice": explained.advice,
                "open_actions": list(explained.open_actions),
                "reasons": [
                    {"reason": reason, "points": points} for reason, points in explained.reasons
                ],
                "trajectory": (
                    None if explained.trajectory is None else dict(explained.trajectory.row)
                ),
                "reseeded_health": explained.reseeded_health,
                "drivers": explained.drivers.to_dict("records"),
            }
        )
        return
    if as_paragraph:
        from pipeline.reports.account import account_paragraph

        typer.echo(account_paragraph(explained, chosen.horizon_days, EVENT_WORDS[chosen.kind][0]))
        return
    if as_page:
        from pipeline.jobs.report import write_account_page

        typer.echo(write_account_page(workspace, chosen, explained))
        return
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    for line in explained_text(explained, chosen.horizon_days, EVENT_WORDS[chosen.kind][0]):
        console.print(line)


@app.command()
def changes(
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    first: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="RUN|DATE",
            help="The earlier run; default: the one before the later.",
        ),
    ] = None,
    last: Annotated[
        str | None,
        typer.Option("--to", metavar="RUN|DATE", help="The later run; default: the current."),
    ] = None,
    account: Annotated[
        str | None, typer.Option("--account", help="Account id or name: only why its score moved.")
    ] = None,
) -> None:
    """Split why scores moved: data, clock, behaviour, model, scale.

    Example: tenure changes --from 2025-05-04
    """
    from pipeline.console import print_json
    from pipeline.jobs.changes import find_account, find_changes
    from pipeline.jobs.history import score_history
    from pipeline.jobs.report import write_changes_page
    from pipeline.reports.changes import account_text, changes_json, changes_text

    workspace, chosen = open_project(project, data, target)
    with workspace.store.writing():
        found = find_changes(workspace, chosen, first, last)
        page = write_changes_page(workspace, chosen, found)
    one = None if account is None else find_account(found, account)
    history = [] if one is None else score_history(workspace, chosen, str(one["account_id"]))
    if as_json:
        print_json(changes_json(found, one, history))
        return
    for line in changes_text(found) if one is None else account_text(found, one, history):
        typer.echo(line)
    if one is None:
        typer.echo(f"  look: {page}")


@app.command()
def replay(
    run_id: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="Run to derive again, the start of its id, or its date."
        ),
    ],
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Derive a published run again from kept inputs; exit code 1 where a value differs. Example:
    tenure replay 3f9c0a
    """
    from pipeline.console import print_json
    from pipeline.jobs.replay import replay_run

    workspace, chosen = open_project(project, data, target)
    found = replay_run(workspace, chosen, run_id)
    if as_json:
        print_json(found.to_dict())
    else:
        for line in found.words():
            typer.echo(line)
    if found.difference is not None:
        raise typer.Exit(1)


@app.command()
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
        made = forecast_target(workspace, connection, chosen, _day(as_of), options)
    if account is not None:
        check_account(made, account)
    if as_json:
        print_json(forecast_json(made, account))
        return
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    for line in forecast_lines(made, account):
        console.print(line)


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
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
        made = trajectory_target(workspace, connection, chosen, _day(as_of))
    if as_json:
        print_json(trajectory_json(made.accounts, made.facts))
        return
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    for line in trajectory_lines(
        made.accounts, made.facts, made.people, EVENT_WORDS[chosen.kind][0]
    ):
        console.print(line)


@app.command()
def demo(
    accounts: Annotated[
        int, typer.Option("--accounts", min=50, help="Customers ever signed.")
    ] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the simulated company.")] = 1,
    project: Annotated[Path, typer.Option("--project", help="Folder to make.")] = Path("demo"),
    as_exported: Annotated[
        bool, typer.Option("--as-exported", help="Damage the tables as a CRM export would.")
    ] = False,
    yearly_churn: Annotated[
        float | None,
        typer.Option(
            "--yearly-churn",
            min=0.02,
            max=0.6,
            help="Share of customers that leaves in a year; default: the company's own.",
        ),
    ] = None,
    data: DataOption = None,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Simulate a company and run the whole flow on it.

    Example: tenure demo --accounts 1000
    """
    from pipeline.console import Story, print_json
    from pipeline.jobs.run import run_flow
    from pipeline.simulate import WorldOptions, simulate, write_world

    story = Story(quiet=as_json)
    write_world(
        simulate(
            accounts, seed, options=WorldOptions(as_exported=as_exported, yearly_churn=yearly_churn)
        ),
        project,
    )
    story("simulate", f"a company of {accounts:,} customers (seed {seed}) in {project}")
    workspace, chosen = open_project(project, data, target)
    done = run_flow(workspace, chosen, story, _day(as_of))
    if as_json:
        print_json(_told_run(done))
        return
    worst = done.published.scores.dropna(subset=["health_exact"]).sort_values(
        ["health_exact", "account_id"]
    )
    story("next", f"tenure explain {worst['account_id'].iloc[0]} --project {project}")


@app.command()
def flow(
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the steps of a run, what each reads and writes.

    Example: tenure flow
    """
    from dataclasses import asdict

    from pipeline.console import print_json
    from pipeline.flow import FLOW, flow_text

    if as_json:
        print_json([asdict(step) for step in FLOW])
    else:
        typer.echo(flow_text())


@model_app.command("export")
def model_export(
    file: Annotated[Path, typer.Argument(help="File to write, ending in .zip.")],
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the model in use to one file.

    Example: tenure model export churn.zip
    """
    from pipeline.console import print_json
    from pipeline.jobs.model_files import export_model

    workspace, chosen = open_project(project, data, target)
    version = export_model(workspace, chosen, file)
    if as_json:
        print_json({"file": str(file), "model_version": version})
    else:
        typer.echo(f"wrote {file}: model {version} of {chosen.name}.")


@model_app.command("import")
def model_import(
    file: Annotated[Path, typer.Argument(help="File that `model export` wrote.")],
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put an exported model to use here, its hashes checked.

    Example: tenure model import churn.zip
    """
    from pipeline.console import print_json
    from pipeline.jobs.model_files import import_model

    workspace, chosen = open_project(project, data, target)
    with workspace.store.writing():
        version = import_model(workspace, chosen, file)
    if as_json:
        print_json({"model_version": version})
    else:
        typer.echo(f"model {version} is in use for {chosen.name}.")


def main() -> None:
    """Run a command; errors that a caller can act on become one message and an exit code."""
    # Threads of LightGBM that wait by spinning take the other core's work away on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except ChurnError as error:
        typer.echo(f"tenure: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
