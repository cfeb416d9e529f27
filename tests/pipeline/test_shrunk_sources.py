"""A table that lost rows since it was staged last is a broken export until somebody says that it is
right.
"""

import re
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from small_company import Command, Company

from features.errors import GateRefused
from pipeline.engine.duckdb import connected
from pipeline.jobs.stage import stage_sources
from pipeline.workspace import open_workspace

TOML = """
name = "small"
time_zone = "UTC"
[sources.accounts]
location = "accounts.csv"
[sources.usage_events]
location = "events.csv"
columns = { event_time = "at", event_name = "what" }
[[targets]]
name = "silent"
kind = "inactivity"
horizon_days = 30
"""
ACCOUNTS = [f"a{number},2023-01-01" for number in range(40)]
DAYS = [date(2023, 1, 1) + timedelta(day) for day in range(100)]
EVENTS = [f"a{number},{day},open" for day in DAYS for number in range(40)]
BY_ACCOUNT = sorted(EVENTS)


def write(folder: Path, events: list[str], accounts: list[str] = ACCOUNTS) -> None:
    (folder / "accounts.csv").write_text("\n".join(["account_id,created_at", *accounts, ""]))
    (folder / "events.csv").write_text("\n".join(["account_id,at,what", *events, ""]))


def stage(folder: Path) -> int:
    """Rows of usage as they are staged."""
    workspace = open_workspace(folder, None, datetime(2023, 5, 1))
    with connected() as connection:
        return stage_sources(workspace, connection)["usage_events"].rows_staged


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project that was staged once."""
    (tmp_path / "tenure.toml").write_text(TOML)
    write(tmp_path, EVENTS)
    assert stage(tmp_path) == 4_000
    return tmp_path


@pytest.mark.parametrize(
    ("left", "words"),
    [
        pytest.param(EVENTS[:2_000], r"2,000 of them \(50%\)", id="half by date"),
        pytest.param(BY_ACCOUNT[:2_000], r"2,000 of them \(50%\)", id="half by account"),
        pytest.param(BY_ACCOUNT[:3_780], r"220 of them \(6%\)", id="a little by account"),
        pytest.param(EVENTS[:3_960], "40 of the newest are missing", id="the last day"),
    ],
)
def test_a_file_cut_between_two_rows_is_refused(folder: Path, left: list[str], words: str) -> None:
    workspace = open_workspace(folder, None, datetime(2023, 5, 1))
    versions = {name: workspace.store.version(name) for name in workspace.store.tables()}
    write(folder, left)

    with pytest.raises(GateRefused, match=rf"'usage_events' has .*4,000.*{words}") as refused:
        stage(folder)

    assert versions == {name: workspace.store.version(name) for name in workspace.store.tables()}
    (line,) = re.findall(r"fewest_rows = \d+", str(refused.value))
    accept(folder, line)
    assert stage(folder) == len(left)
    # What was accepted is what the next export is held against.
    (folder / "tenure.toml").write_text(TOML)
    assert stage(folder) == len(left)


def accept(folder: Path, line: str) -> None:
    (folder / "tenure.toml").write_text(
        TOML.replace("[sources.usage_events]\n", f"[sources.usage_events]\n{line}\n")
    )


def test_half_a_table_without_dates_is_refused(folder: Path) -> None:
    write(folder, EVENTS, ACCOUNTS[:20])
    with pytest.raises(GateRefused, match=r"'accounts' has 20 rows; the last time it had 40"):
        stage(folder)


@pytest.mark.parametrize(
    "left",
    [
        pytest.param([*EVENTS, *EVENTS[-1:]], id="grew"),
        pytest.param([row for row in EVENTS if not row.startswith("a7,")], id="one account less"),
        pytest.param([row for row in EVENTS if row.split(",")[1] > "2023-02-20"], id="a window"),
        pytest.param(EVENTS[:500] + EVENTS[600:], id="corrections"),
        pytest.param(EVENTS[:-9], id="the newest few"),
    ],
)
def test_what_exports_lose_in_order_is_read(folder: Path, left: list[str]) -> None:
    write(folder, left)
    assert stage(folder) == len(set(left)) or len(left) > len(EVENTS)


def test_a_floor_holds_from_the_first_reading(tmp_path: Path) -> None:
    accept(tmp_path, "fewest_rows = 4000")
    write(tmp_path, EVENTS[:3_999])
    with pytest.raises(GateRefused, match="has 3,999 rows; fewest_rows .* at least 4,000"):
        stage(tmp_path)


def test_a_shift_that_is_accepted_accepts_no_broken_export(
    company_copy: Company, tenure: Command
) -> None:
    usage, file = (
        company_copy.table("usage_events"),
        company_copy.folder / "data/usage_events.parquet",
    )
    file.unlink()  # copies share files
    usage.iloc[: len(usage) // 2].to_parquet(file, index=False)

    answer = tenure("score", "--accept-shift", "a new price", "--project", company_copy.folder)

    assert answer.code == 3 and "'usage_events' has" in answer.err, answer.err
    assert len(company_copy.workspace()[0].store.read("runs")) == 1
