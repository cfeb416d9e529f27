"""Leaks as real exports have them, planted one at a time into a simulated company: each is refused
and named.
"""

import os
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from plants import PLANTS, Plant, left_at, plant

from features.catalogue import STATES
from features.definition import StateCard
from features.errors import LeakageError, NotFound
from pipeline.checking import CheckReport, check_sources, check_text, refuse_training
from pipeline.checking import check as checking
from pipeline.cli import main
from pipeline.engine.duckdb import connected
from pipeline.jobs.stage import stage_sources
from pipeline.simulate import WorldOptions, simulate, write_world
from pipeline.workspace import open_workspace

NOW = datetime(2025, 6, 1, 6)
OPTIONS = WorldOptions(truth_dates=(), truth_replicates=1, yearly_churn=0.35)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """150 customers, half of whom leave, with every eighth usage row; staged once."""
    folder = tmp_path_factory.mktemp("world") / "project"
    write_world(simulate(150, 7, options=OPTIONS), folder, with_truth=False)
    usage = folder / "data" / "usage_events.parquet"
    pd.read_parquet(usage).iloc[::8].to_parquet(usage, index=False)
    with connected() as connection:
        stage_sources(open_workspace(folder, None, NOW), connection)
    return folder


@pytest.fixture
def copy(world: Path, tmp_path: Path) -> Path:
    """The same project in a folder of its own; unchanging Parquet files are shared, all else is
    copied.
    """
    shutil.copytree(
        world,
        tmp_path / "project",
        copy_function=lambda source, target: (
            os.link(source, target) if source.endswith(".parquet") else shutil.copy2(source, target)
        ),
    )
    return tmp_path / "project"


@pytest.fixture
def no_deletion(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Rebuilding signals has tests of its own; here it would only take time."""
    monkeypatch.setattr(checking, "deletion_findings", lambda evidence: ())
    yield


def checked(folder: Path, changed: set[str]) -> CheckReport:
    """The report, with only the changed sources read again."""
    workspace = open_workspace(folder, None, NOW)
    with connected() as connection:
        stage_sources(workspace, connection, keep=set(workspace.project.sources) - changed)
        return check_sources(workspace, connection, restage=False)


def tenure(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["tenure", *(str(a) for a in arguments)])
    try:
        main()
    except SystemExit as done:
        return int(done.code or 0)
    return 0


def test_world_without_a_leak_is_not_refused(world: Path, no_deletion: None) -> None:
    workspace = open_workspace(world, None, NOW)
    with connected() as connection:
        report = check_sources(workspace, connection, restage=False)
    assert report.stops == ()
    assert not [f for f in report.findings if f.column]


@pytest.mark.parametrize("leak", PLANTS, ids=[each.name for each in PLANTS])
def test_planted_leak_is_refused_with_column_clock_and_row(
    leak: Plant, copy: Path, no_deletion: None
) -> None:
    plant(copy, leak.name)
    report = checked(copy, {*leak.tables, "subscriptions"})
    named = [
        f for f in report.stops if f.name == leak.finding and leak.column in f"{f.column} {f.what}"
    ]
    assert named, f"{leak.meaning}: {[(f.name, f.source, f.column) for f in report.stops]}"
    with pytest.raises(LeakageError, match=f"(?s){leak.finding}.*{leak.column}") as error:
        refuse_training(report)
    assert error.value.exit_code == 3
    if named[0].column:
        assert named[0].clock and named[0].examples, named[0]
        assert "account A-" in named[0].examples[0] and named[0].examples[0] in str(error.value)


def test_there_are_at_least_fifteen_leaks_and_each_has_a_name_of_its_own() -> None:
    assert len({each.name for each in PLANTS}) == len(PLANTS) >= 15


def test_example_row_says_both_times_and_when_the_account_left(
    copy: Path, no_deletion: None
) -> None:
    plant(copy, "closing_kind")
    finding = checked(copy, {"usage_events"}).finding("only-leavers-have-it", "usage_events")
    assert finding is not None and finding.column == "event_name" and finding.clock == "known_at"
    left = left_at(pd.read_parquet(copy / "data" / "subscriptions.parquet"))
    account = finding.examples[0].split()[1].rstrip(":")
    when = f"{left[account]:%Y-%m-%d}"
    assert (
        finding.examples[0] == f"account {account}: event_name = account_closed, event_time"
        f" {left[account]:%Y-%m-%d %H:%M}, known {left[account]:%Y-%m-%d %H:%M}, left {when}"
    )


def test_check_run_and_train_all_exit_with_3_and_name_column_clock_and_row(
    copy: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    no_deletion: None,
) -> None:
    plant(copy, "rating_before_it_was_given")
    for command in ("check", "run", "train"):
        capsys.readouterr()
        assert tenure(monkeypatch, command, "--project", copy) == 3, command
        said = capsys.readouterr()
        assert "clock-repeats-another" in said.err and "Such as account A-" in said.err
        assert (
            "rated_at says when rating became known, and is filled from the same column as"
            " opened_at" in said.err
        )
        if command == "check":
            assert "column: rating, known by the clock rated_at" in said.out


def test_accepted_leak_passes_and_its_reason_is_told(copy: Path, no_deletion: None) -> None:
    plant(copy, "offboarding_call")
    with (copy / "tenure.toml").open("a") as lines:
        lines.write(
            '\n[checks]\naccept = { "only-leavers-have-it/touchpoints" = "the call is offered on'
            ' notice" }\n'
        )
    report = checked(copy, {"touchpoints"})
    assert report.stops == ()
    assert "accepted: the call is offered on notice" in check_text(report)


# --- signals that move when the future is deleted
# ----------------------------------------------------

FEW_SIGNALS = (
    '\n[features]\noff = ["subscriptions", "invoices", "surveys", "contacts", "touchpoints",'
    ' "milestones", "goals", "csm_notes", "accounts", "{other}"]\nwindow_days = [28, 91]\nmax_kinds'
    " = 2\n"
)


def test_signal_that_reads_the_future_is_refused_with_account_and_both_values(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads_all = StateCard(
        "tickets_in_all",
        "support",
        "support_tickets",
        "(select count(*) from facts_support_tickets z)",
        0,
        "tickets",
        "up",
        "{value} tickets in all",
        "tickets of everybody, whenever they were opened",
    )
    monkeypatch.setattr("features.build.STATES", (*STATES, reads_all))
    with (copy / "tenure.toml").open("a") as lines:
        lines.write(FEW_SIGNALS.format(other="usage_events"))
    report = checked(copy, set())
    assert [(f.name, f.source, f.column, f.clock) for f in report.stops] == [
        ("future-moves-a-signal", "support_tickets", "tickets_in_all", "opened_at")
    ]
    with pytest.raises(
        LeakageError,
        match=r"tickets_in_all changes when rows .* are deleted: it reads the future. Such as "
        r"account A-\d+ on \d{4}-\d\d-\d\d: \d+ as built, \d+ without what opened_at says",
    ):
        refuse_training(report)


def test_rows_dated_back_but_known_later_are_kept_out_by_the_second_clock(copy: Path) -> None:
    """Dated 200 days before their account left, entered when it left: no signal of a date between
    moves.
    """
    path = copy / "data" / "usage_events.parquet"
    usage, left = (
        pd.read_parquet(path),
        left_at(pd.read_parquet(copy / "data" / "subscriptions.parquet")),
    )
    rows = usage.drop_duplicates("account_id").set_index("account_id")
    late = rows.loc[rows.index.intersection(left.index)].copy()
    late["known_at"] = left.reindex(late.index)
    late["event_time"] = late["known_at"] - pd.Timedelta(days=200)
    path.unlink()
    pd.concat([usage, late.reset_index()[usage.columns].astype(usage.dtypes)]).to_parquet(
        path, index=False
    )
    with (copy / "tenure.toml").open("a") as lines:
        lines.write(FEW_SIGNALS.format(other="support_tickets"))
    assert checked(copy, {"usage_events"}).finding("future-moves-a-signal") is None


def test_source_without_known_at_is_asked_about_by_name(world: Path, no_deletion: None) -> None:
    workspace = open_workspace(world, None, NOW)
    with connected() as connection:
        finding = check_sources(workspace, connection, restage=False).finding("assumed-clock")
    assert (
        finding is not None
        and "support_tickets" in finding.examples
        and "usage_events" not in finding.examples
    )
    assert "Map known_at" in finding.todo and "delay_days" in finding.todo


def test_unknown_plant_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no planted leak 'x'; there are: plan_of_today"):
        plant(tmp_path, "x")
