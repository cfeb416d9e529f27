"""`tenure watch`: a row appended now moves a score on the next tick, as the night would move it."""

import json
from datetime import datetime

import pandas as pd
import pytest
from small_company import Command, Company

from pipeline.engine.duckdb import connected
from pipeline.jobs.score import score_target
from pipeline.jobs.stage import load_staged
from pipeline.jobs.watch import PROVISIONAL, watch_tick

MORNING, NOON = datetime(2025, 6, 1, 8), datetime(2025, 6, 1, 12)
MIDNIGHT = pd.Timestamp("2025-06-02")


def quiet_account(company: Company) -> str:
    """A member with a middling score: there is room in both directions."""
    scores = company.published("scores")
    members = scores[(scores["state"] == "member") & scores["health"].between(30, 70)]
    return str(members.sort_values("health")["account_id"].iloc[0])


def append_use(company: Company, account: str) -> None:
    """A morning in which forty people of the account use the product."""
    events = company.table("usage_events")
    template = events[events["account_id"] == account].tail(40)
    at = pd.Series(pd.Timestamp("2025-06-01 09:30"), template.index).astype("datetime64[us]")
    people = [f"new-{n}" for n in range(len(template))]
    new = template.assign(event_time=at, known_at=at, user_id=people, session_id=people)
    company.replace_table("usage_events", pd.concat([events, new], ignore_index=True))


@pytest.fixture
def watched(company_copy: Company) -> tuple[Company, str]:
    """A company after the first tick of a morning, and one of its accounts, which was used since."""
    workspace, target = company_copy.workspace(MORNING)
    first = watch_tick(workspace, target)
    assert first.rows is not None and first.moved.empty and str(first.as_of) == "2025-06-02"
    account = quiet_account(company_copy)
    append_use(company_copy, account)
    return company_copy, account


def test_an_event_moves_the_score_on_the_next_tick(watched: tuple[Company, str]) -> None:
    company, account = watched
    workspace, target = company.workspace(NOON)
    runs, scores = workspace.store.read("runs"), workspace.store.read("scores")

    tick = watch_tick(workspace, target)

    assert tick.read == ("usage_events",)
    assert tick.moved["account_id"].tolist() == [account]
    (row,) = tick.moved.to_dict("records")
    assert row["health"] > row["health_last_tick"]
    # Nothing was published, and nothing that is read by outcomes or training is written.
    assert workspace.store.read("runs").equals(runs)
    assert workspace.store.read("scores").equals(scores)
    again = watch_tick(workspace, target)
    assert again.rows is None and again.read == ()


def test_what_a_tick_says_the_night_publishes(watched: tuple[Company, str]) -> None:
    """The same rows give the same scores of that midnight, to the last bit."""
    company, _ = watched
    workspace, target = company.workspace(NOON)
    watch_tick(workspace, target)
    said = workspace.store.read(PROVISIONAL).set_index("account_id").sort_index()
    with connected() as connection:
        assert load_staged(workspace, connection)
        score_target(workspace, connection, target, MIDNIGHT.date(), accept_shift="half a day")
    scores = company.published("scores").set_index("account_id").sort_index()
    assert (scores["as_of"] == MIDNIGHT).all()
    same = ["probability", "health", "band", "state", "model_version"]
    pd.testing.assert_frame_equal(said[same], scores[same], check_exact=True)


def test_command_says_who_moved(
    watched: tuple[Company, str], tenure: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    company, account = watched
    answer = tenure("watch", "--project", company.folder, "--ticks", "1", "--json")
    assert answer.code == 0, answer.err
    (line,) = answer.out.splitlines()
    tick = json.loads(line)
    assert tick["is_provisional"] and tick["read"] == ["usage_events"]
    assert [row["account_id"] for row in tick["moved"]] == [account]

    answer = tenure("watch", "--project", company.folder, "--ticks", "2", "--every", "1")
    assert answer.code == 0 and answer.out.count("nothing new") == 2
