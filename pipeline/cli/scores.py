"""Commands about published scores: one run, one account, what changed."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import (
    HERE,
    AsOfOption,
    DataOption,
    JsonOption,
    ProjectOption,
    TargetOption,
    day_of,
    open_project,
)

if TYPE_CHECKING:
    from pipeline.config.schema import Target
    from pipeline.workspace import Workspace


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
            day_of(as_of),
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
