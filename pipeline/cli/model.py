"""Commands that make, judge and carry a model."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import (
    HERE,
    AcknowledgeOption,
    AgainOption,
    JsonOption,
    ProjectOption,
    TargetOption,
    open_project,
)
from pipeline.edge.terminal import say, show


def train(
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_json: JsonOption = False,
    again: AgainOption = False,
) -> None:
    """Tune, calibrate and register a candidate model.

    Where rows, settings and libraries are those of the candidate there is, nothing is trained.

    Example: tenure train --target churn_90d
    """
    from pipeline.console import Story, print_json
    from pipeline.jobs.registry import Version
    from pipeline.jobs.run import refuse_leaking_store, tell_training
    from pipeline.jobs.train import train_if_changed, train_target

    workspace, chosen = open_project(project, target)
    story = Story(quiet=as_json)
    with workspace.store.writing():
        refuse_leaking_store(workspace, chosen)
        trained = (train_target if again else train_if_changed)(workspace, chosen)
    tell_training(story, chosen, trained)
    story.end()
    if as_json:
        print_json(
            {
                "version": trained.number if isinstance(trained, Version) else trained.version,
                "is_new": not isinstance(trained, Version),
                "model_version": trained.bundle.model_version,
                "training": dict(trained.bundle.model.training.recorded),
                "scale": trained.bundle.scale.to_dict(),
            }
        )


def evaluate(
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge the newest candidate model on the untouched test.

    Example: tenure evaluate --json
    """
    from pipeline.console import Story, print_json
    from pipeline.jobs.evaluate import evaluate_target
    from pipeline.jobs.run import tell_beside, tell_evaluation

    workspace, chosen = open_project(project, target)
    story = Story(quiet=as_json)
    with workspace.store.writing():
        evaluation = evaluate_target(workspace, chosen)
    tell_evaluation(story, evaluation)
    tell_beside(story, evaluation)
    for gate in evaluation.gates:
        story("gate", f"{gate.verdict}  {gate.name}: {gate.reason}")
    story.end()
    if as_json:
        print_json(evaluation.to_dict())


def bench(
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare all methods and recommend the simplest good one.

    Every method is judged on the same dates, later than those it learned from.

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
    story.end()
    if as_json:
        print_json(bench_json(result, chosen.name))
        return
    show(bench_lines(result), WIDTH)


def promote(
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_json: JsonOption = False,
    acknowledge: AcknowledgeOption = None,
    scorecard: Annotated[
        bool, typer.Option("--scorecard", help="Publish the scorecard instead of the model.")
    ] = False,
) -> None:
    """Put the candidate model to use if it passes the gates.

    Example: tenure promote
    """
    from dataclasses import asdict

    from pipeline.console import print_json
    from pipeline.jobs.bench_advice import NO_BENCH
    from pipeline.jobs.promote import candidate_advice, promote_target

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
                "notes": list(done.notes),
                "bench": None if advice is None else asdict(advice),
            }
        )
        return
    say(f"version {done.version} of {chosen.name} is in use ({done.basis}).")
    for line in (*done.reasons, *done.notes):
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
    """Correct the chances of the model in use with newer outcomes.

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
        if done.beside is not None:
            say(f"  {done.beside}")


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
    """Check an exported model and make it the candidate here.

    Example: tenure model import churn.zip
    """
    from pipeline.console import print_json
    from pipeline.jobs.model_files import import_model

    workspace, chosen = open_project(project, target)
    with workspace.store.writing():
        version = import_model(workspace, chosen, file)
    if as_json:
        print_json({"model_version": version, "is_in_use": False})
    else:
        say(
            f"model {version} is the candidate of {chosen.name}, and not in use. `tenure evaluate`"
            " judges it on your own test, `tenure promote` puts it to use if it passes the gates;"
            " `tenure score --candidate` shows what it says."
        )
