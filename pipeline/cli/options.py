"""What commands share: their common options, the clock, and the project they open."""

import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from pipeline.config.schema import Project, Target
    from pipeline.workspace import Workspace

ProjectOption = Annotated[Path, typer.Option("--project", help="Folder with tenure.toml.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON value and nothing else.")]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Folder with your tables, where relative locations start."),
]
TargetOption = Annotated[
    str | None, typer.Option("--target", help="Name of the target; default: the first.")
]
AsOfOption = Annotated[
    datetime | None,
    typer.Option(
        "--as-of", formats=["%Y-%m-%d"], metavar="DATE", help="Date to score (00:00 UTC)."
    ),
]
RunDateOption = Annotated[
    datetime | None,
    typer.Option(
        "--as-of",
        formats=["%Y-%m-%d"],
        metavar="DATE",
        help="Date of a published run; default: the newest.",
    ),
]
MetricsDateOption = Annotated[
    datetime | None,
    typer.Option(
        "--as-of",
        formats=["%Y-%m-%d"],
        metavar="DATE",
        help="Date to show; default: the end of the data.",
    ),
]
AcknowledgeOption = Annotated[
    str | None,
    typer.Option(
        "--acknowledge",
        help="Why you accept problems of the scale, or a candidate that is not shown to be as"
        " good as the model in use.",
    ),
]
JudgedOnOption = Annotated[
    datetime | None,
    typer.Option(
        "--as-of",
        formats=["%Y-%m-%d"],
        metavar="DATE",
        help="Judge by what was known on this date; default: now.",
    ),
]
EngineOption = Annotated[
    Literal["duckdb", "spark"],
    typer.Option("--engine", help="Engine that computes signals; both give the same table."),
]
AgainOption = Annotated[
    bool, typer.Option("--again", help="Train a model even where nothing changed since the last.")
]
PageOption = Annotated[
    bool, typer.Option("--page", help="Also write a page, next to the other reports.")
]
YesOption = Annotated[
    bool, typer.Option("--yes", help="Do it without asking; needed where no terminal can ask.")
]
BackfillOption = Annotated[
    bool,
    typer.Option(
        "--backfill", help="Also score a date before the first one that the model learned from."
    ),
]
PagesOption = Annotated[
    Literal["all", "at-risk", "none"],
    typer.Option(
        "--pages",
        help="Accounts that get a page of their own; at-risk: also those leaving and on the list.",
    ),
]
AccountArgument = Annotated[str, typer.Argument(help="Account id or name.")]
HERE = Path(".")


def now() -> datetime:
    """What time it is, UTC; the clock is read here and nowhere else."""
    return datetime.now(UTC).replace(tzinfo=None)


def open_project(
    project: Path,
    target: str | None = None,
    data: Path | None = None,
    engine: Literal["duckdb", "spark"] = "duckdb",
) -> "tuple[Workspace, Target]":
    """The workspace of a command and its target."""
    from pipeline.workspace import open_workspace

    if engine == "spark":
        from pipeline.engine.spark import require_spark

        require_spark()  # before anything is staged
    workspace = open_workspace(project.resolve(), data, now(), engine, clock=now)
    return workspace, workspace.target(target)


def project_if_any(project: Path) -> "Project | None":
    """The project file of a folder; None where no folder was named and this one holds none."""
    from pipeline.config import read_project

    if project == HERE and not (HERE / "tenure.toml").exists():
        return None
    return read_project(project.resolve())


def confirm(what: str, is_confirmed: bool) -> None:
    """Ask before something that cannot be undone.

    Raises
    ------
    ConfigError
        Where no terminal can ask and `--yes` does not say so.
    """
    from features.errors import ConfigError

    if is_confirmed:
        return
    if not sys.stdin.isatty():
        raise ConfigError(f"{what}? Nothing was done. Say --yes to do it.")
    typer.confirm(f"{what}?", abort=True, err=True)


def day_of(as_of: datetime | None) -> date | None:
    """The date of `--as-of`."""
    return as_of.date() if as_of else None
