"""Commands for a ready feature table: one row per account, or per account and date, and a column
that says who left.
"""

import shlex
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import (
    HERE,
    AcknowledgeOption,
    AgainOption,
    DataOption,
    JsonOption,
    ProjectOption,
    day_of,
    now,
)
from pipeline.edge.terminal import say

LabelOption = Annotated[
    str, typer.Option("--label", metavar="COLUMN", help="Column of the outcome; two values.")
]


PositiveOption = Annotated[
    str | None,
    typer.Option(
        "--positive", metavar="VALUE", help="Label value of the event; default 1, true, yes."
    ),
]
TableAccountOption = Annotated[
    str | None,
    typer.Option("--account", metavar="COLUMN", help="Column that names the accounts."),
]
DropOption = Annotated[
    list[str] | None,
    typer.Option("--drop", metavar="COLUMN", help="Leave a column out; repeat."),
]
WaiveOption = Annotated[
    list[str] | None,
    typer.Option(
        "--waive",
        metavar="COLUMN=REASON",
        help="Keep a column the leakage audit refuses; the reason is recorded.",
    ),
]
CostIfMissedOption = Annotated[
    str | None,
    typer.Option(
        "--cost-if-missed",
        metavar="COLUMN",
        help="Column of what is lost where nobody acts; never a signal.",
    ),
]
CostOfContactOption = Annotated[
    str | None,
    typer.Option(
        "--cost-of-contact",
        metavar="COLUMN",
        help="Column of what acting on the row costs; never a signal.",
    ),
]
TableTrialsOption = Annotated[
    int | None,
    typer.Option("--trials", min=0, help="Trials of the search; default as tenure.toml has it."),
]
DecimalOption = Annotated[
    str | None,
    typer.Option(
        "--decimal", metavar="MARK", help="Mark before decimals, point or comma, if in doubt."
    ),
]


def table_train(
    file: Annotated[Path, typer.Argument(help="Parquet or CSV.")],
    label: LabelOption,
    project: ProjectOption = HERE,
    data: DataOption = None,
    positive: PositiveOption = None,
    account: TableAccountOption = None,
    date: Annotated[
        str | None, typer.Option("--date", metavar="COLUMN", help="Column that dates the rows.")
    ] = None,
    horizon_days: Annotated[
        int | None,
        typer.Option("--horizon-days", help="Days from --date until the label was complete."),
    ] = None,
    drop: DropOption = None,
    waive: WaiveOption = None,
    test_share: Annotated[
        float, typer.Option("--test-share", help="Share of rows held out.")
    ] = 0.2,
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            metavar="COLUMN[=VALUE]",
            help="Column that says which rows are the test: by the word test, or this value.",
        ),
    ] = None,
    cost_if_missed: CostIfMissedOption = None,
    cost_of_contact: CostOfContactOption = None,
    trials: TableTrialsOption = None,
    decimal: DecimalOption = None,
    again: AgainOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train on a ready feature table, judge the model and register it; needs no tenure.toml.

    Example: tenure table train accounts.csv --label churned --account id
    """
    from models.table import TableOptions
    from pipeline.console import Story, print_json
    from pipeline.jobs.train_table import parse_waivers, table_job, train_table

    options = TableOptions(
        label=label,
        positive=positive,
        account=account,
        as_of=date,
        horizon_days=horizon_days,
        drop=tuple(drop or ()),
        waivers=parse_waivers(waive or ()),
        test_share=test_share,
        split=split,
        cost_if_missed=cost_if_missed,
        cost_of_contact=cost_of_contact,
    )
    _require_mark(decimal)
    job = table_job(
        file,
        options,
        project.resolve(),
        now(),
        data_dir=data,
        trials=trials,
        decimal=decimal,
        is_again=again,
    )
    trained = train_table(job, Story(quiet=as_json))
    if as_json:
        print_json(trained.evaluation.to_dict())


def table_folds(
    file: Annotated[Path, typer.Argument(help="Parquet or CSV.")],
    label: LabelOption,
    project: ProjectOption = HERE,
    data: DataOption = None,
    fold: Annotated[
        list[str] | None,
        typer.Option(
            "--fold",
            metavar="COLUMN",
            help="Column that names the fold of each row; repeat for further repetitions.",
        ),
    ] = None,
    parts: Annotated[
        int | None,
        typer.Option("--parts", min=2, help="Without --fold: folds of accounts; default 5."),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            "--repeats", min=1, help="Without --fold: how often accounts are dealt anew; default 1."
        ),
    ] = None,
    positive: PositiveOption = None,
    account: TableAccountOption = None,
    drop: DropOption = None,
    waive: WaiveOption = None,
    cost_if_missed: CostIfMissedOption = None,
    cost_of_contact: CostOfContactOption = None,
    trials: TableTrialsOption = None,
    decimal: DecimalOption = None,
    as_json: JsonOption = False,
) -> None:
    """Repeat a protocol of folds on a table: every fold the test once; figures with their spread.

    Example: tenure table folds accounts.csv --label churned --account id --parts 2 --repeats 5
    """
    from features.errors import ConfigError
    from models.table import TableOptions
    from pipeline.console import Story, print_json
    from pipeline.jobs.table_folds import FoldsWanted, folds_json, folds_of_table
    from pipeline.jobs.train_table import parse_waivers, table_job

    if fold and (parts is not None or repeats is not None):
        raise ConfigError(
            "--fold takes the folds of the table, --parts and --repeats make some; give one of"
            " both. A column per repetition: --fold first --fold second."
        )
    _require_mark(decimal)
    options = TableOptions(
        label=label,
        positive=positive,
        account=account,
        drop=tuple(drop or ()),
        waivers=parse_waivers(waive or ()),
        cost_if_missed=cost_if_missed,
        cost_of_contact=cost_of_contact,
    )
    job = table_job(
        file, options, project.resolve(), now(), data_dir=data, trials=trials, decimal=decimal
    )
    wanted = FoldsWanted(tuple(fold or ()), parts or 5, repeats or 1)
    judged, _ = folds_of_table(job, wanted, Story(quiet=as_json))
    if as_json:
        print_json(folds_json(judged))


def _require_mark(decimal: str | None) -> None:
    from features.errors import ConfigError

    if decimal not in (None, ".", ","):
        raise ConfigError(f'--decimal "{decimal}" must be "." or ",".')


def table_score(
    file: Annotated[Path, typer.Argument(help="Parquet or CSV with the columns of training.")],
    label: LabelOption,
    project: ProjectOption = HERE,
    data: DataOption = None,
    account: Annotated[
        str | None,
        typer.Option(
            "--account",
            metavar="COLUMN",
            help="Column that names the accounts; default: the one of training.",
        ),
    ] = None,
    date: Annotated[
        str | None,
        typer.Option(
            "--date",
            metavar="COLUMN",
            help="Column that dates the rows; default: the one of training.",
        ),
    ] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            "--as-of",
            formats=["%Y-%m-%d"],
            metavar="DATE",
            help="Date of all rows where no column dates them; default: today.",
        ),
    ] = None,
    candidate: Annotated[
        bool,
        typer.Option("--candidate", help="Score with the candidate model, not the one in use."),
    ] = False,
    csv: Annotated[
        Path | None,
        typer.Option(
            "--csv", metavar="FOLDER", help="Also write scores.csv and drivers.csv there."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Score a new table with the model of a label; publish scores and drivers.

    Example: tenure table score june.csv --label churned --csv june
    """
    from pipeline.console import Story, print_json
    from pipeline.jobs.score_table import TableScoring, score_table
    from pipeline.ledger import plain_run

    start = data.resolve() if data is not None else Path.cwd()
    job = TableScoring(
        (start / file).resolve(),
        label,
        project.resolve(),
        now(),
        now,
        account=account,
        date_column=date,
        as_of=day_of(as_of),
        use_candidate=candidate,
        csv_folder=csv,
    )
    story = Story(quiet=as_json)
    scored = score_table(job)
    run = plain_run(scored.run)
    for note in scored.notes:
        story("note", note)
    bands = ", ".join(f"{name} {count:,}" for name, count in run["counts"].items())
    story(
        "score",
        f"{file.name}: {len(scored.scores):,} rows by version {scored.version} of"
        f" {scored.models.name}; {bands}",
    )
    story("publish", f"run {run['run_id']} in the tables scores, drivers and runs of the store")
    for path in scored.files:
        story("look", str(path))
    if as_json:
        print_json({**run, "version": scored.version, "notes": scored.notes})


def table_promote(
    label: LabelOption,
    project: ProjectOption = HERE,
    acknowledge: AcknowledgeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put the candidate that `table train` made to use if it passes the gates.

    Example: tenure table promote --label churned
    """
    from dataclasses import asdict

    from pipeline.console import print_json
    from pipeline.jobs.promote import promote_label

    promotion = promote_label(project.resolve(), label, acknowledge=acknowledge)
    if as_json:
        print_json(asdict(promotion))
        return
    name = promotion.registered_model
    say(f"version {promotion.version} of {name} is in use ({promotion.basis}).")
    address = f"MLflow loads it as models:/{name}@champion"
    following = f"next: tenure table score FILE --label {shlex.quote(label)}"
    for line in (*promotion.reasons, *promotion.notes, address, following):
        say(f"  {line}")
