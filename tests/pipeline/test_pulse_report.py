"""`tenure pulse`: the rating that counts is the one the card reads, with author and expiry; what it
weighs; who was right.
"""

import json

import pandas as pd
import pytest
from small_company import Command, Company

from pipeline.engine.duckdb import connected
from pipeline.jobs.pulse import PulseReport, pulse_on, pulse_report, pulse_source
from pipeline.jobs.stage import load_staged, stage_sources
from pipeline.reports.pulse import pulse_page, verdict_words

JUNE = pd.Timestamp("2025-06-01")


@pytest.fixture(scope="module")
def report(company: Company) -> PulseReport:
    return pulse_report(*company.workspace())


def test_every_account_has_the_pulse_its_score_was_made_with(
    company: Company, report: PulseReport
) -> None:
    features = company.published("features_scored_churn_90d").set_index("account_id")["pulse"]
    rows = report.accounts.set_index("account_id")
    counts = rows["status"] == "current"
    scored = features.reindex(rows.index)
    assert counts.sum() > 20 and (~counts).sum() > 20
    assert (rows.loc[counts, "pulse"] == scored[counts]).all()
    assert scored[~counts].isna().all()
    assert (rows.loc[~counts, "opinion"] == "").all() and (
        rows.loc[~counts, "disagreement"] == ""
    ).all()


def test_author_and_expiry_are_those_of_the_note(company: Company, report: PulseReport) -> None:
    notes = company.table("csm_notes")
    for row in report.accounts[report.accounts["status"] == "current"].head(20).to_dict("records"):
        mine = notes[
            (notes["account_id"] == row["account_id"]) & (notes["noted_at"] == row["noted_at"])
        ].iloc[0]
        assert (row["author"], row["pulse"], row["expires_at"]) == (
            mine["author"],
            mine["pulse"],
            mine["expires_at"],
        )
        assert JUNE <= row["counts_until"] <= row["expires_at"]


def test_points_of_the_pulse_are_those_of_its_drivers(
    company: Company, report: PulseReport
) -> None:
    """Where a published driver is the pulse alone, its points are at most those the report adds
    over all pulse signals.
    """
    scored = report.accounts.dropna(subset=["health"])
    assert report.weight.accounts == len(
        company.published("scores").dropna(subset=["health_exact"])
    )
    assert scored["points"].notna().all() and report.weight.signals == 3
    assert 0 <= report.weight.share < 1


def test_notes_count_until_they_expire_or_grow_old(company_copy: Company) -> None:
    """Edges on 1 June: an expiry on the date still counts, one second before not; 91 days count, 92
    do not; no future notes.
    """
    notes = [
        ("A", "2025-05-01", "2025-06-01 00:00:00", 4),
        ("B", "2025-05-01", "2025-05-31 23:59:59", 4),
        ("C", "2025-03-02 12:00", None, 2),
        ("D", "2025-03-01 12:00", None, 2),
        ("E", "2025-06-01", None, 5),
        ("F", "2025-05-20", "2025-05-25", 5),
        ("F", "2025-04-20", "2025-07-01", 1),
    ]
    rows = pd.DataFrame(notes, columns=["account_id", "noted_at", "expires_at", "pulse"]).assign(
        author="CSM 01", text="said"
    )
    rows[["noted_at", "expires_at"]] = rows[["noted_at", "expires_at"]].apply(
        pd.to_datetime, format="ISO8601"
    )
    rows["known_at"] = rows["noted_at"]
    template = company_copy.table("csm_notes")
    company_copy.replace_table("csm_notes", rows.reindex(columns=template.columns))
    workspace, _ = company_copy.workspace()
    with connected() as connection:
        stage_sources(workspace, connection)
        source = pulse_source(load_staged(workspace, connection))
        asked = pd.DataFrame(
            {"account_id": list("ABCDEFG"), "as_of": pd.Series([JUNE] * 7, dtype="datetime64[us]")}
        )
        found = pulse_on(connection, source, asked).set_index("account_id")
    assert found["status"].to_dict() == {
        "A": "current",
        "B": "expired",
        "C": "current",
        "D": "old",
        "E": "never",
        "F": "current",
        "G": "never",
    }
    assert found.loc["F", "pulse"] == 1  # the newer note expired, the older one still counts
    assert found.loc["C", "counts_until"] == JUNE and found.loc["A", "counts_until"] == JUNE


def test_verdicts_rest_on_the_untouched_test(company: Company, report: PulseReport) -> None:
    workspace, target = company.workspace()
    backtest = workspace.store.read("backtest", filters=[("target", "=", target.name)])
    assert report.tested_dates == tuple(sorted(set(backtest["as_of"].dt.date)))
    for verdict in report.verdicts:
        assert 0 <= verdict.left <= verdict.scores <= len(backtest)
        assert verdict.model_right + verdict.pulse_right == verdict.scores
        if verdict.scores and verdict.accounts < 30:
            assert "%" not in verdict_words(report, verdict.kind)[0]


def test_command_speaks_json_and_writes_a_page(company_copy: Company, tenure: Command) -> None:
    answer = tenure("pulse", "--project", company_copy.folder, "--json")
    assert answer.code == 0, answer.err
    told = json.loads(answer.out)
    assert sum(told["ratings"].values()) == len(told["accounts"])
    assert {"author", "noted_at", "expires_at", "points", "disagreement"} <= set(
        told["accounts"][0]
    )
    shown = tenure("pulse", "--project", company_copy.folder)
    assert "have a current pulse" in shown.out and "The account managers" in shown.out
    assert "never as a good one" in shown.out
    page = tenure("pulse", "--page", "--project", company_copy.folder).out.strip()
    text = open(page).read()
    assert "Pulse and score disagree on" in text and "<script" not in text


def test_page_escapes_what_people_typed(report: PulseReport) -> None:
    rows = report.accounts.assign(
        author="<b>CSM</b>",
        name="Mill & <Sons>",
        disagreement="pulse_warns",
        points=0.0,
        health=90,
        band="healthy",
        probability=0.1,
        pulse=1.0,
        noted_at=JUNE,
        counts_until=JUNE,
    )
    changed = PulseReport(
        report.run, report.source, rows.head(3), report.weight, report.verdicts, report.tested_dates
    )
    text = pulse_page(changed, horizon_days=90, project="demo", now=JUNE.to_pydatetime())
    assert "<Sons>" not in text and "&lt;b&gt;CSM" in text


def test_a_target_about_growing_and_a_project_without_pulse_are_refused(
    company_copy: Company, tenure: Command
) -> None:
    growth = tenure("pulse", "--project", company_copy.folder, "--target", "expansion_90d")
    assert growth.code == 2 and "pulse ratings are about staying" in growth.err
    file = company_copy.folder / "tenure.toml"
    lines = file.read_text().replace(
        '[sources.csm_notes]\nlocation = "data/csm_notes.parquet"\ndata_until = 2025-06-01\n', ""
    )
    file.write_text(lines)
    absent = tenure("pulse", "--project", company_copy.folder)
    assert absent.code == 2 and "[sources.csm_notes]" in absent.err
