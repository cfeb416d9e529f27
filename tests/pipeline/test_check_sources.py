"""The questions of `tenure check`: by hand on tiny tables, on the simulated company, on
ravenstack.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from features.errors import ConfigError, LeakageError
from models.intervals import auc_half_width
from models.target_words import TARGET_WORDS
from pipeline.checking import CheckReport, check_sources, check_text, refuse_training
from pipeline.checking.check import FINDINGS
from pipeline.checking.leavers import rate_findings, width_finding
from pipeline.checking.report import DateCount
from pipeline.engine.duckdb import Connection, connected
from pipeline.simulate import WorldOptions, simulate, write_world
from pipeline.storage import Store
from pipeline.workspace import Workspace, open_workspace

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2025, 6, 1, tzinfo=UTC)
ACCOUNTS = 150

TINY = """
name = "tiny"
[sources.accounts]
location = "accounts.csv"
extra = { status = "status" }
[sources.subscriptions]
location = "subscriptions.csv"
convention = "fixed_term"
[sources.usage_events]
location = "usage.csv"
extra = { subscription_id = "subscription_id", event_id = "event_id" }
[[targets]]
name = "churn_30d"
kind = "churn"
horizon_days = 30
dates = { every_days = 7 }
"""


def opened(folder: Path, tmp_path: Path, data: Path | None = None) -> Workspace:
    workspace = open_workspace(folder, data, NOW)
    return Workspace(
        workspace.project, workspace.folder, workspace.data_dir, Store(tmp_path / "store"), NOW
    )


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of one company, once with its history and once as a CRM would export it."""
    made = {}
    for name, as_exported in (("clean", False), ("exported", True)):
        folder = tmp_path_factory.mktemp(name)
        options = WorldOptions(as_exported=as_exported, truth_dates=())
        write_world(simulate(ACCOUNTS, 7, options=options), folder, with_truth=False)
        made[name] = folder
    return made


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Four accounts with one fault each; written so that every figure can be counted by eye."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "tenure.toml").write_text(TINY, encoding="utf-8")
    (folder / "accounts.csv").write_text(
        "account_id,created_at,value_per_year,status\n"
        "a,2024-01-10,1200,active\nb,2024-01-01,-5,active\nc,2024-01-01,300,cancelled\nd,2024-01-01,300,active\n"
    )
    (folder / "subscriptions.csv").write_text(
        "account_id,subscription_id,starts_at,ends_at,amount_per_month\n"
        "a,s1,2024-01-10,2025-01-10,100\n"
        "b,s2,2024-01-01,2024-04-01,10\nb,s3,2024-03-01,2025-01-01,10\n"  # overlap in March
        "c,s4,2024-01-01,2024-03-01,25\nd,s5,2024-02-01,2025-02-01,25\n"
    )
    days = pd.date_range("2024-01-01", "2024-06-30").strftime("%Y-%m-%d")
    usage = [f"b,s2,{day},e{i}" for i, day in enumerate(days)]
    usage += [
        "a,s1,2024-01-09,x1",
        "a,s1,2024-01-10,x2",
        "d,s5,2024-01-31,x3",
        "zz,s9,2024-02-01,x4",
        "c,s4,2024-03-02,x4",
    ]
    (folder / "usage.csv").write_text(
        "account_id,subscription_id,event_time,event_id\n" + "\n".join(usage) + "\n"
    )
    return folder


def checked(
    folder: Path, tmp_path: Path, duck: Connection, data: Path | None = None
) -> CheckReport:
    return check_sources(opened(folder, tmp_path, data), duck)


def figures(
    report: CheckReport, name: str, source: str | None = None
) -> tuple[int | None, int | None]:
    finding = report.finding(name, source)
    assert finding is not None, f"{name} not among {[f.name for f in report.findings]}"
    return finding.count, finding.total


def test_tiny_tables_are_counted_as_by_hand(tiny: Path, tmp_path: Path, duck: Connection) -> None:
    report = checked(tiny, tmp_path, duck)
    # x1 lies a day before a's sign-up, x2 on it; zz has no account to compare with.
    assert figures(report, "before-sign-up") == (1, 182 + 4)
    # x1 before s1 and x3 before s5; s9 is unknown.
    assert figures(report, "before-own-subscription") == (2, 182 + 4)
    # b goes on after 2024-04-01 under s2's id: 90 days; c on 03-02.
    assert figures(report, "after-own-subscription") == (90 + 1, 182 + 4)
    assert figures(report, "overlapping-subscriptions") == (1, 4)
    assert report.finding("overlapping-subscriptions").examples == ("b",)  # type: ignore[union-attr]
    assert figures(report, "negative-amounts", "accounts") == (1, 4)
    assert figures(report, "duplicate-ids", "usage_events") == (1, 186)
    assert figures(report, "ids-missing-from-accounts") == (1, 5)
    assert report.finding("flag-disagrees") is None


def test_states_of_a_subscription_as_kinds_of_event_are_told(
    tiny: Path, tmp_path: Path, duck: Connection
) -> None:
    usage = pd.read_csv(tiny / "usage.csv")
    kinds = ["login", "Canceled", "active", "cancel page seen", "reactivated"]
    usage["event_name"] = [kinds[row % len(kinds)] for row in range(len(usage))]
    usage.to_csv(tiny / "usage.csv", index=False)
    report = checked(tiny, tmp_path, duck)
    assert figures(report, "outcome-words", "usage_events") == (2, 5)
    finding = report.finding("outcome-words")
    assert finding is not None and finding.severity == "warn"
    assert "Canceled" in finding.what and "cancel page" not in finding.what


def test_identical_rows_are_asked_about_and_left_out_only_when_declared(
    tiny: Path, tmp_path: Path, duck: Connection
) -> None:
    with (tiny / "usage.csv").open("a") as lines:
        lines.write("a,s1,2024-01-10,x2\n" * 2 + "a,s1,2024-01-10,x5\n")
    finding = checked(tiny, tmp_path, duck).finding("identical-rows")
    assert finding is not None and (finding.count, finding.total, finding.source) == (
        2,
        190,
        "usage_events",
    )
    assert finding.examples == (
        "account_id = a, subscription_id = s1, event_time = 2024-01-10, event_id = x2 (3 times)",
    )
    assert "drop_duplicates = true" in finding.todo and finding.severity == "warn"
    file = tiny / "tenure.toml"
    file.write_text(
        file.read_text().replace(
            'location = "usage.csv"', 'location = "usage.csv"\ndrop_duplicates = true'
        )
    )
    with connected() as afresh:
        report = checked(tiny, tmp_path, afresh)
    usage = next(s for s in report.sources if s.name == "usage_events")
    assert usage.rows_left_out == {"drop_duplicates": 2} and usage.rows_staged == 188
    assert report.finding("identical-rows") is None


def test_rows_that_differ_in_a_column_not_mapped_are_no_copies(
    tiny: Path, tmp_path: Path, duck: Connection
) -> None:
    """Two lines of one bill, of other articles at one price."""
    with (tiny / "usage.csv").open("w") as lines:
        lines.write(
            "account_id,event_time,article\n"
            + "".join(f"a,2024-02-01,article {i}\n" for i in range(5))
        )
    file = tiny / "tenure.toml"
    file.write_text(
        file.read_text().replace(
            'extra = { subscription_id = "subscription_id", event_id = "event_id" }', ""
        )
    )
    assert checked(tiny, tmp_path, duck).finding("identical-rows") is None


def test_facts_of_a_source_add_up(tiny: Path, tmp_path: Path, duck: Connection) -> None:
    report = checked(tiny, tmp_path, duck)
    usage = next(s for s in report.sources if s.name == "usage_events")
    assert usage.rows_read == usage.rows_staged + sum(usage.rows_left_out.values()) + sum(
        usage.rows_bad.values()
    )
    assert (usage.accounts, usage.covered, usage.covered_of) == (5, 4, 4)
    assert not usage.has_known_at and usage.delay_days == 0
    subscriptions = next(s for s in report.sources if s.name == "subscriptions")
    assert subscriptions.own_clocks == {"ends_at": "ends_at"}


def test_bad_rows_are_told_with_their_values(tiny: Path, tmp_path: Path, duck: Connection) -> None:
    with (tiny / "usage.csv").open("a") as lines:
        lines.write("b,s2,yesterday,y1\n")
    report = checked(tiny, tmp_path, duck)
    usage = next(s for s in report.sources if s.name == "usage_events")
    assert usage.bad_examples == (("event_time is not a time", "yesterday"),)
    assert "'yesterday'" in check_text(report)


def test_flag_that_contradicts_the_contracts_is_named(
    tiny: Path, tmp_path: Path, duck: Connection
) -> None:
    accounts = tiny / "accounts.csv"
    accounts.write_text(
        accounts.read_text()
        .replace("300,cancelled", "300,active")
        .replace("1200,active", "1200,cancelled")
    )
    report = checked(tiny, tmp_path, duck)
    assert figures(report, "flag-disagrees", "accounts") == (2, 4)


def test_extract_of_running_contracts_only_stops(
    tiny: Path, tmp_path: Path, duck: Connection
) -> None:
    text = (
        (tiny / "subscriptions.csv")
        .read_text()
        .replace("2024-04-01", "2025-04-01")
        .replace("2024-03-01,25", "2025-03-01,25")
    )
    (tiny / "subscriptions.csv").write_text(text)
    report = checked(tiny, tmp_path, duck)
    finding = report.finding("nobody-ever-ended")
    assert finding is not None and finding.severity == "stop"


def test_clean_company_is_not_refused(
    worlds: dict[str, Path], tmp_path: Path, duck: Connection
) -> None:
    report = checked(worlds["clean"], tmp_path, duck)
    assert report.stops == ()
    assert not {f.name for f in report.findings} & {
        "before-sign-up",
        "leavers-missing-from-accounts",
        "duplicate-ids",
    }
    refuse_training(report)
    assert report.dates and report.test_leavers is not None
    json.dumps(report.to_dict())


def test_export_of_a_crm_is_refused_and_all_three_signs_are_named(
    worlds: dict[str, Path], tmp_path: Path, duck: Connection
) -> None:
    report = checked(worlds["exported"], tmp_path, duck)
    assert {
        "attributes-without-history",
        "empty-only-for-leavers",
        "leavers-missing-from-accounts",
    } <= {f.name for f in report.stops}
    with pytest.raises(
        LeakageError,
        match="(?s)attributes-without-history.*value_per_year.*leavers-missing.*accept",
    ) as error:
        refuse_training(report)
    assert error.value.exit_code == 3
    assert "STOP" in check_text(report)


def test_accepted_findings_let_training_pass_with_their_reason(
    worlds: dict[str, Path], tmp_path: Path, duck: Connection
) -> None:
    folder = tmp_path / "accepted"
    folder.mkdir()
    # Rows of deleted accounts are missing elsewhere, too, so their absence tells who left.
    names = (
        "attributes-without-history",
        "empty-only-for-leavers",
        "leavers-missing-from-accounts",
        "value-tells-outcome",
    )
    accept = ", ".join(f'"{name}" = "a test of the refusal"' for name in names)
    text = (
        worlds["exported"] / "tenure.toml"
    ).read_text() + f"\n[checks]\naccept = {{ {accept} }}\n"
    # Amounts that were overwritten look like free terms, which is asked about.
    text = text.replace("[sources.subscriptions]\n", "[sources.subscriptions]\npaid_above = -1\n")
    assert "paid_above" in text
    (folder / "tenure.toml").write_text(text)
    report = checked(folder, tmp_path, duck, worlds["exported"])
    assert report.stops == () and len([f for f in report.findings if f.severity == "stop"]) >= 3
    refuse_training(report)
    assert "accepted: a test of the refusal" in check_text(report)


def test_waiver_of_an_unknown_finding_is_refused(
    tiny: Path, tmp_path: Path, duck: Connection
) -> None:
    with (tiny / "tenure.toml").open("a") as lines:
        lines.write('[checks]\naccept = { "before-signup" = "typing error" }\n')
    with pytest.raises(ConfigError, match="did you mean `before-sign-up`"):
        checked(tiny, tmp_path, duck)


def test_width_shrinks_with_leavers() -> None:
    widths = [auc_half_width(0.75, n, 400) for n in (5, 23, 100, 400)]
    assert widths == sorted(widths, reverse=True)
    assert widths[1] == pytest.approx(0.12, abs=0.005)
    assert auc_half_width(0.75, 0, 10) == float("inf")


@pytest.mark.parametrize(("leavers", "published"), [(9, True), (10, False)])
def test_too_few_leavers_for_any_gate_are_told_before_training(
    leavers: int, published: bool
) -> None:
    (finding,) = width_finding(leavers, 79, 0.4, TARGET_WORDS["churn"])
    assert ("the scorecard will be published" in finding.what) is published


def test_findings_of_growth_speak_of_growth() -> None:
    words = TARGET_WORDS["expansion"]
    (finding,) = width_finding(137, 700, 0.1, words)
    assert finding.what.startswith("137 accounts grew in the test: an AUC of")
    usual = [DateCount(f"2025-0{month}-01", False, 100, 100, 5) for month in range(1, 8)]
    jump = DateCount("2025-08-01", False, 100, 100, 90)
    (rate,) = rate_findings([*usual, jump], words)
    assert "90 of 100 accounts grow (90%)" in rate.what and "really grew then" in rate.todo
    assert not any(word in finding.what + rate.what for word in ("leave", "left"))


def test_every_finding_found_has_a_listed_name(
    worlds: dict[str, Path], tmp_path: Path, duck: Connection
) -> None:
    report = checked(worlds["exported"], tmp_path, duck)
    assert {f.name for f in report.findings} <= FINDINGS


def test_ravenstack_comes_out_with_its_figures(
    shared_data: Path, tmp_path: Path, duck: Connection
) -> None:
    report = checked(ROOT / "examples" / "ravenstack", tmp_path, duck, shared_data / "ravenstack")
    early = report.finding("before-own-subscription", "usage_events")
    tickets = report.finding("before-sign-up", "support_tickets")
    flag = report.finding("flag-disagrees", "accounts")
    assert (
        early is not None
        and early.share == pytest.approx(0.766, abs=0.001)
        and early.severity == "warn"
    )
    assert tickets is not None and tickets.share == pytest.approx(0.539, abs=0.001)
    assert flag is not None and flag.share == pytest.approx(0.376, abs=0.001)
    assert figures(report, "duplicate-ids", "usage_events") == (21, 24_979)
    test = [d for d in report.dates if d.is_test]
    assert [(d.period, d.labelled, d.leavers) for d in test] == [("2024-10-01", 411, 116)]
    refuse_training(report)


@pytest.mark.slow
def test_demo_of_the_default_size_is_not_refused(tmp_path: Path, duck: Connection) -> None:
    """Large enough for every question about values to be asked; leavers had less time to show any,
    and that is no leak.
    """
    write_world(
        simulate(1_000, 1, options=WorldOptions(truth_dates=())),
        tmp_path / "demo",
        with_truth=False,
    )
    report = checked(tmp_path / "demo", tmp_path, duck)
    assert [finding.name for finding in report.stops] == []
