"""Commands about published scores: one run, one account, what changed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pipeline.cli.options import (
    HERE,
    AccountArgument,
    AsOfOption,
    BackfillOption,
    DataOption,
    JsonOption,
    PageOption,
    PagesOption,
    ProjectOption,
    RunDateOption,
    TargetOption,
    YesOption,
    confirm,
    day_of,
    open_project,
)
from pipeline.edge.terminal import say, show

CountedMethod = Literal[
    "actions",
    "rules",
    "weighted_average",
    "usage_score",
    "four_indicators",
    "scorecard",
    "clusters",
]
if TYPE_CHECKING:
    from pipeline.jobs.explain import Explained

ACCOUNT_WIDTH = 140
"""Columns of one account's page where standard output is no terminal."""


def score(
    project: ProjectOption = HERE,
    data: DataOption = None,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    candidate: Annotated[
        bool,
        typer.Option("--candidate", help="Score with the candidate model, not the one in use."),
    ] = False,
    allow_stale: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-stale",
            metavar="SOURCE",
            help="Score even though this source is stale; accounts that depend"
            " on it become unknown.",
        ),
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option("--reason", help="Why you accept stale sources; the reason is recorded."),
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
    backfill: BackfillOption = False,
    pages: PagesOption = "none",
    as_json: JsonOption = False,
) -> None:
    """Score every account on a date, explain and publish.

    Example: tenure score --as-of 2025-06-01
    """
    from features.errors import ConfigError
    from pipeline.console import Story, print_json
    from pipeline.engine.duckdb import connected
    from pipeline.jobs.report import write_reports
    from pipeline.jobs.run import tell_score, tell_stage
    from pipeline.jobs.score import score_target
    from pipeline.jobs.stage import stage_sources
    from pipeline.ledger import plain_run

    if allow_stale and not reason:
        raise ConfigError("--allow-stale needs --reason TEXT: it is recorded with the run.")
    if reason and not allow_stale:
        raise ConfigError(
            "--reason goes with --allow-stale SOURCE: it says why you accept the stale source."
        )
    workspace, chosen = open_project(project, target, data)
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
            backfill=backfill,
        )
        written = write_reports(workspace, chosen, published, pages)
    tell_score(story, published)
    story(
        "look", f"{written[0]}  {written[1].name}  {written[2].name}; next: tenure explain ACCOUNT"
    )
    story.end()
    if as_json:
        print_json({"run": plain_run(published.run), "pages": [str(page) for page in written]})


def scores(
    project: ProjectOption = HERE,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write the table there.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Put the current scores of all targets side by side.

    One row per account: state, and for each target the chance (`p_churn_90d`), health and band.

    Example: tenure scores --csv scores.csv
    """
    from pipeline.actions.worklist import write_worklist_csv
    from pipeline.console import print_json
    from pipeline.jobs.wide_scores import wide_scores

    workspace, _ = open_project(project)
    wide = wide_scores(workspace)
    if csv is not None:
        write_worklist_csv(wide, csv)
    if as_json:
        print_json(wide.to_dict("records"))
        return
    states = ", ".join(f"{name} {n:,}" for name, n in wide["state"].value_counts().items())
    say(f"{len(wide):,} accounts: {states}")
    for column in wide.columns[wide.columns.str.startswith("band_")]:
        bands = ", ".join(f"{name} {n:,}" for name, n in wide[column].value_counts().items())
        say(f"  {column.removeprefix('band_')}: {bands}")
    say("Every row: --csv FILE, or --json" if csv is None else f"Written: {csv}")


def worklist(
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: RunDateOption = None,
    owner: Annotated[
        str | None, typer.Option("--owner", help="Only the list of this owner.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Plan who gets which play, under the hours of each owner.

    Needs [[plays]] in tenure.toml. Says what the list saves, what the lot near its end costs, and
    when it will tell what a play does.

    Example: tenure worklist --owner "CSM 06"
    """
    from features.errors import ConfigError, NotFound
    from pipeline.console import print_json
    from pipeline.jobs.plan_plays import plan_worklist
    from pipeline.jobs.rollback import published_again
    from pipeline.ledger import published_run
    from pipeline.reports.plan import plan_json, plan_lines

    workspace, chosen = open_project(project, target)
    with workspace.store.writing():
        run = published_run(workspace.store, chosen.name, day_of(as_of))
        planned = plan_worklist(workspace, chosen, published_again(workspace, chosen, run))
    if planned is None:
        raise ConfigError(
            f"target {chosen.name!r} has no planned worklist: it needs [[plays]] in tenure.toml"
            ' (for growth those with aim = "grow") and a model in use. worklist.csv ranks by'
            " value and chance."
        )
    owners = sorted(each.owner for each in planned.plan.owners)
    if owner is not None and owner not in owners:
        raise NotFound(f"no owner {owner!r} in this run; there are: {', '.join(owners)}.")
    if as_json:
        print_json(plan_json(planned, owner))
        return
    show(plan_lines(planned, workspace.project, chosen, owner))


def scale(
    project: ProjectOption = HERE,
    target: TargetOption = None,
    candidate: Annotated[
        bool,
        typer.Option(
            "--candidate", help="Show the scale of the candidate model, not of the one in use."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what each ten points of the score mean, as tested.

    Example: tenure scale
    """
    from models.target_words import TARGET_WORDS
    from pipeline.console import print_json, scale_lines
    from pipeline.jobs.explain_scale import explain_scale

    workspace, chosen = open_project(project, target)
    explained = explain_scale(workspace, chosen, use_candidate=candidate)
    if as_json:
        print_json(explained.to_dict())
        return
    show(scale_lines(explained, TARGET_WORDS[chosen.kind]), ACCOUNT_WIDTH)


def rollback(
    run_id: Annotated[
        str, typer.Argument(help="Id of the run to go back to; its first characters will do.")
    ],
    project: ProjectOption = HERE,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Go back to an earlier run and draw its pages again.

    Example: tenure rollback 3f9c0a --yes
    """
    from pipeline.console import print_json
    from pipeline.jobs.publish import publish_every_target
    from pipeline.jobs.rollback import roll_back_run

    workspace, _ = open_project(project)
    confirm(f"Take back every run after {run_id} and draw the pages again", yes)
    with workspace.store.writing():
        rolled = roll_back_run(workspace, run_id)
        publish_every_target(workspace)
    if as_json:
        print_json(
            {
                "run_id": rolled.run.run_id,
                "superseded": list(rolled.superseded),
                "pages": [str(page) for page in rolled.pages],
                "removed": [str(page) for page in rolled.removed],
            }
        )
        return
    say(
        f"readers see run {rolled.run.run_id} of {rolled.run.as_of:%Y-%m-%d} again;"
        f" taken back: {', '.join(rolled.superseded) or 'none'}. Pages drawn again:"
        f" {', '.join(str(page) for page in rolled.pages)}"
    )
    for page in rolled.removed:
        say(f"  removed, it showed a run that was taken back: {page}")
    if rolled.superseded:
        say(
            "  The same tables, settings and model do not publish it again; only `tenure rollback`"
            " with its id does."
        )
    if rolled.model_in_use is not None:
        say(
            f"  Model {rolled.model_in_use} stays in use and scores the next date. Promote another"
            " (`tenure train`, `tenure evaluate`, `tenure promote`) where it was the fault."
        )


def forget(
    account: AccountArgument,
    project: ProjectOption = HERE,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete every row of an account from the store for good.

    Example: tenure forget A-0000017 --yes
    """
    from pipeline.console import print_json
    from pipeline.jobs.privacy import forget_account
    from pipeline.jobs.publish import publish_every_target

    workspace, _ = open_project(project)
    confirm(f"Delete every row of {account} from the store, with all earlier versions", yes)
    with workspace.store.writing():
        forgotten = forget_account(workspace, account)
        publish_every_target(workspace)
    if as_json:
        print_json(
            {
                "account_id": forgotten.account_id,
                "rows": dict(forgotten.rows),
                "pages": [str(page) for page in forgotten.pages],
            }
        )
        return
    say(
        f"{sum(forgotten.rows.values()):,} rows of {forgotten.account_id} removed from"
        f" {len(forgotten.rows)} tables, with the tables' earlier versions;"
        f" {len(forgotten.pages)} pages that named it are gone (`tenure score` writes them anew)."
        " Delete it at the source as well, or the next staging brings it back. Runs before today"
        " can no longer be replayed."
    )


def explain(
    account: AccountArgument,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: RunDateOption = None,
    as_paragraph: Annotated[
        bool, typer.Option("--paragraph", help="A few sentences, ready for an email or a CRM.")
    ] = False,
    as_page: PageOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show one account's score and its reasons.

    Example: tenure explain A-000123
    """
    from models.target_words import TARGET_WORDS
    from pipeline.console import explained_text, print_json
    from pipeline.jobs.explain import explain_account
    from pipeline.jobs.report import write_account_page
    from pipeline.reports.account import account_paragraph

    workspace, chosen = open_project(project, target)
    verb = TARGET_WORDS[chosen.kind].verb
    explained = explain_account(workspace, chosen, account, day_of(as_of), ask_model=as_page)
    page = str(write_account_page(workspace, chosen, explained)) if as_page else None
    paragraph = account_paragraph(explained, chosen.horizon_days, verb) if as_paragraph else None
    if as_json:
        print_json({**_explained_json(explained), "page": page, "paragraph": paragraph})
        return
    if page is None and paragraph is None:
        show(explained_text(explained, chosen.horizon_days, verb), ACCOUNT_WIDTH)
    for written in (paragraph, page):
        if written is not None:
            say(written)


def points(
    account: AccountArgument,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: RunDateOption = None,
    method: Annotated[
        CountedMethod | None,
        typer.Option(
            "--method", help="Which counted score; default: that of [score] basis, else actions."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what one account's counted score is made of.

    Points of actions and rules with the dated rows behind them and the day a deadline ends,
    sub-scores and weights, or the group of accounts that behave alike.

    Example: tenure points A-000123 --method rules
    """
    from pipeline.console import counted_lines, print_json
    from pipeline.jobs.counted import counted_points

    workspace, chosen = open_project(project, target)
    basis = workspace.project.score.basis
    of_mixture = "rules" if workspace.project.rules else "scorecard"
    of_basis = {"model": "actions", "hybrid": of_mixture}.get(basis, basis)
    name = method or of_basis
    who, score, behind = counted_points(workspace, chosen, account, name, day_of(as_of))
    if as_json:
        print_json({**who, "counted": score, "rows": behind})
        return
    show(counted_lines(who, score, behind), ACCOUNT_WIDTH)


def path(
    account: AccountArgument,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="BAND", help="The band to reach; default: the best one."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find the least that would bring one account's score back.

    Needs [[levers]] in tenure.toml: what can be done, and which rows it leaves. Every combination
    is tried on the account's own rows, through features and model, the least effort first. It says
    how the score reads its rows, not what keeps a customer.

    Example: tenure path A-000123 --to stable
    """
    from pipeline.console import print_json
    from pipeline.jobs.path import path_report, plain_path
    from pipeline.reports.path import path_lines

    workspace, chosen = open_project(project, target)
    report = path_report(workspace, chosen, account, to)
    if as_json:
        print_json(plain_path(report))
        return
    show(path_lines(report), ACCOUNT_WIDTH)


def verify(
    account: Annotated[
        str | None,
        typer.Argument(
            help="Account id or name: show which of its reasons hold up when"
            " the model is retrained."
        ),
    ] = None,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: RunDateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check that the points add up, or one account's reasons.

    Without an account: base and points must add up to the score for every account. With one: its
    page says which reasons hold up when the model is retrained from another seed.

    Example: tenure verify
    """
    from models.target_words import TARGET_WORDS
    from pipeline.console import explained_text, print_json
    from pipeline.jobs.explain import check_points, explain_account
    from pipeline.jobs.point_bound import bound_words

    workspace, chosen = open_project(project, target)
    if account is not None:
        explained = explain_account(workspace, chosen, account, day_of(as_of), ask_model=True)
        if as_json:
            print_json(_explained_json(explained))
            return
        verb = TARGET_WORDS[chosen.kind].verb
        show(explained_text(explained, chosen.horizon_days, verb), ACCOUNT_WIDTH)
        return
    checked = check_points(workspace, chosen, day_of(as_of))
    if as_json:
        print_json(checked)
        return
    say(
        f"base and points add up to the score for all {checked.accounts:,} scored accounts "
        f"(largest gap {checked.largest_gap:.1e}; displayed integers add exactly)."
    )
    say(f"{bound_words(checked.bound)}.")


def _explained_json(explained: "Explained") -> dict[str, Any]:
    return {
        "score": explained.score,
        "account": explained.account,
        "dimensions": explained.dimensions.to_dict("records"),
        "scale_sentence": explained.scale_sentence,
        "timing": explained.timing,
        "unsure_band": explained.unsure_band,
        "to_edges": explained.to_edges,
        "why": explained.why,
        "advice": explained.advice,
        "open_actions": list(explained.open_actions),
        "planned": None if explained.planned is None else vars(explained.planned),
        "reasons": [{"reason": reason, "points": points} for reason, points in explained.reasons],
        "trajectory": None if explained.trajectory is None else dict(explained.trajectory.row),
        "reseeded_health": explained.reseeded_health,
        "drivers": explained.drivers.to_dict("records"),
    }


def changes(
    project: ProjectOption = HERE,
    target: TargetOption = None,
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
        typer.Option("--to", metavar="RUN|DATE", help="The later run; default: the current one."),
    ] = None,
    account: Annotated[
        str | None,
        typer.Option(
            "--account", metavar="ACCOUNT", help="Account id or name: explain only its score."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Explain why scores moved since an earlier run.

    Example: tenure changes --from 2025-05-04
    """
    from pipeline.console import print_json
    from pipeline.jobs.changes import find_account, find_changes
    from pipeline.jobs.history import score_history
    from pipeline.jobs.report import write_changes_page
    from pipeline.reports.changes import account_text, changes_json, changes_text

    workspace, chosen = open_project(project, target)
    with workspace.store.writing():
        moved = find_changes(workspace, chosen, first, last)
        page = write_changes_page(workspace, chosen, moved)
    one = None if account is None else find_account(moved, account)
    history = [] if one is None else score_history(workspace, chosen, str(one["account_id"]))
    if as_json:
        print_json(changes_json(moved, one, history))
        return
    for line in changes_text(moved) if one is None else account_text(moved, one, history):
        say(line)
    if one is None:
        say(f"  look: {page}")


def replay(
    run_id: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="Run to recompute: its id, the start of its id, or its date."
        ),
    ],
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recompute a published run from the inputs kept with it.

    Exit code 1 if a value differs, or if a table or page made of the run was rewritten.

    Example: tenure replay 3f9c0a
    """
    from pipeline.console import print_json
    from pipeline.jobs.replay import replay_run

    workspace, chosen = open_project(project, target)
    replayed = replay_run(workspace, chosen, run_id)
    if as_json:
        print_json(replayed.to_dict())
    else:
        for line in replayed.words():
            say(line)
    if not replayed.is_equal:
        raise typer.Exit(1)
