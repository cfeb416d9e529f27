"""The console command: help without waiting, JSON that is only JSON, and bad input answered in
words.
"""

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer
from small_company import Command

from features.errors import (
    ArtifactMismatch,
    ChurnError,
    ConfigError,
    ContractError,
    EmptySource,
    GateRefused,
    IncompleteHorizon,
    LeakageError,
    NoModel,
    NotFound,
    StoreError,
    TooFewEvents,
)
from pipeline.cli import app
from pipeline.flow import FLOW
from pipeline.storage import Store

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {
    "mlflow",
    "sklearn",
    "lightgbm",
    "pandas",
    "duckdb",
    "deltalake",
    "optuna",
    "scipy",
    "matplotlib",
    "pyarrow",
    "numpy",
}


def _commands() -> list[tuple[str, ...]]:
    root: Any = typer.main.get_command(app)
    names = []
    for name, command in root.commands.items():
        inner = getattr(command, "commands", None)
        names += [(name, each) for each in inner] if inner else [(name,)]
    return names


# --- help
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [(), ("run",), ("score",), ("model", "export")], ids=" ".join)
def test_help_imports_nothing_heavy(command: tuple[str, ...]) -> None:
    script = (
        "import sys; from pipeline.cli import main\nsys.argv = ['tenure', *sys.argv[1:],"
        " '--help']\ntry:\n    main()\nexcept SystemExit as done:\n    assert not"
        " done.code\nprint('LOADED', *sorted({m.split('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *command],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    loaded = set(done.stdout.split("LOADED")[1].split())
    assert not loaded & HEAVY


def test_help_takes_under_half_a_second_of_work() -> None:
    """Processor time of the child, so that a busy machine does not matter; the best of three."""
    took = []
    for _ in range(3):
        before = os.times()
        subprocess.run(
            [
                sys.executable,
                "-c",
                (
                    "import sys; sys.argv = ['tenure', '--help']; from pipeline.cli import main;"
                    " main()"
                ),
            ],
            capture_output=True,
            check=False,
            cwd=ROOT,
        )
        after = os.times()
        took.append(
            after.children_user
            + after.children_system
            - before.children_user
            - before.children_system
        )
    assert min(took) < 0.5


@pytest.mark.parametrize("command", _commands(), ids=" ".join)
def test_every_help_shows_an_example_and_the_common_options(
    command: tuple[str, ...], tenure: Command
) -> None:
    said = tenure(*command, "--help")
    plain = " ".join(said.out.split())
    assert said.code == 0 and f"Example: tenure {' '.join(command)}" in plain
    for option in ("--project", "--json", "-h, --help"):
        assert option in plain


def test_flow_prints_every_step_and_the_readme_knows_them(tenure: Command) -> None:
    said = tenure("flow")
    readme = (ROOT / "README.md").read_text()
    for step in FLOW:
        assert re.search(rf"^{step.name} .*{re.escape(step.command)}", said.out, flags=re.M)
        assert step.what in said.out
        for table in (*step.reads, *step.writes):
            assert table in said.out
    for word in (
        "staged_*",
        "snapshots",
        "features",
        "labels",
        "candidate model",
        "gates",
        "model in use",
        "scores, drivers, portfolio",
        "runs",
        "portfolio.html",
        "worklist.csv",
    ):
        assert word in readme
    steps = json.loads(tenure("flow", "--json").out)
    assert [s["name"] for s in steps] == [s.name for s in FLOW]


def test_every_step_names_a_command_there_is() -> None:
    names = {" ".join(c) for c in _commands()}
    assert {step.command.removeprefix("tenure ") for step in FLOW} <= names


def test_unknown_command_is_wrong_use(tenure: Command) -> None:
    assert tenure("scroe").code == 2
    assert tenure("score", "--as-of", "01.06.2025").code == 2


# --- bad input
# ----------------------------------------------------------------------------------------


TOML = """
name = "small"
{top}
[sources.accounts]
location = "accounts.csv"

[sources.usage_events]
location = "events.csv"
columns = {{ event_time = "at" }}
{usage}

[[targets]]
name = "silent"
kind = "inactivity"
horizon_days = {horizon}
population = {{ kind = "active", active_within_days = 60 }}
"""
ACCOUNTS = "account_id,created_at\n" + "".join(f"a{i},2023-01-01\n" for i in range(10))
EVENTS = "account_id,at\n" + "".join(
    f"a{i},{day:%Y-%m-%d}\n" for day in pd.date_range("2023-01-02", "2023-12-31") for i in range(10)
)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Ten accounts that do one thing every day of 2023."""
    (tmp_path / "accounts.csv").write_text(ACCOUNTS)
    (tmp_path / "events.csv").write_text(EVENTS)
    (tmp_path / "tenure.toml").write_text(
        TOML.format(top='time_zone = "UTC"', usage="", horizon=30)
    )
    return tmp_path


def refused(tenure: Command, folder: Path, command: str = "features") -> tuple[int, str]:
    """Exit code and message; nothing half written may stay, and no traceback may show."""
    answer = tenure(command, "--project", folder, "--json")
    assert answer.code != 0 and answer.out == "" and "Traceback" not in answer.err
    assert answer.err.startswith("tenure: ")
    store = Store(folder / "store")
    assert not [
        t for t in ("staged_sources", "snapshots", "labels", "scores", "runs") if store.exists(t)
    ]
    return answer.code, " ".join(answer.err.split())


def test_good_input_works_and_json_is_only_json(small: Path, tenure: Command) -> None:
    answer = tenure("features", "--project", small, "--json")
    assert answer.code == 0, answer.err
    counts = json.loads(answer.out)
    assert counts["accounts"] == 10 and counts["signals"] > 20
    assert "features" in answer.err  # the story goes to standard error


def test_missing_column(small: Path, tenure: Command) -> None:
    (small / "events.csv").write_text(EVENTS.replace("account_id,at", "account_id,when_it_was", 1))
    code, said = refused(tenure, small)
    assert code == 1 and "at" in said and "when_it_was" in said and "events.csv" in said


def test_wrong_type(small: Path, tenure: Command) -> None:
    (small / "events.csv").write_text(EVENTS.replace("2023-0", "yesterday-"))
    code, said = refused(tenure, small)
    assert code == 1 and "event_time" in said and "yesterday" in said


def test_duplicate_account_keys(small: Path, tenure: Command) -> None:
    (small / "accounts.csv").write_text(ACCOUNTS + "a3,2023-05-05\n")
    code, said = refused(tenure, small)
    assert code == 1 and "a3" in said and "several rows" in said


def test_empty_source(small: Path, tenure: Command) -> None:
    (small / "events.csv").write_text("account_id,at\n")
    code, said = refused(tenure, small)
    assert code == 3 and "no rows" in said


def test_absent_file(small: Path, tenure: Command) -> None:
    (small / "events.csv").unlink()
    code, said = refused(tenure, small)
    assert code == 1 and "events.csv" in said


def test_broken_gzip(small: Path, tenure: Command) -> None:
    (small / "events.csv.gz").write_bytes(gzip.compress(EVENTS.encode())[:2000])
    (small / "tenure.toml").write_text(
        (small / "tenure.toml").read_text().replace("events.csv", "events.csv.gz")
    )
    code, said = refused(tenure, small)
    assert code == 1 and "usage_events" in said


def test_ambiguous_time_zone(small: Path, tenure: Command) -> None:
    """Naive times with a time of day, and no zone declared."""
    (small / "events.csv").write_text(EVENTS.replace("-15\n", "-15 10:30:00\n"))
    (small / "tenure.toml").write_text(TOML.format(top="", usage="", horizon=30))
    code, said = refused(tenure, small)
    assert code == 2 and "time_zone" in said


def test_horizon_that_no_data_completes(small: Path, tenure: Command) -> None:
    (small / "tenure.toml").write_text(TOML.format(top='time_zone = "UTC"', usage="", horizon=900))
    answer = tenure("features", "--project", small)
    assert (
        answer.code == 2
        and "horizon_days=900" in answer.err
        and "Choose earlier dates, a shorter horizon" in answer.err
    )
    assert not Store(small / "store").exists("snapshots")


@pytest.mark.parametrize(
    ("line", "near"), [('time_zoen = "UTC"', "time_zone"), ("[trainign]\ntrials = 1", "training")]
)
def test_unknown_key_names_the_nearest(small: Path, tenure: Command, line: str, near: str) -> None:
    (small / "tenure.toml").write_text(
        TOML.format(top=line if "[" not in line else "", usage="", horizon=30)
        + (line if "[" in line else "")
    )
    code, said = refused(tenure, small)
    assert code == 2 and f"`{near}`" in said and re.search(r"tenure\.toml:\d+: ", said)


def test_no_project_file(tmp_path: Path, tenure: Command) -> None:
    code, said = refused(tenure, tmp_path, "check")
    assert code == 2 and "tenure.toml" in said and "tenure init" in said


def test_unknown_target_lists_those_there_are(small: Path, tenure: Command) -> None:
    answer = tenure("features", "--project", small, "--target", "chrun")
    assert answer.code == 2 and "silent" in answer.err


HOLD = (
    "import sys, time\nfrom pathlib import Path\nfrom pipeline.storage import Store\n"
    "with Store(Path(sys.argv[1])).writing():\n    print('held', flush=True)\n    time.sleep(100)"
)


def test_locked_store(small: Path, tenure: Command) -> None:
    """Another command writes; killed, it holds nothing any more."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(small / "store")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        code, said = refused(tenure, small)
        assert code == 1 and f"in use by process {holder.pid}" in said
    finally:
        holder.kill()
        holder.wait()
    assert tenure("features", "--project", small).code == 0


def test_nothing_to_show_yet_names_the_next_step(small: Path, tenure: Command) -> None:
    assert "tenure score" in tenure("explain", "a1", "--project", small).err
    trained = tenure("train", "--project", small)
    assert trained.code == 2 and "tenure" in trained.err
    # Nothing was refused: the commands stand in the wrong order.
    for command in ("evaluate", "promote"):
        answer = tenure(command, "--project", small)
        assert answer.code == 2 and "`tenure train --target silent`" in answer.err
    assert (
        tenure("score", "--project", small).code == 3
    )  # nothing may be published without a model in use


def test_init_on_nothing_usable_is_wrong_use(tmp_path: Path, tenure: Command) -> None:
    (tmp_path / "empty").mkdir()
    assert tenure("init", tmp_path / "empty", "--project", tmp_path / "p").code == 2
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "accounts.csv").write_text("id,seats,churned\na,3,yes\nb,4,no\n")
    answer = tenure("init", tmp_path / "flat", "--project", tmp_path / "p")
    assert answer.code == 2 and "tenure table train" in answer.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ContractError, 1),
        (ArtifactMismatch, 1),
        (StoreError, 1),
        (ConfigError, 2),
        (IncompleteHorizon, 2),
        (NotFound, 2),
        (EmptySource, 3),
        (TooFewEvents, 3),
        (LeakageError, 3),
        (GateRefused, 3),
        (NoModel, 3),
    ],
)
def test_the_kind_of_error_gives_the_exit_code(error: type[ChurnError], code: int) -> None:
    assert error.exit_code == code


ENDS = """
import atexit, sys, threading, time
from pathlib import Path
from pipeline.cli import console
class Native:
    def __del__(self): print("torn down")
kept = Native()
atexit.register(lambda: print("tidied up"))
threading.Thread(target=lambda: (time.sleep(0.2), print("thread done"))).start()
sys.argv = ["tenure", *sys.argv[1:]]
console()
"""


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--version"], 0), (["status", "--project", "/none"], 2)]
)
def test_a_process_tidies_up_and_ends_with_the_code_of_its_command(
    arguments: list[str], code: int
) -> None:
    """Threads end, what asked to be called is called, everything is printed; then nothing of a
    library can turn a command that went well into one that failed.
    """
    done = subprocess.run(
        [sys.executable, "-c", ENDS, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert done.stdout.splitlines()[-2:] == ["thread done", "tidied up"]
    assert bool(done.stderr) == bool(code) and "Traceback" not in done.stderr
