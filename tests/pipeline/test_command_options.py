"""What a command takes, it uses: options against the bodies of the commands, dates that are refused,
accounts by name.
"""

import ast
import inspect
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import typer
from small_company import Command, Company

from features.errors import NotFound
from pipeline import flow
from pipeline.cli import GROUPS, app
from pipeline.jobs.accounts import account_named
from pipeline.libraries import library_versions

ROOT = Path(__file__).resolve().parents[2]


def _bodies(group: Any, words: str = "") -> Iterator[tuple[str, Callable[..., None]]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _bodies(command, f"{words}{name} ")
        else:
            yield f"{words}{name}", inspect.unwrap(command.callback)


BODIES = dict(_bodies(typer.main.get_command(app)))
READS_YOUR_TABLES = {
    *("init", "check", "features", "run", "score", "night", "watch"),
    *("table train", "table folds", "table score"),
}
OF_A_DATE = {
    *("score", "run", "demo", "metrics", "table score", "night"),
    *("explain", "verify", "pulse", "outcomes", "forecast", "trajectory", "monitor"),
    *("worklist", "points"),
}
OF_NO_TARGET = {
    *("init", "flow", "catalogue", "rollback", "forget"),
    *("status", "runs", "ledger verify", "data-use", "scores", "access"),
    *("table train", "table folds", "table score", "table promote"),
}
# These say themselves what they do with tables, dates and targets.
TABLES_TOO = {"train"}


@pytest.mark.parametrize("name", BODIES)
def test_a_command_reads_every_option_it_takes(name: str) -> None:
    tree = ast.parse(inspect.getsource(BODIES[name])).body[0]
    assert isinstance(tree, ast.FunctionDef)
    read = {
        node.id
        for statement in tree.body
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    assert set(inspect.signature(BODIES[name]).parameters) <= read


@pytest.mark.parametrize("name", sorted(set(BODIES) - TABLES_TOO))
def test_a_command_takes_a_folder_a_date_or_a_target_only_where_it_acts(name: str) -> None:
    """Passing an option on is reading it: which commands stage, look at a date or have a target is
    said here.
    """
    taken = set(inspect.signature(BODIES[name]).parameters)
    assert ("data" in taken) == (name in READS_YOUR_TABLES)
    assert ("as_of" in taken) == (name in OF_A_DATE)
    assert ("target" in taken) == (name not in OF_NO_TARGET)
    # A server has no answer of its own.
    assert {"project", "as_json"} <= taken


def test_an_option_without_an_effect_is_refused(tenure: Command) -> None:
    assert tenure("flow", "--as-of", "2020-01-01").code == 2
    assert tenure("changes", "--as-of", "2020-01-01").code == 2
    assert tenure("evaluate", "--data", ".").code == 2


# --- help
# ---------------------------------------------------------------------------------------------


def test_help_lists_every_command_under_its_heading(tenure: Command) -> None:
    said = tenure("-h")
    assert said.code == 0 and said.out == tenure("--help").out
    blocks = {block.partition(":")[0]: block for block in said.out.split("\n\n")}
    for heading, commands in GROUPS.items():
        for command in commands:
            assert f"\n  {command.__name__.replace('_', '-')} " in blocks[heading]
    assert "\n  model " in blocks["Model"]
    assert "..." not in said.out.partition("Start:")[2], "a first line is too long for the list"


def test_version(tenure: Command) -> None:
    assert tenure("--version").out == f"tenure {library_versions()['tenure']}\n"


def test_a_shell_completes_commands_and_options() -> None:
    def completed(words: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", "from pipeline.cli import app; app(prog_name='tenure')"],
            env={
                "_TENURE_COMPLETE": "complete_bash",
                "COMP_WORDS": words,
                "COMP_CWORD": str(len(words.split()) - 1),
            },
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
        return done.stdout.split()

    assert completed("tenure tra") == ["train", "trajectory"]
    assert completed("tenure explain --pa") == ["--paragraph", "--page"]


# --- dates
# --------------------------------------------------------------------------------------------


READERS = ("explain A-0000001", "verify", "forecast", "trajectory", "pulse", "outcomes")


@pytest.mark.parametrize("words", READERS)
def test_a_date_without_a_run_is_refused_with_the_dates_there_are(
    company: Company, tenure: Command, words: str
) -> None:
    newest = f"{company.published('scores')['as_of'].iloc[0]:%Y-%m-%d}"
    answer = tenure(*words.split(), "--as-of", "2020-01-01", "--project", company.folder)
    assert answer.code == 2 and answer.out == ""
    assert "2020-01-01" in answer.err and newest in answer.err


def test_a_date_shows_the_run_of_that_date(company_copy: Company, tenure: Command) -> None:
    folder = company_copy.folder
    now = company_copy.published("scores")
    account = now.dropna(subset=["health"])["account_id"].iloc[0]
    earlier = tenure("score", "--as-of", "2025-05-04", "--project", folder, "--json")
    assert earlier.code == 0, earlier.err
    run_id = json.loads(earlier.out)["run"]["run_id"]

    def explained(*options: str) -> dict[str, Any]:
        answer = tenure("explain", account, "--project", folder, "--json", *options)
        assert answer.code == 0, answer.err
        told: dict[str, Any] = json.loads(answer.out)
        return told

    assert explained()["score"]["run_id"] == now["run_id"].iloc[0]
    past = explained("--as-of", "2025-05-04", "--page")
    assert past["score"]["run_id"] == run_id
    assert past["page"].endswith(f"/2025-05-04/accounts/{account}.html")
    checked = json.loads(
        tenure("verify", "--as-of", "2025-05-04", "--project", folder, "--json").out
    )
    assert checked["displayed_add"] and checked["bound"]["not_checked"] is None


# --- accounts
# -----------------------------------------------------------------------------------------


PEOPLE = pd.DataFrame(
    {
        "account_id": ["A-1", "A-2", "A-3", "Beacon"],
        "name": ["Beacon", "Willow Systems", "willow systems", None],
    }
)


def test_an_id_counts_before_a_name() -> None:
    assert account_named("Beacon", PEOPLE, "here") == "Beacon"
    assert account_named("BEACON", PEOPLE, "here") == "A-1"


def test_several_accounts_of_one_name_are_listed() -> None:
    with pytest.raises(NotFound, match="2 accounts here are called 'Willow Systems': A-2, A-3"):
        account_named("Willow Systems", PEOPLE, "here")


def test_an_unknown_account_names_the_nearest() -> None:
    with pytest.raises(NotFound, match=r"no account 'wilow systems' here\. Nearest: .*\(A-3\)"):
        account_named("wilow systems", PEOPLE, "here")
    with pytest.raises(NotFound, match="Nearest: A-1, A-2, A-3"):
        account_named("zzz", PEOPLE.assign(name=None), "here")


def test_every_command_about_an_account_takes_its_name(
    company_copy: Company, tenure: Command
) -> None:
    folder = company_copy.folder
    scores = company_copy.published("scores").dropna(subset=["probability"])
    account = scores["account_id"].iloc[0]
    people = company_copy.published("portfolio").set_index("account_id")
    name = people["name"][account].upper()
    assert (
        json.loads(tenure("explain", name, "--project", folder, "--json").out)["account"][
            "account_id"
        ]
        == account
    )
    told = json.loads(tenure("forecast", "--account", name, "--project", folder, "--json").out)
    assert told["account"]["account_id"] == account
    assert tenure("forget", name[:-1], "--yes", "--project", folder).code == 2
    forgotten = json.loads(tenure("forget", name, "--yes", "--project", folder, "--json").out)
    assert forgotten["account_id"] == account and forgotten["rows"]["scores"] >= 1
    assert account not in set(company_copy.published("scores")["account_id"])


# --- JSON
# ---------------------------------------------------------------------------------------------


def texts(value: Any) -> Iterator[str]:
    """Every text inside a JSON value."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from texts(each)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize(
    "words",
    [
        *("flow", "catalogue", "check", "evaluate", "score", "scale", "verify", "outcomes"),
        *("forecast", "trajectory", "metrics", "init --contract"),
    ],
)
def test_json_holds_no_json_in_a_text(company_copy: Company, tenure: Command, words: str) -> None:
    answer = tenure(*words.split(), "--project", company_copy.folder, "--json")
    assert answer.code == 0, answer.err
    for text in texts(json.loads(answer.out)):
        if text.startswith(("{", "[")):
            with pytest.raises(ValueError):
                json.loads(text)


def test_flow_and_catalogue_of_a_project_name_what_it_has(
    company: Company, tenure: Command
) -> None:
    steps = json.loads(tenure("flow", "--project", company.folder, "--json").out)
    assert "staged_accounts" in steps[0]["writes"] and "staged_*" not in steps[0]["writes"]
    assert "features_churn_90d" in tenure("flow", "--project", company.folder).out
    assert tenure("flow", "--project", company.folder / "data").code == 2


def test_a_run_walks_the_steps_that_flow_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    walked: list[str] = []

    def recorded(step: flow.Step[Any]) -> flow.Step[Any]:
        def run(progress: Any) -> None:
            walked.append(step.name)
            if step.name == "score":
                progress.published = "a run"

        return replace(step, run=run)

    prepare, publish = flow.PREPARE, flow.PUBLISH
    monkeypatch.setattr(flow, "PREPARE", tuple(recorded(step) for step in prepare))
    monkeypatch.setattr(flow, "PUBLISH", tuple(recorded(step) for step in publish))
    workspace: Any = SimpleNamespace(store=SimpleNamespace(writing=nullcontext))
    targets: Any = [SimpleNamespace(name="leaves"), SimpleNamespace(name="grows")]
    flow.run_flows(workspace, targets, lambda step, text: None)
    alone = [step.name for step in publish]
    assert walked == [*(step.name for step in prepare), *alone, *alone]
    assert [step.name for step in flow.FLOW] == [*(step.name for step in prepare), *alone]
