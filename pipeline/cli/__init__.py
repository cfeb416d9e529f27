"""The command line: arguments in, a job, words or JSON out. Heavy imports load inside the
commands.

A command is a plain function in the module of its group; `GROUPS` names them all, as help lists
them.
"""

import os
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Annotated

import typer

from pipeline.cli import alerts, dashboard, model, nightly, project, reports, scores, signals, table
from pipeline.cli.accounts import TakesAccount
from pipeline.cli.moved import Commands
from pipeline.edge.leave import leave
from pipeline.edge.locks import PATIENCE
from pipeline.edge.terminal import say
from pipeline.libraries import library_versions

GROUPS: Mapping[str, tuple[Callable[..., None], ...]] = {
    "Start": (
        project.init,
        project.check,
        project.demo,
        project.run,
        project.flow,
        project.data_use,
    ),
    "Signals": (
        signals.features,
        signals.catalogue,
        signals.metrics,
        signals.worth,
        signals.ratios,
    ),
    "Model": (model.train, model.evaluate, model.bench, model.promote, model.recalibrate),
    "Scores": (
        scores.score,
        scores.scores,
        scores.worklist,
        scores.explain,
        scores.points,
        scores.path,
        scores.verify,
        scores.scale,
        scores.changes,
        scores.replay,
        scores.rollback,
        scores.forget,
    ),
    "Night": (nightly.night, nightly.watch, nightly.status, nightly.runs, nightly.publish),
    "Dashboard": (dashboard.pages, dashboard.dashboard, dashboard.access),
    "Outlook and hindsight": (
        reports.outcomes,
        reports.monitor,
        reports.postmortem,
        reports.effects,
        reports.peers,
        reports.shadow,
        reports.onboarding,
        reports.advocates,
        reports.audiences,
        reports.forecast,
        reports.trajectory,
        reports.pulse,
        reports.patterns,
    ),
}
MODEL_COMMANDS: Mapping[str, Callable[..., None]] = {
    "export": model.model_export,
    "import": model.model_import,
}
TABLE_COMMANDS: Mapping[str, Callable[..., None]] = {
    "train": table.table_train,
    "folds": table.table_folds,
    "score": table.table_score,
    "promote": table.table_promote,
}
LEDGER_COMMANDS: Mapping[str, Callable[..., None]] = {"verify": nightly.ledger_verify}
ALERT_COMMANDS: Mapping[str, Callable[..., None]] = {
    "list": alerts.alerts_list,
    "run": alerts.alerts_run,
    "acknowledge": alerts.alerts_acknowledge,
    "snooze": alerts.alerts_snooze,
    "done": alerts.alerts_done,
}
MODEL_GROUP, SCORE_GROUP = "Model", "Scores"


app = typer.Typer(
    name="tenure",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Find out which accounts will leave or grow, how sure that is, why, and"
        " what to do.\n\nExit codes: 0"
        " done, 1 fault, 2 wrong use, 3 refused by a gate."
    ),
)
_TAKE_ACCOUNTS = (
    scores.explain,
    scores.points,
    scores.path,
    scores.verify,
    scores.forget,
    reports.postmortem,
)
for heading, commands in GROUPS.items():
    for command in commands:
        takes_account = command in _TAKE_ACCOUNTS
        app.command(rich_help_panel=heading, cls=TakesAccount if takes_account else None)(command)

model_app = typer.Typer(
    no_args_is_help=True, help="Carry a model to another machine as text and JSON."
)
for name, command in MODEL_COMMANDS.items():
    model_app.command(name)(command)
app.add_typer(model_app, name="model", rich_help_panel=MODEL_GROUP)

table_app = typer.Typer(
    no_args_is_help=True, help="Learn from a ready feature table; needs no tenure.toml."
)
for name, command in TABLE_COMMANDS.items():
    table_app.command(name)(command)
app.add_typer(table_app, name="table", rich_help_panel=MODEL_GROUP)

ledger_app = typer.Typer(no_args_is_help=True, help="Check the record of what was published.")
for name, command in LEDGER_COMMANDS.items():
    ledger_app.command(name)(command)
app.add_typer(ledger_app, name="ledger", rich_help_panel=SCORE_GROUP)

alerts_app = typer.Typer(
    no_args_is_help=True, help="Tell owners what changed with their accounts, once."
)
for name, command in ALERT_COMMANDS.items():
    alerts_app.command(name)(command)
app.add_typer(alerts_app, name="alerts", rich_help_panel=SCORE_GROUP)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        say(f"tenure {library_versions()['tenure']}")
        raise typer.Exit


_debug = ContextVar("debug", default=False)


@app.callback()
def _tenure(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug", help="Before the command: where an error happened, with its causes."
        ),
    ] = False,
    wait: Annotated[
        float,
        typer.Option(
            "--wait",
            min=0,
            metavar="SECONDS",
            help="Before the command: wait so long for another one that writes.",
        ),
    ] = 0.0,
) -> None:
    _debug.set(debug)
    PATIENCE.set(wait)


def main() -> None:
    """Run a command; every error becomes one message with the next step, and an exit code."""
    # Threads of LightGBM that wait by spinning take the other core's work away on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # libraries written in Rust panic with one that is no Exception
        from pipeline.edge.faults import as_ours, one_line, trace

        ours = as_ours(error)
        if _debug.get():
            say(trace(error), err=True)
        say(one_line(ours), err=True)
        sys.exit(ours.exit_code)


def console() -> None:
    """`tenure` as a process of its own: run a command, and end with its exit code."""
    try:
        main()
    except SystemExit as end:
        if end.code is not None and not isinstance(end.code, int):
            raise
        leave(end.code or 0)
    leave(0)
