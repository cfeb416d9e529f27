"""Commands for a ready feature table: one row per account, or per account and date, and a column
that says who left.
"""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import HERE, DataOption, JsonOption, ProjectOption, now
from pipeline.edge.terminal import say

LabelOption = Annotated[
    str, typer.Option("--label", metavar="COLUMN", help="Column of the outcome; two values.")
]


def table_train(
    file: Annotated[Path, typer.Argument(help="Parquet or CSV.")],
    label: LabelOption,
    project: ProjectOption = HERE,
    data: DataOption = None,
    positive: Annotated[
        str | None,
        typer.Option(
            "--positive", metavar="VALUE", help="Label value of the event; default 1, true, yes."
        ),
    ] = None,
    account: Annotated[
        str | None,
        typer.Option("--account", metavar="COLUMN", help="Column that names the accounts."),
    ] = None,
    date: Annotated[
        str | None, typer.Option("--date", metavar="COLUMN", help="Column that dates the rows.")
    ] = None,
    horizon_days: Annotated[
        int | None,
        typer.Option("--horizon-days", help="Days from --date until the label was complete."),
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
        float, typer.Option("--test-share", help="Share of rows held out.")
    ] = 0.2,
    trials: Annotated[
        int | None,
        typer.Option(
            "--trials", min=0, help="Trials of the search; default as tenure.toml has it."
        ),
    ] = None,
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
    )
    job = table_job(file, options, project.resolve(), now(), data_dir=data, trials=trials)
    trained = train_table(job, Story(quiet=as_json))
    if as_json:
        print_json(dict(trained.evaluation))


def table_promote(
    label: LabelOption,
    project: ProjectOption = HERE,
    acknowledge: Annotated[
        str | None, typer.Option("--acknowledge", help="Why the scale's problems are accepted.")
    ] = None,
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
    for line in (*promotion.reasons, *promotion.notes, address):
        say(f"  {line}")
