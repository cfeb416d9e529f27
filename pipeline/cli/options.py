"""What commands share: their common options, the clock, and the project they open."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from pipeline.config.schema import Target
    from pipeline.workspace import Workspace

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


def day_of(as_of: datetime | None) -> date | None:
    """The date of `--as-of`."""
    return as_of.date() if as_of else None
