"""What people tell on a page: who may, what is kept, and that the next night takes it in."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import date, datetime

import pandas as pd
import pytest
from test_dashboard import (  # noqa: F401 - fixtures among them
    HARD_IDS,
    NOW,
    OWNERS,
    TARGET,
    Reader,
    app,
    made,
    page_of,
    project,
    readers,
)
from test_portfolio_page import HOSTILE

from pipeline.alerts.episodes import Alert, alert_id_of
from pipeline.alerts.tables import append_alert, current_alerts, read_alerts
from pipeline.dashboard.app import FORMS, Site, dashboard_app
from pipeline.dashboard.inbox import (
    INBOX,
    MOST_A_DAY,
    InboxEntry,
    InboxFile,
    NotTold,
    checked,
    inbox_of,
)
from pipeline.dashboard.schema import PAGES
from pipeline.engine.duckdb import connected
from pipeline.jobs.alerts import raise_alerts, take_in_actions
from pipeline.jobs.privacy import forget_account, forget_without_consent
from pipeline.jobs.retention import Retention
from pipeline.jobs.stage import stage_sources

UNKNOWN = "C-9999"
ENTRY = InboxEntry("pulse", "A1", TARGET, "lea", "leader", "r1", NOW, "x", pulse=2)


def form_of(page, kind, alert=""):
    """The hidden fields of one form of a page."""
    for form in page.split("<form")[1:]:
        form = form.split("</form>")[0]
        fields = {
            part.split('name="')[1].split('"')[0]: part.split('value="')[1].split('"')[0]
            for part in form.split('<input type="hidden"')[1:]
        }
        if fields.get("kind") == kind and fields.get("alert", "") == alert:
            return fields
    raise AssertionError(f"no form of {kind}")


def told(folder):
    file = folder / PAGES / INBOX
    if not file.exists():
        return []
    with closing(sqlite3.connect(file)) as inbox:
        return inbox.execute("select kind, account_id, author, note from told").fetchall()


@pytest.fixture
def accounts(made):  # noqa: F811
    owners = made.portfolio.set_index("account_id")["owner"]
    plain = [each for each in owners.index if each not in HARD_IDS]
    return {
        "own": next(each for each in plain if owners[each] == OWNERS[0]),
        "other": next(each for each in plain if owners[each] == OWNERS[1]),
        "unknown": UNKNOWN,
    }


def test_who_may_tell_what_of_whose_account(project, readers, app, accounts):  # noqa: F811
    allowed = {"lea": {"own", "other"}, "cem": {"own"}}
    before = len(told(project))
    count = 0
    for name, reader in readers.items():
        for whose, account in accounts.items():
            page = reader.ask(page_of(account))
            may = whose in allowed.get(name, ())
            assert ('action="/tell"' in page.text) == may, (name, whose)
            fields = {"kind": "pulse", "account": account, "pulse": "2", "once": f"{name}{whose}"}
            token = form_of(page.text, "pulse")["token"] if may else "guessed"
            got = reader.ask("/tell", {**fields, "token": token})
            count += may
            # A role that tells nothing finds no such address; who tells has a token first.
            wanted = 303 if may else 404 if name not in allowed and name != "nobody" else 403
            assert got.status == wanted, (name, whose)
    token = form_of(readers["cem"].ask(page_of(accounts["own"])).text, "pulse")["token"]
    for account in (accounts["other"], UNKNOWN, ""):
        fields = {"kind": "pulse", "account": account, "pulse": "2", "once": "x", "token": token}
        assert readers["cem"].ask("/tell", fields).status == 404
    assert len(told(project)) - before == count == 3
    for form in FORMS:
        assert Reader(app).ask(form.path, {"kind": "pulse"}).headers["location"] == "/sign-in"
        assert readers["lea"].ask(form.path).status in (404, 405)


def test_an_alert_is_answered_with_its_own_account_only(project, readers, made, accounts):  # noqa: F811
    page = readers["cem"].ask("/alerts").text
    alert = page.split('name="alert" value="')[1].split('"')[0]
    form = form_of(page, "acknowledged", alert)
    wrong = {**form, "account": accounts["other"]}
    assert readers["cem"].ask("/tell", wrong).status == 404
    elsewhere = next(each for each in made.portfolio.account_id if each != form["account"])
    mine = form_of(readers["lea"].ask("/alerts").text, "acknowledged", alert)
    assert readers["lea"].ask("/tell", {**mine, "account": elsewhere}).status == 404
    got = readers["cem"].ask("/tell", {**form, "note": "calling on Monday"})
    assert (got.status, got.headers["location"]) == (303, "/alerts?told=1")
    seen = readers["cem"].ask("/alerts?told=1").text
    assert "acknowledged by cem, from the next night on" in " ".join(seen.split())
    assert "The next night takes it in" in seen


def test_forms_of_others_are_refused(project, readers, accounts):  # noqa: F811
    before = told(project)
    page = readers["lea"].ask(page_of(accounts["own"])).text
    form = {**form_of(page, "pulse"), "pulse": "1"}
    assert readers["lea"].ask("/tell", form, origin="http://elsewhere").status == 403
    assert readers["lea"].ask("/tell", form, origin=None).status == 403
    assert readers["cem"].ask("/tell", form).status == 403  # another session's token
    assert readers["lea"].ask("/tell", {**form, "token": ""}).status == 403
    assert readers["lea"].ask("/tell", {**form, "token": "ж"}).status == 403
    assert told(project) == before


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        ("pulse", {"pulse": "9", "note": "kept in the form"}, "from 1 to 5"),
        ("pulse", {"pulse": "two"}, "1 to 5"),
        ("pulse", {"note": "  "}, "Choose how the account is"),
        ("pulse", {"note": "x" * 4_001}, "at most 4,000 characters; this one has 4,001"),
        ("play", {"play": "bribe"}, "The plays of this project are: success_call, training"),
        ("play", {}, "Say what was done"),
        ("answer", {"play": "ask_them", "pulse": "11"}, "goes from 0 to 10"),
        ("answer", {"play": "ask_them", "note": "kept in the form"}, "goes from 0 to 10"),
        ("answer", {"play": "training", "pulse": "3"}, "Choose the questionnaire"),
    ],
)
def test_what_cannot_be_kept_is_said_and_nothing_is_lost(
    project,  # noqa: F811
    readers,  # noqa: F811
    accounts,
    kind,
    fields,
    said,
):
    before = told(project)
    page = readers["lea"].ask(page_of(accounts["own"])).text
    got = readers["lea"].ask("/tell", {**form_of(page, kind), **fields})
    assert got.status == 422 and said in got.text and 'role="alert"' in got.text
    assert fields.get("note", "").strip() in got.text
    assert told(project) == before


def test_rules_that_a_browser_checks_first_hold_without_it():
    assert checked(replace(ENTRY, note="a\r\nb\0 "), (), {}).note == "a\nb"
    put_off = replace(ENTRY, kind="snoozed", alert_id="a", pulse=None, note="holiday")
    for until in (None, NOW.date(), date(2020, 1, 1)):
        with pytest.raises(NotTold, match="lies ahead"):
            checked(replace(put_off, until=until), (), {})
    with pytest.raises(NotTold, match="why it can wait"):
        checked(replace(put_off, until=date(2025, 7, 1), note=""), (), {})
    assert checked(replace(ENTRY, kind="play", play=" a  call "), (), {}).play == "a call"
    with pytest.raises(NotTold, match="at most 80"):
        checked(replace(ENTRY, kind="play", play="x" * 81), (), {})


def test_sent_twice_is_kept_once_and_a_day_has_an_end(tmp_path):
    inbox = InboxFile(tmp_path / INBOX)
    inbox.add(ENTRY)
    inbox.add(ENTRY)
    assert len(inbox.of_account("A1")) == 1
    for n in range(MOST_A_DAY - 1):
        inbox.add(replace(ENTRY, once=f"{n}"))
    with pytest.raises(NotTold, match="200 entries a day"):
        inbox.add(replace(ENTRY, once="one more"))
    inbox.add(replace(ENTRY, once="tomorrow", at=datetime(2025, 6, 3)))
    assert (tmp_path / INBOX).stat().st_mode & 0o777 == 0o600


def test_hostile_words_come_back_as_words(project, readers, accounts):  # noqa: F811
    words = f"{HOSTILE} =HYPERLINK(1) \u202egpj.exe " + "ж" * 3_800
    page = readers["lea"].ask(page_of(accounts["own"])).text
    assert readers["lea"].ask("/tell", {**form_of(page, "pulse"), "note": words}).status == 303
    seen = readers["lea"].ask(page_of(accounts["own"])).text
    assert HOSTILE not in seen and "&lt;img" in seen and r"\u202egpj.exe" in seen
    assert "\u202e" not in seen and "=HYPERLINK" not in readers["lea"].ask("/accounts.csv").text
    assert words.strip() in [note for *_, note in told(project)]


# --- what the night makes of it


def served(company, tenure, at):
    """A reader of the project's dashboard at a time of their own."""
    assert tenure("pages", "--project", company.folder).code == 0
    _, target = company.workspace()
    site = Site(company.folder, target.name, lambda: at, ("localhost",))
    return Reader(dashboard_app(site))


def tell(reader, account, kind, **fields):
    form = form_of(reader.ask(page_of(account)).text, kind, fields.get("alert", ""))
    got = reader.ask("/tell", {**form, **fields})
    assert got.status == 303, got.text


def staged(company, name, now):
    workspace, _ = company.workspace(now)
    with workspace.store.writing(), connected() as connection:
        source = stage_sources(workspace, connection, only_changed=True)[name]
    return source, workspace.store.read(f"staged_{name}")


def test_a_pulse_told_on_a_page_is_staged_and_reaches_training(company_copy, tenure):
    at = datetime(2025, 2, 3, 9, 30)
    before, rows_before = staged(company_copy, "csm_notes", datetime(2025, 6, 1, 6))
    workspace, target = company_copy.workspace()
    features_before = workspace.store.read(f"features_{target.name}")
    reader = served(company_copy, tenure, at)
    counts = features_before.groupby("account_id")["as_of"].agg(["min", "max"])
    lived = counts[(counts["min"] < at) & (counts["max"] > pd.Timestamp(at) + pd.Timedelta(days=5))]
    account = next(a for a in lived.index if reader.ask(page_of(a)).status == 200)
    tell(reader, account, "pulse", pulse="1", note="They are unhappy and want to cancel.")
    tell(reader, account, "play", play="success_call")
    assert "from the next night on" in reader.ask(page_of(account)).text
    store_files = {f: f.stat().st_mtime_ns for f in workspace.store.folder.rglob("*")}
    assert {f: f.stat().st_mtime_ns for f in workspace.store.folder.rglob("*")} == store_files

    after, rows = staged(company_copy, "csm_notes", datetime(2025, 6, 1, 6))
    assert len(rows) == len(rows_before) + 1 == after.rows_staged
    new = rows[(rows["account_id"] == account) & (rows["known_from"] == pd.Timestamp(at))]
    assert len(new) == 1
    row = new.iloc[0]
    assert row["pulse"] == 1 * after.unit("pulse") and row["author"] == "local"
    assert row["noted_at"] == pd.Timestamp(at) and row["text_sentiment"] < 0
    assert (after.data_until, after.newest_known) == (before.data_until, before.newest_known)
    _, plays = staged(company_copy, "interventions", datetime(2025, 6, 1, 6))
    done = plays[(plays["account_id"] == account) & (plays["done_at"] == pd.Timestamp(at))]
    assert list(done["play"]) == ["success_call"]
    page = reader.ask(page_of(account)).text
    assert "from the next night on" not in page and page.count('action="/take-back"') == 2
    assert tenure("features", "--project", company_copy.folder).code == 0
    features = workspace.store.read(f"features_{target.name}")
    keys = ["account_id", "as_of"]
    both = features_before.merge(features, on=keys, suffixes=("_before", ""))
    mine = both[both["account_id"] == account]
    soon = mine[(mine["as_of"] > at) & (mine["as_of"] < pd.Timestamp(at) + pd.Timedelta(days=60))]
    pulse = next(c for c in features.columns if c.startswith("pulse_mean"))
    assert len(soon) and (soon[pulse] != soon[f"{pulse}_before"]).all()
    # Nothing was known of it before, and nothing of others changed.
    early = both[(both["account_id"] != account) | (both["as_of"] <= at)]
    pd.testing.assert_series_equal(early[pulse], early[f"{pulse}_before"], check_names=False)

    inbox = inbox_of(company_copy.folder / PAGES)
    for each in inbox.of_account(account):
        inbox.withdraw(each.number, "local", account, datetime(2025, 6, 1, 7))
    inbox.close()
    _, rows = staged(company_copy, "csm_notes", datetime(2025, 6, 1, 8))
    pd.testing.assert_frame_equal(rows, rows_before)


def test_an_answer_to_a_questionnaire_becomes_data(company_copy, tenure):
    """A row of surveys with its points, known from when it was told; and the account was asked."""
    file = company_copy.folder / "tenure.toml"
    file.write_text(file.read_text() + '\n[[plays]]\nname = "ask_them"\nasks = "nps"\n')
    now, at = datetime(2025, 6, 1, 6), datetime(2025, 5, 3, 9, 30)
    before, rows_before = staged(company_copy, "surveys", now)
    reader = served(company_copy, tenure, at)
    account = company_copy.published("portfolio")["account_id"].iloc[0]
    tell(reader, account, "answer", play="ask_them", pulse="9", note="We love it.")
    assert "ask them: 9" in reader.ask(page_of(account)).text
    after, rows = staged(company_copy, "surveys", now)
    assert len(rows) == len(rows_before) + 1 and after.data_until == before.data_until
    new = rows[(rows["account_id"] == account) & (rows["known_from"] == pd.Timestamp(at))].iloc[0]
    assert (new["kind"], new["scale"], new["comment"]) == ("nps", "0-10", "We love it.")
    assert new["score"] == 9 * after.unit("score") and new["nps_points"] == 100
    assert new["answered_at"] == pd.Timestamp(at) and new["text_sentiment"] > 0
    _, plays = staged(company_copy, "interventions", now)
    asked = plays[(plays["account_id"] == account) & (plays["done_at"] == pd.Timestamp(at))]
    assert list(asked["play"]) == ["ask_them"]


def test_an_inbox_of_an_earlier_release_takes_answers(tmp_path):
    with closing(sqlite3.connect(tmp_path / INBOX)) as old, old:
        columns = "kind, account_id, target, alert_id, pulse, play, note, until, author, role"
        old.execute(
            f"create table told (number integer primary key, {columns}, run_id, at, once text"
            " unique, taken_at, refused text not null default '')"
        )
        old.execute(
            f"insert into told ({columns}, run_id, at, once) values ('pulse', 'A1', 't', '', 3, '',"
            " '', null, 'lea', 'leader', 'r', '2025-05-01', 'a')"
        )
    inbox = InboxFile(tmp_path / INBOX)
    inbox.add(replace(ENTRY, kind="answer", play="ask_them", asks="nps", pulse=7, once="b"))
    kept = inbox.of_account("A1")
    assert [(each.entry.kind, each.entry.asks) for each in kept] == [
        ("answer", "nps"),
        ("pulse", ""),
    ]
    assert [each.number for each in inbox.rows_of("surveys")] == [kept[0].number]


def alert_of(row):
    """An alert that was told of an account of the run."""
    return Alert(
        alert_id=alert_id_of(row["target"], row["account_id"], "drop", date(2025, 5, 30)),
        target=row["target"],
        account_id=row["account_id"],
        name=row["account_id"],
        rule="drop",
        kind="drop",
        episode=date(2025, 5, 30),
        state="open",
        owner="CSM 01",
        reason="the score fell",
        evidence={},
        value_at_risk=None,
        currency="USD",
        play="",
        due=None,
        as_of=date(2025, 5, 30),
        run_id=row["run_id"],
        by="data",
        note="",
        until=None,
        told_on=date(2025, 5, 30),
        telling=1,
        recorded_at=datetime(2025, 5, 30),
    )


def test_alerts_are_answered_as_by_the_command(company_copy, tenure):
    workspace, target = company_copy.workspace()
    scores = company_copy.published("scores")
    first, second = (alert_of(row) for _, row in scores.head(2).iterrows())
    with workspace.store.writing():
        for each in (first, second):
            append_alert(workspace.store, each)
    at = datetime(2025, 5, 31, 9)
    reader = served(company_copy, tenure, at)
    tell(reader, first.account_id, "acknowledged", alert=first.alert_id, note="mine")
    tell(
        reader,
        second.account_id,
        "snoozed",
        alert=second.alert_id,
        until="2025-08-01",
        note="on holiday",
    )
    gone = replace(ENTRY, kind="done", account_id=first.account_id, target=target.name)
    inbox_of(company_copy.folder / PAGES).add(replace(gone, at=at, alert_id="none", once="gone"))
    with workspace.store.writing():
        raise_alerts(workspace, target)  # as the night does
        assert take_in_actions(workspace, target) == 0
    now = {a.alert_id: a for a in current_alerts(read_alerts(workspace.store, target.name))}
    said = sorted(
        (alert.state, alert.by, alert.note, alert.until)
        for alert in read_alerts(workspace.store, target.name)
        if alert.by == "local" and alert.recorded_at == at
    )
    assert said == [
        ("acknowledged", "local", "mine", None),
        ("snoozed", "local", "on holiday", date(2025, 8, 1)),
    ]
    assert {first.alert_id, second.alert_id} <= {*now}
    assert "not taken in: " in reader.ask(page_of(first.account_id)).text


def test_forget_consent_and_retention_reach_what_was_told(company_copy, tenure):
    workspace, target = company_copy.workspace()
    people = company_copy.published("portfolio")
    account, other, third = people["account_id"][:3]
    name = str(people["name"].iloc[0])
    inbox = inbox_of(company_copy.folder / PAGES)
    entry = replace(ENTRY, target=target.name, at=datetime(2025, 5, 1))
    inbox.add(replace(entry, account_id=account, once="1", note="words of the first"))
    inbox.add(replace(entry, account_id=other, once="2", note=f"as with {name}, see there"))
    inbox.add(replace(entry, account_id=third, once="3", note="words of the third"))
    inbox.close()
    forgotten = forget_account(workspace, account)
    assert forgotten.rows["inbox"] == 1
    assert [(who, note) for _, who, _, note in told(company_copy.folder)] == [
        (other, ""),
        (third, "words of the third"),
    ]
    left = b"".join(each.read_bytes() for each in (company_copy.folder / PAGES).glob("inbox*"))
    assert b"words of the first" not in left and name.encode() not in left
    forget_without_consent(workspace, [third])
    assert [who for _, who, *_ in told(company_copy.folder)] == [other]
    days = replace(workspace.project.store, keep_runs_days=20)
    kept = replace(workspace, project=replace(workspace.project, store=days))
    removed = Retention.of(kept).drop_old_runs(target.name, pd.Timestamp("2025-06-01"))
    assert removed["inbox"] == 1 and told(company_copy.folder) == []


def test_what_was_told_by_mistake_is_taken_back_by_who_told_it(project, readers, accounts):  # noqa: F811
    mine, address = accounts["own"], page_of(accounts["own"])
    tell(readers["cem"], mine, "pulse", pulse="1", note="Meant for another")
    page = readers["cem"].ask(address).text
    form = page.split('action="/take-back"')[1].split("</form>")[0]
    fields = {
        name: form.split(f'name="{name}" value="')[1].split('"')[0]
        for name in ("token", "account", "number")
    }
    leader = form_of(readers["lea"].ask(address).text, "pulse")["token"]
    # Nobody else's word: not the leader's button, nor of another account, nor an unknown number.
    seen = readers["lea"].ask(address).text
    assert f'name="number" value="{fields["number"]}"' not in seen
    assert readers["lea"].ask("/take-back", {**fields, "token": leader}).status == 404
    assert readers["cem"].ask("/take-back", {**fields, "token": "guessed"}).status == 403
    for wrong in ({"account": accounts["other"]}, {"number": "999999"}, {"number": "1 or 1=1"}):
        assert readers["cem"].ask("/take-back", {**fields, **wrong}).status == 404
    inbox = inbox_of(project / PAGES)
    waiting = {each.number for each in inbox.rows_of("csm_notes")}
    assert int(fields["number"]) in waiting
    got = readers["cem"].ask("/take-back", fields)
    assert got.status == 303 and "withdrawn=1" in got.headers["location"]
    assert {each.number for each in inbox.rows_of("csm_notes")} == waiting - {int(fields["number"])}
    again = readers["cem"].ask("/take-back", fields)
    assert again.status == 422 and "already" in again.text
    page = readers["cem"].ask(address).text
    assert "taken back on" in page and "<del>" in page
    # It stays in the file, with who told it: nothing is lost.
    assert ("pulse", mine, "cem", "Meant for another") in told(project)


def test_an_alert_that_a_night_has_answered_is_answered_anew(tmp_path):
    inbox = InboxFile(tmp_path / INBOX)
    for once in ("a", "b"):
        inbox.add(replace(ENTRY, kind="done", pulse=None, alert_id="al1", once=once))
    second, first = inbox.of_account("A1")
    inbox.taken([first.number], NOW)
    with pytest.raises(NotTold, match="answer it anew"):
        inbox.withdraw(first.number, "lea", "A1", NOW)
    assert inbox.withdraw(second.number, "cem", "A1", NOW) is None
    assert inbox.withdraw(second.number, "lea", "A1", NOW) == second
    assert inbox.actions(TARGET) == [] and inbox.of_alerts() == {}
