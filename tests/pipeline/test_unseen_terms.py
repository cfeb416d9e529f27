"""Accounts on terms of a length that no training label saw end: asked about by `check`, published
as unknown.
"""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest
from small_company import Company

from features.terms import current_terms, term_name
from features.windows import day_number
from pipeline.checking import CheckReport, check_sources
from pipeline.engine.duckdb import Connection, connected
from pipeline.engine.facts import source_facts
from pipeline.jobs import features as build
from pipeline.jobs.registry import need_version
from pipeline.jobs.score import score_target
from pipeline.jobs.stage import load_staged, stage_sources
from pipeline.jobs.terms import SEEN, TERMS, seen_terms, unseen_terms
from pipeline.tracking import CHAMPION
from pipeline.workspace import open_workspace

NOW = datetime(2025, 6, 1, tzinfo=UTC)
TOML = """
name = "terms"
[sources.subscriptions]
location = "subscriptions.csv"
convention = "fixed_term"
data_until = 2024-08-01
[sources.usage_events]
location = "usage.csv"
[[targets]]
name = "renewal"
kind = "churn"
{horizon}
dates = {{ every_days = 14, first = 2024-02-01, last = 2024-06-20 }}
test = {{ count = 2 }}
"""


def project(folder: Path, horizon: str) -> Path:
    """Twelve monthly accounts, of which every third leaves, and four that signed for a year."""
    folder.mkdir(exist_ok=True)
    (folder / "tenure.toml").write_text(TOML.format(horizon=horizon))
    rows = []
    for i in range(12):
        for month in range(1, 4 + i % 3 if i % 3 == 0 else 9):
            begins, ends = (
                pd.Timestamp(2024, month, 1),
                pd.Timestamp(2024, month, 1) + pd.offsets.MonthBegin(),
            )
            rows.append(f"m{i:02},{begins:%Y-%m-%d},{ends:%Y-%m-%d},10")
    rows += [f"y{i},2024-01-{10 + i},2025-01-{10 + i},100" for i in range(4)]
    (folder / "subscriptions.csv").write_text(
        "account_id,starts_at,ends_at,amount_per_month\n" + "\n".join(rows) + "\n"
    )
    days = pd.date_range("2024-01-02", "2024-07-31", freq="D")
    accounts = (*(f"m{i:02}" for i in range(12)), "y0", "y1", "y2", "y3")
    usage = [f"{account},{day:%Y-%m-%d}" for day in days for account in accounts]
    (folder / "usage.csv").write_text("account_id,event_time\n" + "\n".join(usage) + "\n")
    return folder


def checked(folder: Path, duck: Connection) -> CheckReport:
    return check_sources(open_workspace(folder, None, NOW), duck)


@pytest.mark.parametrize(
    ("days", "name"),
    [
        (7, "weekly"),
        (28, "monthly"),
        (31, "monthly"),
        (92, "quarterly"),
        (184, "half-yearly"),
        (365, "yearly"),
        (366, "yearly"),
        (731, "2-year"),
        (1096, "3-year"),
    ],
)
def test_terms_are_named_by_the_nearest_usual_length(days: int, name: str) -> None:
    assert term_name(days) == name


def test_check_counts_accounts_and_value_of_terms_without_a_label(
    tmp_path: Path, duck: Connection
) -> None:
    found = checked(project(tmp_path / "p", 'horizon = "next_renewal"'), duck).finding(
        "term-never-labelled"
    )
    assert found is not None and found.severity == "warn"
    # Eight monthly accounts are left on 2024-08-01, paying 10 each; four yearly ones pay 100.
    assert (found.count, found.total) == (4, 12)
    assert (
        "yearly" in found.what
        and "83% of the monthly amount" in found.what
        and "seen to end: monthly" in found.todo
    )


def test_a_year_that_cannot_end_inside_the_horizon_is_no_unknown(
    tmp_path: Path, duck: Connection
) -> None:
    assert (
        checked(project(tmp_path / "p", "horizon_days = 30"), duck).finding("term-never-labelled")
        is None
    )


def test_plan_that_binds_for_a_year_does_not_tell_who_leaves(
    tmp_path: Path, duck: Connection
) -> None:
    """Nobody on a yearly plan could leave yet: that the plan 'ranks' leavers is no leak."""
    folder = project(tmp_path / "p", "horizon_days = 14")
    rows = [
        f"m{i},2024-{m:02}-01,2024-{m + 1:02}-01,monthly"
        for i in range(60)
        for m in range(1, 4 if i % 2 else 8)
    ]
    rows += [f"y{i},2024-01-10,2025-01-10,yearly" for i in range(400)]
    (folder / "subscriptions.csv").write_text(
        "account_id,starts_at,ends_at,plan\n" + "\n".join(rows) + "\n"
    )
    assert checked(folder, duck).finding("value-tells-outcome") is None


def test_only_complete_labels_of_training_count_as_seen(tmp_path: Path, duck: Connection) -> None:
    workspace = open_workspace(project(tmp_path / "p", 'horizon = "next_renewal"'), None, NOW)
    target = workspace.target(None)
    stage_sources(workspace, duck)
    staged = load_staged(workspace, duck)
    assert build.build_training(workspace, duck, target).choices[TERMS] == {SEEN: ["monthly"]}
    duck.execute("update snapshots set is_test = true")
    assert seen_terms(workspace, duck, staged, target) == ()
    day = day_number(date(2024, 7, 15))
    build.grid_candidates(duck, workspace, staged, target, [day])
    build.take_snapshots(workspace, duck, staged, target, {})
    assert unseen_terms(workspace, duck, staged, target, ["monthly"], day=day) == {
        f"y{i}": "yearly" for i in range(4)
    }


def test_contract_prolonged_in_place_counts_its_last_stretch(
    tmp_path: Path, duck: Connection
) -> None:
    """One row whose end moves on by a month each time is a monthly term, however long ago it
    began.
    """
    folder = project(tmp_path / "p", 'horizon = "next_renewal"')
    versions = [f"m,r1,2023-01-01,2023-{m:02}-01,2023-{m - 1:02}-01" for m in range(2, 13)]
    (folder / "subscriptions.csv").write_text(
        "account_id,row_key,starts_at,ends_at,known_at\n" + "\n".join(versions) + "\n"
    )
    workspace = open_workspace(folder, None, NOW)
    stage_sources(workspace, duck)
    facts = source_facts(load_staged(workspace, duck)["subscriptions"], {})
    day = day_number(date(2023, 11, 15))
    duck.execute(
        f"create or replace temp table snapshots as select 'm' as account_id, {day} as as_of_day"
    )
    assert duck.execute(f"select term_days from ({current_terms(facts)})").fetchall() == [(30,)]


def test_scores_of_unseen_terms_are_unknown_with_their_reason(company_copy: Company) -> None:
    workspace, target = company_copy.workspace()
    in_use = need_version(workspace, target, CHAMPION).bundle
    bundle = replace(
        in_use, basis="calibrated", choices={**in_use.choices, TERMS: {SEEN: ["monthly"]}}
    )
    with workspace.store.writing(), connected() as connection:
        stage_sources(workspace, connection)
        scores = score_target(workspace, connection, target, bundle=bundle).scores.set_index(
            "account_id"
        )
    unknown = scores[scores["state"] == "unknown"]
    assert (
        len(unknown)
        and unknown["band_reason"].str.fullmatch(r"no [\w-]+ term ended in training").all()
    )
    assert unknown[["probability", "health", "health_exact", "base_points"]].isna().all(axis=None)
    drivers = workspace.store.read(
        "drivers", filters=[("run_id", "=", str(scores["run_id"].iloc[0]))]
    )
    assert not set(drivers["account_id"]) & set(unknown.index)
