"""A night: recorded step by step, resumed where it was killed, refused without publishing, told to
whoever waits for it.
"""

import itertools
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pandas as pd
import pytest
from small_company import Command, Company
from test_company_runs import LATER

from features.errors import GateRefused
from models.health.standing import standing
from pipeline import flow
from pipeline.alerts.episodes import OPERATOR
from pipeline.alerts.tables import read_alerts
from pipeline.flow import WholeNight, run_night
from pipeline.jobs import night
from pipeline.jobs.night_steps import NIGHT_STEPS, listed_runs, night_rows, statuses
from pipeline.ledger import run_rows

PARTS = ["fresh", "features", "score", "gate", "publish"]
AFTER = ["trajectory", "forecast", "outcomes", "monitor", "worklist", "alerts", "pages", "copies"]


class Said:
    """Lines of a night's log."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, step: str, text: str) -> None:
        self.lines.append((step, text))

    def steps(self, ending: str) -> list[str]:
        return [step for step, text in self.lines if ending in text]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nights without the two long steps, which have tests of their own."""

    def none(*_: object) -> Any:
        raise night.StepLeftOut("not asked here")

    steps = [
        replace(step, run=none) if step.name in ("trajectory", "forecast") else step
        for step in flow.NIGHT
    ]
    monkeypatch.setattr(flow, "NIGHT", tuple(steps))


def work(
    company: Company, now: datetime = LATER, say: Said | None = None, **options: Any
) -> WholeNight:
    """A night by a clock that goes on a second each time it is looked at."""
    seconds = itertools.count()
    workspace = replace(
        company.workspace(now)[0], clock=lambda: now + timedelta(seconds=next(seconds))
    )
    return run_night(workspace, None, say or Said(), **options)


def states(whole: WholeNight) -> dict[str, str]:
    return {row["step"]: row["state"] for row in whole.steps}


@pytest.mark.usefixtures("quick")
def test_a_night_says_what_it_does_and_writes_it_down(company_copy: Company) -> None:
    say = Said()
    whole = work(company_copy, say=say)
    assert whole.exit_code == 0 and len(whole.published) == 1
    order = ["check", "stage", *PARTS, *AFTER]
    assert [row["step"] for row in whole.steps] == order
    assert say.steps("now") == order
    assert say.lines[-1] == ("night", "ended, exit code 0")
    rows = night_rows(company_copy.workspace()[0].store)
    assert list(rows["step"]) == order
    assert set(rows["state"]) == {"done", "skipped"}
    published = rows[rows["step"] == "publish"].iloc[0]
    assert published["rows"] == len(company_copy.published("scores")) and published["peak"] > 0
    later = rows[rows["step"].isin(AFTER)]
    assert set(later["run_id"]) == {whole.published[0].run_id}


@pytest.mark.usefixtures("quick")
def test_the_same_night_again_does_nothing_again(company_copy: Company) -> None:
    first = work(company_copy)
    store = company_copy.workspace()[0].store
    ledger = run_rows(store)
    say = Said()
    again = work(company_copy, LATER + timedelta(hours=1), say)
    assert again.exit_code == 0 and again.published == first.published
    assert say.steps("done before") == ["score", *AFTER]
    assert run_rows(store).equals(ledger)
    accounts = company_copy.table("accounts").assign(owner="CSM-99")
    company_copy.replace_table("accounts", accounts)
    other = work(company_copy, LATER + timedelta(hours=2))
    assert states(other)["publish"] == "done" and other.published != first.published


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("killed", ["score", "outcomes", "pages"])
def test_a_killed_night_goes_on_at_the_first_step_that_is_not_done(
    company_copy: Company, monkeypatch: pytest.MonkeyPatch, killed: str
) -> None:
    def kill(*_: object) -> int:
        raise KeyboardInterrupt

    whole = flow.NIGHT
    cut = [replace(step, run=kill) if step.name == killed else step for step in whole]
    with monkeypatch.context() as patch:
        patch.setattr(flow, "NIGHT", tuple(cut))
        with pytest.raises(KeyboardInterrupt):
            work(company_copy)
    (status,) = statuses(company_copy.workspace(LATER)[0])
    stopped_in = "fresh" if killed == "score" else killed
    assert status.state == "stopped" and f"step {stopped_in}" in status.words
    say = Said()
    again = work(company_copy, LATER + timedelta(hours=1), say)
    names = [step.name for step in whole]
    assert say.steps("done before") == names[: names.index(killed)]
    assert again.exit_code == 0 and "pages" in states(again)
    (status,) = statuses(company_copy.workspace(LATER + timedelta(hours=2))[0])
    assert status.state == "fresh"


@pytest.mark.usefixtures("quick")
def test_a_refused_gate_publishes_nothing_and_status_says_so(
    company_copy: Company, tenure: Command
) -> None:
    events = company_copy.table("usage_events")
    company_copy.replace_table("usage_events", events[events["event_time"] < "2025-05-20"])
    ledger = run_rows(company_copy.workspace()[0].store)
    whole = work(company_copy, as_of=datetime(2025, 6, 1).date())
    assert whole.exit_code == 3 and states(whole)["fresh"] == "refused"
    assert "features" not in states(whole)
    workspace = company_copy.workspace(LATER + timedelta(hours=1))[0]
    assert run_rows(workspace.store).equals(ledger)
    (status,) = statuses(workspace)
    assert status.state == "refused" and "usage_events" in status.words
    said = tenure("status", "--project", company_copy.folder)
    assert said.code == 3 and "refused since 2025-06-01 07:00" in said.out
    assert "next: mend" in said.out
    listed = tenure("runs", "--project", company_copy.folder)
    assert listed.code == 0 and "refused at fresh" in listed.out and "published" in listed.out


@pytest.mark.usefixtures("quick")
def test_the_project_says_which_stale_source_a_night_may_do_without(
    company_copy: Company,
) -> None:
    events = company_copy.table("usage_events")
    company_copy.replace_table("usage_events", events[events["event_time"] < "2025-05-20"])
    toml = company_copy.folder / "tenure.toml"
    toml.write_text(toml.read_text() + '\n[night]\nallow_stale = { usage_events = "supplier" }\n')
    whole = work(company_copy, as_of=datetime(2025, 6, 1).date())
    assert whole.exit_code == 0
    assert json.loads(whole.published[0].note or "")["allow_stale"] == {"usage_events": "supplier"}
    # The model that does without the source speaks for the accounts that rest on it.
    assert (company_copy.published("scores")["without"] == "usage_events").any()


def test_a_night_is_late_after_the_hours_the_project_allows(company: Company) -> None:
    published = company.published("scores")["scored_at"].iloc[0].to_pydatetime()
    for hours, state in ((35, "fresh"), (37, "late")):
        (status,) = statuses(company.workspace(published + timedelta(hours=hours))[0])
        assert status.state == state and status.is_fresh == (state == "fresh")


def test_a_fault_after_the_publication_leaves_the_other_steps_to_do(
    company_copy: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> int:
        raise RuntimeError("no such thing")

    steps = [
        replace(step, run=broken) if step.name in ("trajectory", "forecast") else step
        for step in flow.NIGHT
    ]
    monkeypatch.setattr(flow, "NIGHT", tuple(steps))
    whole = work(company_copy)
    assert whole.exit_code == 1
    assert states(whole)["trajectory"] == "failed" and states(whole)["pages"] == "done"
    troubled = [run for run in listed_runs(company_copy.workspace()[0]) if "failed" in run.state]
    assert len(troubled) == 2 and "no such thing" in str(troubled[0].reason)


# --- who is told


class Switch(HTTPServer):
    """A dead man's switch on this machine."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        super().__init__(("127.0.0.1", 0), _Asked)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/secret-uuid"


class _Asked(BaseHTTPRequestHandler):
    server: Switch

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append((self.path, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        pass


@pytest.fixture
def switch() -> Iterator[Switch]:
    server = Switch()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def notified(company: Company, **settings: str) -> None:
    toml = company.folder / "tenure.toml"
    lines = "".join(f'{key} = "{value}"\n' for key, value in settings.items())
    toml.write_text(f"{toml.read_text()}\n[notify]\n{lines}")


@pytest.mark.usefixtures("quick")
def test_a_switch_and_prometheus_are_told(
    company_copy: Company, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWITCH", switch.address)
    notified(company_copy, ping_url="env:SWITCH", metrics_file="metrics/tenure.prom")
    assert work(company_copy).exit_code == 0
    assert switch.asked == [("/secret-uuid/start", ""), ("/secret-uuid", "exit code 0")]
    text = (company_copy.folder / "metrics" / "tenure.prom").read_text()
    assert re.search(r"^tenure_night_exit_code 0$", text, re.MULTILINE)
    assert re.search(
        r'^tenure_night_step_seconds\{target="churn_90d",step="publish"\} [\d.]+$', text, re.M
    )
    as_of = int(pd.Timestamp("2025-06-01", tz="UTC").timestamp())
    assert f'tenure_run_as_of_timestamp_seconds{{target="churn_90d"}} {as_of}\n' in text
    scores = standing(company_copy.published("scores")).value_counts()
    for band, count in scores.items():
        assert f'tenure_accounts{{target="churn_90d",band="{band}"}} {count}\n' in text
    events = company_copy.table("usage_events")
    company_copy.replace_table("usage_events", events[events["event_time"] < "2025-05-20"])
    work(company_copy, LATER + timedelta(days=1), as_of=datetime(2025, 6, 1).date())
    assert switch.asked[2:] == [("/secret-uuid/start", ""), ("/secret-uuid/fail", "exit code 3")]


@pytest.mark.usefixtures("quick")
def test_a_switch_that_does_not_answer_stops_no_night_and_is_told_without_its_secret(
    company_copy: Company,
) -> None:
    notified(company_copy, ping_url="http://127.0.0.1:9/secret-uuid")
    say = Said()
    assert work(company_copy, say=say).exit_code == 0
    told = [text for step, text in say.lines if step == "ping"]
    assert len(told) == 2 and "was not told" in told[0]
    assert not any("secret-uuid" in text for text in told)


def test_settings_of_nights_move_no_score(company: Company, company_copy: Company) -> None:
    from pipeline.config import config_hash, read_project

    notified(company_copy, ping_url="https://example.com/x")
    assert config_hash(read_project(company_copy.folder)) == config_hash(
        read_project(company.folder)
    )


# --- the command


@pytest.mark.usefixtures("quick")
def test_the_command_prints_moments_and_an_exit_code(
    company_copy: Company, tenure: Command
) -> None:
    answer = tenure("night", "--project", company_copy.folder)
    assert answer.code == 0
    for line in answer.out.splitlines():
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  \w+ ", line), line
    assert answer.out.splitlines()[-1].endswith("ended, exit code 0")
    again = tenure("night", "--project", company_copy.folder, "--json")
    whole = json.loads(again.out)
    assert whole["exit_code"] == 0 and whole["runs"][0]["target"] == "churn_90d"
    assert tenure("status", "--project", company_copy.folder).code == 0
    listed = json.loads(tenure("runs", "--project", company_copy.folder, "--json").out)
    assert listed[0]["state"] == "published" and listed[0]["run_id"] == whole["runs"][0]["run_id"]
    early = tenure("night", "--as-of", "2023-06-01", "--project", company_copy.folder)
    assert early.code == 2 and "--backfill" in early.out


def test_a_night_without_a_model_in_use_is_refused(
    company_copy: Company, tenure: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(night, "is_in_use", lambda *_: False)
    answer = tenure("night", "--project", company_copy.folder)
    assert answer.code == 3 and "tenure run" in answer.out
    assert company_copy.workspace()[0].store.exists(NIGHT_STEPS)


@pytest.mark.usefixtures("quick")
def test_a_night_raises_and_sends_alerts_and_tells_the_operator_of_a_refusal(
    company_copy: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = company_copy.folder / "tenure.toml"
    sender = '\n[[alerting.senders]]\nname = "log"\nkind = "file"\npath = "alerts.jsonl"\n'
    file.write_text(file.read_text() + sender)
    first = work(company_copy)
    assert states(first)["alerts"] == "done"
    sent = company_copy.folder / "alerts.jsonl"
    before = sent.read_text().count("\n") if sent.exists() else 0

    def refuse(*_: object) -> int:
        raise GateRefused("scores moved too far")

    steps = [replace(s, run=refuse) if s.name == "score" else s for s in flow.NIGHT]
    monkeypatch.setattr(flow, "NIGHT", tuple(steps))
    accounts = company_copy.table("accounts").assign(owner="CSM-99")
    company_copy.replace_table("accounts", accounts)
    refused = work(company_copy, LATER + timedelta(hours=1))

    assert refused.exit_code == 3
    lines = sent.read_text().splitlines()[before:]
    assert len(lines) == 1 and "scores moved too far" in lines[0]


@pytest.mark.usefixtures("quick")
def test_an_export_that_broke_off_is_told_to_the_operator_once(company_copy: Company) -> None:
    events = company_copy.table("usage_events").sort_values("event_time")
    path = company_copy.folder / "data" / "usage_events.parquet"
    path.unlink()  # copies share files
    events.head(len(events) // 2).to_parquet(path, index=False)
    for hours in (1, 2):
        assert work(company_copy, LATER + timedelta(hours=hours)).exit_code == 3
    workspace, target = company_copy.workspace(LATER + timedelta(hours=2))
    alerts = read_alerts(workspace.store, target.name)
    (told,) = [alert for alert in alerts if alert.kind == OPERATOR]
    assert "An export that broke off looks like this" in told.reason and told.state == "open"
