"""The command line: arguments in, a job, words or JSON out. Heavy imports load inside the
commands.

A command is a plain function in the module of its group; the tables here name them all.
"""

import os
import sys
from collections.abc import Callable, Mapping

import typer

from features.errors import ChurnError
from pipeline.cli import model, project, reports, scores, signals

COMMANDS: tuple[Callable[..., None], ...] = (
    project.init,
    project.check,
    project.run,
    signals.features,
    model.train,
    model.evaluate,
    model.bench,
    model.promote,
    model.recalibrate,
    scores.score,
    scores.rollback,
    scores.forget,
    scores.explain,
    scores.changes,
    scores.replay,
    reports.forecast,
    reports.pulse,
    reports.outcomes,
    reports.patterns,
    reports.trajectory,
    project.demo,
    project.flow,
)
MODEL_COMMANDS: Mapping[str, Callable[..., None]] = {
    "export": model.model_export,
    "import": model.model_import,
}

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
for command in COMMANDS:
    app.command()(command)

model_app = typer.Typer(
    no_args_is_help=True, help="Carry a model to another machine as text and JSON."
)
for name, command in MODEL_COMMANDS.items():
    model_app.command(name)(command)
app.add_typer(model_app, name="model")


def main() -> None:
    """Run a command; errors that a caller can act on become one message and an exit code."""
    # Threads of LightGBM that wait by spinning take the other core's work away on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except ChurnError as error:
        typer.echo(f"tenure: {error}", err=True)
        sys.exit(error.exit_code)
