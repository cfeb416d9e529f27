"""Commands that make, judge and carry a model."""

from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.options import (
    HERE,
    DataOption,
    JsonOption,
    ProjectOption,
    TargetOption,
    now,
    open_project,
)
from pipeline.edge.terminal import say, show


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
    workspace, chosen = open_project(project, target)
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


def evaluate(
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge the newest candidate on the untouched test.

    Example: tenure evaluate --json
    """
    from models.gates import verdict
    from pipeline.console import Story, print_json
    from pipeline.jobs.evaluate import evaluate_target
    from pipeline.jobs.run import tell_beside, tell_evaluation

    workspace, chosen = open_project(project, target)
    story = Story(quiet=as_json)
    with workspace.store.writing():
        found = evaluate_target(workspace, chosen)
    tell_evaluation(story, found)
    tell_beside(story, found)
    for gate in found["gates"]:
        story("gate", f"{verdict(gate)}  {gate['name']}: {gate['reason']}")
    if as_json:
        print_json(found)


def bench(
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare all methods and name the smallest that does as well.

    All are judged on the same dates, later than those they learned from.

    Example: tenure bench
    """
    from pipeline.console import Story, print_json
    from pipeline.jobs.bench import bench_target
    from pipeline.reports.bench import WIDTH, bench_json, bench_lines

    workspace, chosen = open_project(project, target)
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
    show(bench_lines(result), WIDTH)


def promote(
    project: ProjectOption = HERE,
    target: TargetOption = None,
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
    workspace, chosen = open_project(project, target)
    with workspace.store.writing():
        advice = candidate_advice(workspace, chosen, use_scorecard=scorecard)
        if not as_json:  # before the gates: who reads a refusal wants it, too
            say(NO_BENCH if advice is None else advice.words)
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
    say(f"version {done.version} of {chosen.name} is in use ({done.basis}).")
    for reason in done.reasons:
        say(f"  {reason}")


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
    say(f"version {promotion.version} of {done.registered} is in use ({promotion.basis}).")
    for line in (*promotion.reasons, *done.notes, f"MLflow loads it as {address}"):
        say(f"  {line}")


def recalibrate(
    project: ProjectOption = HERE,
    target: TargetOption = None,
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

    workspace, chosen = open_project(project, target)
    with workspace.store.writing():
        done = recalibrate_target(workspace, chosen, candidate=candidate)
    if as_json:
        print_json(asdict(done))
        return
    say(done.check.words)
    if done.version is None:
        say("The calibrator stays as it is.")
    else:
        say(
            f"Version {done.version} of {chosen.name} is in use: log loss on the newest date"
            f" {done.log_loss_after:.4f}, before {done.log_loss_before:.4f}."
        )


def model_export(
    file: Annotated[Path, typer.Argument(help="File to write, ending in .zip.")],
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the model in use to one file.

    Example: tenure model export churn.zip
    """
    from pipeline.console import print_json
    from pipeline.jobs.model_files import export_model

    workspace, chosen = open_project(project, target)
    version = export_model(workspace, chosen, file)
    if as_json:
        print_json({"file": str(file), "model_version": version})
    else:
        say(f"wrote {file}: model {version} of {chosen.name}.")


def model_import(
    file: Annotated[Path, typer.Argument(help="File that `model export` wrote.")],
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put an exported model to use here, its hashes checked.

    Example: tenure model import churn.zip
    """
    from pipeline.console import print_json
    from pipeline.jobs.model_files import import_model

    workspace, chosen = open_project(project, target)
    with workspace.store.writing():
        version = import_model(workspace, chosen, file)
    if as_json:
        print_json({"model_version": version})
    else:
        say(f"model {version} is in use for {chosen.name}.")
