"""Why scores moved: every part of a difference lands on its own cause, and the parts add for every
account.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pandas as pd
import pytest
from small_company import NOW, Command, Company

from features.errors import ConfigError, NotFound
from models.bundle import Bundle
from models.calibration import Platt
from models.changes import CAUSES, CAUSES_IN_WORDS
from models.health import scale_from_anchors
from pipeline.engine.duckdb import connected
from pipeline.jobs.changes import ScoreChanges, find_changes
from pipeline.jobs.registry import model_name, need_version, register, registered_model
from pipeline.jobs.score import score_target
from pipeline.jobs.stage import stage_sources
from pipeline.ledger import run_history
from pipeline.tracking import CHAMPION, client

MAY, JUNE = date(2025, 5, 4), date(2025, 6, 1)
LATER = NOW + timedelta(hours=1)


def published(company: Company, day: date = JUNE, *, hours: int = 1, stage: bool = False) -> str:
    """Score a date, on rows staged anew if asked; the id of the run."""
    workspace, target = company.workspace(NOW + timedelta(hours=hours))
    with connected() as connection:
        if stage:
            stage_sources(workspace, connection)
        run = score_target(workspace, connection, target, day, accept_shift="on purpose").run
    return run.run_id


def first_run(company: Company) -> str:
    return str(company.published("scores")["run_id"].iloc[0])


def changes(company: Company, first: str | None = None, last: str | None = None) -> ScoreChanges:
    workspace, target = company.workspace(LATER)
    return find_changes(workspace, target, first, last)


def in_use(company: Company) -> Bundle:
    workspace, target = company.workspace()
    return need_version(workspace, target, CHAMPION).bundle


def put_to_use(company: Company, bundle: Bundle) -> None:
    workspace, target = company.workspace()
    models = registered_model(workspace, target)
    models.put_to_use(register(models, bundle), bundle.basis)


def another_model(bundle: Bundle) -> Bundle:
    """The same signals weighed otherwise, and another base."""
    assert bundle.model.calibrator is not None
    first = bundle.model.members[0]
    members = (replace(first, weight=0.7 * first.weight), *bundle.model.members[1:])
    calibrator = Platt(bundle.model.calibrator.slope, bundle.model.calibrator.intercept + 0.3, 40)
    return replace(bundle, model=replace(bundle.model, members=members, calibrator=calibrator))


def late_rows(company: Company, before: date) -> None:
    """Usage that happened before a date and reached the table after it was scored, of every third
    account.
    """
    usage = company.table("usage_events")
    recent = usage[
        usage["event_time"].between(pd.Timestamp(before) - timedelta(days=20), pd.Timestamp(before))
    ]
    again = recent[recent["account_id"].isin(sorted(recent["account_id"].unique())[::3])].copy()
    again["event_time"] += pd.Timedelta(seconds=1)
    assert len(again) > 100
    company.replace_table(
        "usage_events", pd.concat([usage, again[again["event_time"] < pd.Timestamp(before)]])
    )


def sizes(found: ScoreChanges) -> Mapping[str, float]:
    """Sum of absolute points per cause."""
    lines = found.lines.dropna(subset=["points"])
    sums = lines["points"].abs().groupby(lines["cause"]).sum()
    return {cause: float(sums.get(cause, 0.0)) for cause in CAUSES}


def check_sums(company: Company, found: ScoreChanges) -> None:
    """Every account of both runs: exact points to 1e-9, displayed points to the integer, nobody
    dropped.
    """
    workspace, _ = company.workspace()
    scores = workspace.store.read("scores").set_index(["run_id", "account_id"])
    before, after = scores.loc[found.before.run_id], scores.loc[found.after.run_id]
    assert set(found.accounts["account_id"]) == set(before.index) | set(after.index)
    exact = (after["health_exact"] - before["health_exact"]).dropna()
    shown = (after["health"] - before["health"]).dropna()
    sums = (
        found.lines.groupby("account_id")[["points", "points_displayed"]]
        .sum()
        .reindex(exact.index)
        .fillna(0)
    )
    assert len(exact) > 100
    assert (sums["points"] - exact).abs().max() < 1e-9
    assert (sums["points_displayed"] == shown.reindex(exact.index)).all()
    outside = set(found.accounts["account_id"]) - set(exact.index)
    said = found.lines[found.lines["cause"].isin(["new", "gone", "unknown"])]
    assert set(said["account_id"]) == outside and all(len(words) > 10 for words in said["words"])
    per_cause = found.accounts.set_index("account_id").loc[exact.index, list(CAUSES)].sum(axis=1)
    assert (per_cause - exact).abs().max() < 1e-9


def test_only_the_model_changed_is_all_model(company_copy: Company) -> None:
    put_to_use(company_copy, another_model(in_use(company_copy)))
    published(company_copy)
    found = changes(company_copy)
    check_sums(company_copy, found)
    size = sizes(found)
    assert (
        size["model"] > 50
        and size["data"] == size["clock"] == size["behaviour"] == size["scale"] == 0
    )
    base = found.lines[found.lines["driver"] == "base"]
    assert base["points"].nunique() == 1 and len(base) == found.lines["account_id"].nunique()
    assert [m.split()[0] for m in found.markers] == ["model", "calibrator"]
    workspace, target = company_copy.workspace()
    assert list(run_history(workspace.store, target.name)["marker"]) == [
        ""
    ]  # one date: the newest run stands for it


def test_only_late_rows_are_all_data(company_copy: Company) -> None:
    workspace, _ = company_copy.workspace()
    version = workspace.store.version("staged_usage_events")
    others = workspace.store.version("staged_surveys")
    late_rows(company_copy, JUNE)
    published(company_copy, stage=True)
    # Equal rows make no new version: else every command would keep a copy of all data for
    # `replay_days`.
    assert workspace.store.version("staged_usage_events") == version + 1
    assert workspace.store.version("staged_surveys") == others
    found = changes(company_copy)
    check_sums(company_copy, found)
    size = sizes(found)
    assert (
        size["data"] > 1
        and size["clock"] == size["behaviour"] == size["model"] == size["scale"] == 0
    )
    assert found.lines["words"].str.contains("as we know now; first scored").any()
    assert found.markers == ()


def stamped_usage(company: Company, *, of_every_third: timedelta) -> None:
    """Usage that says when it became known: ten hours later, as always; of every third account the last
    three weeks before MAY take longer.
    """
    usage = company.table("usage_events")
    accounts = sorted(usage["account_id"].unique())[::3]
    chosen = usage["account_id"].isin(accounts) & usage["event_time"].between(
        pd.Timestamp(MAY) - timedelta(days=21), pd.Timestamp(MAY), inclusive="left"
    )
    assert 100 < chosen.sum() < 0.05 * len(usage)
    known = usage["event_time"] + timedelta(hours=10)
    company.replace_table(
        "usage_events", usage.assign(known_at=known.where(~chosen, known + of_every_third))
    )
    company.declare("usage_events", 'columns.known_at = "known_at"')
    company.declare("usage_events", "check_volume = false")


@pytest.mark.parametrize("is_staged_between", [False, True])
def test_rows_that_say_they_came_late_are_data_and_not_behaviour(
    company_copy: Company, is_staged_between: bool
) -> None:
    """Nothing is rewritten: each row has been known since its `known_at`, and no run lied."""
    stamped_usage(company_copy, of_every_third=timedelta(days=22))
    may = published(company_copy, MAY, stage=True)
    if is_staged_between:
        company_copy.replace_table("surveys", company_copy.table("surveys").iloc[1:])
    june = published(company_copy, hours=2, stage=is_staged_between)
    late = changes(company_copy, may, june)
    check_sums(company_copy, late)
    usage = company_copy.table("usage_events")
    told = late.lines[late.lines["cause"].eq("data")]
    assert sizes(late)["data"] > 1 and set(told["account_id"]) <= set(
        sorted(usage["account_id"].unique())[::3]
    )
    assert told["words"].str.contains("as we know now; first scored").any()


def test_rows_that_come_as_always_are_behaviour(company_copy: Company) -> None:
    """The last hours before each run arrive after it, and that is no news of the data."""
    stamped_usage(company_copy, of_every_third=timedelta(0))
    may = published(company_copy, MAY, stage=True)
    june = published(company_copy, hours=2)
    found = changes(company_copy, may, june)
    check_sums(company_copy, found)
    assert sizes(found)["data"] == 0 and sizes(found)["behaviour"] > 1


def test_nothing_changed_is_nothing(company_copy: Company) -> None:
    accounts = company_copy.table("accounts")
    company_copy.replace_table("accounts", accounts.assign(owner="CSM-99"))
    first = first_run(company_copy)
    assert published(company_copy, stage=True) != first
    found = changes(company_copy)
    assert found.lines["points"].dropna().empty and set(found.accounts["moved_by"]) <= {
        "",
        "unknown",
    }
    assert (found.accounts["change"].dropna() == 0).all()


def test_only_the_scale_changed_is_all_scale(company_copy: Company) -> None:
    put_to_use(company_copy, replace(in_use(company_copy), scale=scale_from_anchors(0.15, 0.02)))
    published(company_copy)
    found = changes(company_copy)
    check_sums(company_copy, found)
    size = sizes(found)
    assert (
        size["scale"] > 50
        and size["data"] == size["clock"] == size["behaviour"] == size["model"] == 0
    )
    assert [m.split()[0] for m in found.markers] == ["scale"]


def test_only_settings_of_a_source_changed_is_all_scale_and_configuration(
    company_copy: Company,
) -> None:
    """A feed that counts as dead sooner leaves windows uncovered: other inputs from the same
    rows.
    """
    file = company_copy.folder / "tenure.toml"
    file.write_text(
        file.read_text().replace("[sources.surveys]", "[sources.surveys]\nsilent_after_days = 1")
    )
    published(company_copy)
    found = changes(company_copy)
    check_sums(company_copy, found)
    size = sizes(found)
    assert size["data"] == size["clock"] == size["behaviour"] == size["model"] == 0
    assert [m.split()[0] for m in found.markers] == ["configuration"]


def test_everything_at_once_adds_for_every_account_and_what_is_missing_is_said(
    company_copy: Company,
) -> None:
    may = published(company_copy, MAY)
    late_rows(company_copy, MAY)
    file = company_copy.folder / "tenure.toml"
    file.write_text(file.read_text().replace("p_at_risk = 0.25", "p_at_risk = 0.28"))
    put_to_use(
        company_copy,
        replace(another_model(in_use(company_copy)), scale=scale_from_anchors(0.15, 0.02)),
    )
    june = published(company_copy, hours=2, stage=True)
    found = changes(company_copy, may[:8], "2025-06-01")
    assert (found.before.run_id, found.after.run_id) == (may, june)
    check_sums(company_copy, found)
    # The calendar, the largest of the clocks, has no points: ages are left.
    assert all(size > (0 if cause == "clock" else 1) for cause, size in sizes(found).items())
    assert {"gone", "new"} & set(found.accounts["moved_by"])
    workspace, target = company_copy.workspace()
    kept = workspace.store.read("changes")
    assert len(kept) == len(found.lines) and set(kept["from_run"]) == {may}
    assert list(run_history(workspace.store, target.name)["marker"]) == [
        "",
        "model, calibrator, scale, configuration",
    ]

    # And when what it rests on is gone, that is said.
    shutil.rmtree(workspace.store.path("staged_usage_events"))
    with pytest.raises(NotFound, match=r"staged_usage_events.*replay_days"):
        changes(company_copy, may)
    tracker = client(workspace.folder, None)
    name = model_name(workspace, target)
    tracker.delete_registered_model_alias(name, CHAMPION)
    for entry in tracker.search_model_versions(f"name='{name}'"):
        tracker.delete_model_version(name, entry.version)
    with pytest.raises(NotFound, match="is not among the 0 registered"):
        changes(company_copy, may)


def test_only_time_passed_is_clock_and_behaviour(company_copy: Company, tenure: Command) -> None:
    may = published(company_copy, MAY)
    found = changes(company_copy)
    assert (found.before.run_id, found.after.run_id) == (may, first_run(company_copy))
    check_sums(company_copy, found)
    size = sizes(found)
    assert size["clock"] > 0 and size["behaviour"] > 1 and size["model"] == size["scale"] == 0
    table = found.accounts.dropna(subset=["timing_before", "timing_after"])
    workspace, _ = company_copy.workspace()
    scores = workspace.store.read("scores", filters=[("run_id", "=", may)]).set_index("account_id")
    mine = scores.loc[table["account_id"]]
    assert len(table) > 10 and list(table["timing_before"]) == list(mine["timing"])
    assert list(table["probability_before"]) == list(mine["probability"])
    one = table.loc[(table["timing_after"] - table["timing_before"]).idxmax()]
    told = tenure("changes", "--account", one["account_id"], "--project", company_copy.folder)
    before, after = f"{one['probability_before']:.0%}", f"{one['probability_after']:.0%}"
    assert f"chance within 90 days: {before} before, {after} now" in told.out
    assert "because of the contract's date" in told.out
    # A few devices of the company send what they recorded days later.
    assert 0 < size["data"] < 0.01 * size["behaviour"]

    told = tenure(
        "changes", "--from", MAY, "--to", JUNE, "--json", "--project", company_copy.folder
    )
    assert told.code == 0, told.err
    answer: dict[str, Any] = json.loads(told.out)
    assert answer["from"]["run_id"] == may and set(answer["causes"]) == set(CAUSES)
    assert (
        sum(move["accounts"] for move in answer["moves"])
        == (
            found.accounts["band_before"].fillna("-") != found.accounts["band_after"].fillna("-")
        ).sum()
    )
    assert len(company_copy.workspace()[0].store.read("changes")) == len(
        found.lines
    )  # asked twice, written once
    words = tenure("changes", "--project", company_copy.folder)
    assert words.code == 0 and "2025-05-04" in words.out
    assert CAUSES_IN_WORDS["behaviour"] in words.out
    page = (company_copy.folder / "reports" / "churn_90d" / "changes.html").read_text()
    assert "http" not in page.split("</head>")[1] and "2025" in page

    moved = found.accounts.dropna(subset=["change"]).sort_values("change")["account_id"].iloc[0]
    one = tenure("changes", "--account", moved, "--project", company_copy.folder)
    assert one.code == 0 and moved in one.out, one.err
    one_json = json.loads(
        tenure("changes", "--account", moved, "--json", "--project", company_copy.folder).out
    )
    assert (
        sum(line["points_displayed"] for line in one_json["lines"]) == one_json["account"]["change"]
    )
    wrong = tenure("changes", "--account", f"{moved}x", "--project", company_copy.folder)
    assert wrong.code == 2 and moved in wrong.err


def test_one_run_or_the_same_twice_is_refused(company: Company) -> None:
    with pytest.raises(NotFound, match="no run was published before"):
        changes(company)
    with pytest.raises(ConfigError, match="name the same run"):
        changes(company, first_run(company), "2025-06-01")
    with pytest.raises(NotFound, match=r"no run '2020-01-01'.*2025-06-01"):
        changes(company, "2020-01-01")
