"""The dashboard: what each role sees and does not, sessions, the page file, and pages without
script that anybody can read.
"""

import asyncio
import csv
import json
import re
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote, urlencode

import pandas as pd
import pytest
from test_account_page import explained
from test_pages_in_browser import browser, faults  # noqa: F401 - a fixture
from test_portfolio_page import HOSTILE, some_inputs

from features.errors import ConfigError
from models.health.scale import BANDS_IN_WORDS
from models.health.standing import standing
from pipeline.actions.account_rows import Fall, Fallen, ListInputs, account_rows, to_call
from pipeline.cli.dashboard import site_of
from pipeline.dashboard.access import (
    ACCESS,
    USERS,
    AccessFile,
    KnownUser,
    User,
    forget_in_audit,
    hashed,
    scope,
    write_users,
)
from pipeline.dashboard.app import COOKIE, HEADERS, ROUTES, Site, dashboard_app
from pipeline.dashboard.questions import PageFile, Wanted
from pipeline.dashboard.schema import PAGES, current_file, pages_folder, put_in_place
from pipeline.jobs.page_file import fill_page_file
from pipeline.reports.account import account_page, account_tables
from pipeline.reports.boards import EVERY_SEGMENT
from pipeline.reports.render import money

NOW = datetime(2025, 6, 2, 8)
PASSWORD = "correct horse 7"
TARGET = "churn_90d"
HARD_IDS = ("a/../b?x=1&y", 'Zoë "<b>" =1+1')
OWNERS = ("CSM-01", "CSM-02")
LONG = "ж" * 10_000 + "\u202egpj.exe"


def inputs():
    made = some_inputs(owners=OWNERS)
    renamed = dict(zip(made.scores.account_id[:2], HARD_IDS, strict=True))
    parts = {
        name: getattr(made, name).assign(
            account_id=getattr(made, name)["account_id"].replace(renamed)
        )
        for name in ("scores", "drivers", "portfolio")
    }
    people = parts["portfolio"]
    people.loc[people.account_id == HARD_IDS[1], "name"] = LONG
    people.loc[people.account_id == HARD_IDS[0], "owner"] = OWNERS[0]
    people.loc[people.account_id == HARD_IDS[1], "owner"] = OWNERS[1]
    fell = parts["scores"].account_id[parts["scores"].band == "healthy"].iloc[0]
    return replace(made, **parts, fallen=Fallen({fell: Fall(93, None)}, "Since May."))


def view_of(row):
    about = replace(
        explained(),
        account={**explained().account, "account_id": row.account_id, "name": row.name},
    )
    return account_tables(
        about, horizon_days=90, verb="leave", edges=(40, 70), project="Acme", now=NOW
    )


def rows_of(made):
    return account_rows(
        ListInputs(made.scores, made.drivers, made.portfolio, "leave", made.why, fallen=made.fallen)
    )


def about_of(made, rows):
    return {
        "project": "Acme",
        "target": TARGET,
        "run": {"run_id": "r1", "as_of": "2025-06-01"},
        "target_words": "Will it leave within 90 days?",
        "purpose": "",
        "verb": "leave",
        "gerund": "leaving",
        "past": "left",
        "is_good_event": False,
        "is_scorecard": False,
        "band_words": {
            "at_risk": "at risk",
            "stable": "stable",
            "healthy": "healthy",
            "leaving": "leaving",
            "unknown": "too little data",
        },
        "edges": (40, 70),
        "currency": "USD",
        "capacity": 30,
        "list_length": 30,
        "is_planned": False,
        "shown": {
            name: True for name in ("owner", "segment", "value", "ends", "chance", "fall", "todo")
        },
        "previous": None,
        "fallen_since": "Since May.",
        "plays": ["success_call", "training"],
        "questionnaires": {"ask_them": "nps"},
        "answer_source": "surveys",
        "pulse_source": "csm_notes",
        "play_source": "interventions",
        "made": NOW,
        "head": "4b0e7c",
    }


@pytest.fixture(scope="module")
def made():
    return inputs()


@pytest.fixture(scope="module")
def project(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    rows = rows_of(made)
    pages = pages_folder(folder, TARGET)
    pages.mkdir(parents=True)
    names = ("executive", "renewals", "plays", "onboarding", "use", "support", "patterns")
    by_name, every = ("compare", "trust", "pulse", "advocates"), ("model", "metrics", "data-use")
    audiences = ("company",) * len(names) + ("by name",) * len(by_name) + ("everybody",) * 3
    fill_page_file(
        pages / ".r1.sqlite",
        rows,
        ((row.account_id, view_of(row)) for row in rows),
        about=about_of(made, rows),
        documents=[
            (name, name.title(), audience, f"<h2>of {name}</h2>")
            for name, audience in zip((*names, *by_name, *every), audiences, strict=True)
        ],
        alerts=[
            (f"a{n}", row.account_id, row.name, "drop", "fell by 12 points", "open", row.owner)
            + ("call", "2025-06-01", None, None, 10.0, "USD", "")
            for n, row in enumerate(rows)
            if n % 9 == 0
        ],
    )
    put_in_place(pages / ".r1.sqlite", pages / "r1.sqlite")
    kept = hashed(PASSWORD)
    users = (
        User("lea", "leader"),
        User("cem", "csm", OWNERS[:1]),
        User("nobody", "csm"),
        User("ann", "analyst"),
        User("eve", "executive"),
    )
    write_users(folder / USERS, {user.name: KnownUser(user, kept) for user in users})
    return folder


@dataclass
class Got:
    status: int
    headers: dict
    text: str


class Reader:
    """A browser that keeps one cookie; calls the application without a network."""

    def __init__(self, app, host="localhost", peer="127.0.0.1"):
        self.app, self.host, self.peer, self.cookie = app, host, peer, ""

    def ask(self, address, form=None, **headers):
        path, _, query = address.partition("?")
        sent = {"host": self.host, "cookie": self.cookie, **headers}
        body = b"" if form is None else urlencode(form).encode()
        if form is not None and "origin" not in headers:
            sent["origin"] = f"http://{self.host}"
        call = {
            "type": "http",
            "method": "GET" if form is None else "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "http_version": "1.1",
            "server": ("x", 80),
            "client": (self.peer, 1),
            "headers": [(k.encode(), v.encode()) for k, v in sent.items() if v is not None],
        }
        parts = []

        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message):
            parts.append(message)

        asyncio.run(self.app(call, receive, send))
        got = {k.decode(): v.decode() for k, v in parts[0]["headers"]}
        if "set-cookie" in got:
            self.cookie = got["set-cookie"].split(";")[0]
        text = b"".join(part.get("body", b"") for part in parts[1:]).decode()
        return Got(parts[0]["status"], got, text)

    def sign_in(self, name, password=PASSWORD):
        return self.ask("/sign-in", {"name": name, "password": password})


def clock():
    return NOW


@pytest.fixture(scope="module")
def app(project):
    return dashboard_app(Site(project, TARGET, clock, ("localhost",), has_users=True))


@pytest.fixture(scope="module")
def readers(app):
    made = {}
    for name in ("lea", "cem", "nobody", "ann", "eve"):
        made[name] = Reader(app)
        assert made[name].sign_in(name).status == 303
    return made


def page_of(account):
    return f"/account?id={quote(account, safe='')}"


# --- access


def test_every_address_for_every_role_and_own_foreign_and_unknown_account(readers, made):
    owners = made.portfolio.set_index("account_id")["owner"]
    own = next(a for a in owners.index if owners[a] == OWNERS[0] and a not in HARD_IDS)
    other = next(a for a in owners.index if owners[a] == OWNERS[1] and a not in HARD_IDS)
    roles = {"lea": "leader", "cem": "csm", "nobody": "csm", "ann": "analyst", "eve": "executive"}
    for name, role in roles.items():
        for address in ROUTES:
            if address.path == "/account":
                continue
            got = readers[name].ask(address.path)
            wanted = 200 if role in address.roles else 404
            if (name, address.path) == ("eve", "/"):
                wanted = 303  # to the page of sums
            assert got.status == wanted, (name, address.path)
            for account in made.portfolio.account_id:
                seen = quote(account, safe="") in got.text
                mine = role in ("leader", "analyst") or (
                    name == "cem" and owners[account] == OWNERS[0]
                )
                assert mine or not seen, (name, address.path, account)
        sees_all = role in ("leader", "analyst")
        answers = {
            account: readers[name].ask(page_of(account)) for account in (own, other, "C-9999", "")
        }
        assert answers[own].status == (200 if sees_all or name == "cem" else 404)
        assert answers[other].status == (200 if sees_all else 404)
        assert answers["C-9999"].status == answers[""].status == 404
        if not sees_all:  # nobody learns that there is such an account
            assert answers[other].text == answers["C-9999"].text


def test_filters_search_csv_and_alerts_never_reach_beyond_own_accounts(readers, made):
    owners = made.portfolio.set_index("account_id")["owner"]
    foreign = [a for a in owners.index if owners[a] != OWNERS[0]]
    for address in (
        f"/accounts?owner={OWNERS[1]}",
        "/accounts?find=C-1",
        "/accounts?find=C",
        "/accounts?only=calls",
        "/accounts?owner='+or+1=1+--",
        "/accounts?sort=value&down=1&page=2",
        "/accounts.csv",
        "/alerts",
    ):
        got = readers["cem"].ask(address)
        assert got.status == 200
        assert not [a for a in foreign if a in got.text or quote(a, safe="") in got.text], address
    table = list(csv.DictReader(readers["cem"].ask("/accounts.csv").text.splitlines()))
    assert len(table) == (owners == OWNERS[0]).sum()


def test_owners_are_listed_page_by_page_and_only_ones_own(readers, monkeypatch):
    assert all(owner in readers["lea"].ask("/owners").text for owner in OWNERS)
    mine = readers["cem"].ask("/owners").text
    assert OWNERS[0] in mine and OWNERS[1] not in mine and "1–1 of 1 owner" in mine
    monkeypatch.setattr("pipeline.dashboard.app.ROWS", 1)
    second = readers["lea"].ask("/owners?page=2").text
    assert "2–2 of 2 owners" in second and "Previous" in second and "Next" not in second
    assert "No owner here" in readers["lea"].ask("/owners?page=9").text
    monkeypatch.setattr("pipeline.dashboard.app.OWNERS_FIRST", 1)
    assert "All 2 owners" in readers["lea"].ask("/").text
    monkeypatch.setattr("pipeline.dashboard.app.MOST_CHOICES", 1)
    typed = readers["lea"].ask(f"/accounts?owner={OWNERS[1]}").text
    assert f'<input name="owner" value="{OWNERS[1]}"' in typed


def test_far_pages_follow_one_another_and_a_wide_search_says_so(readers, monkeypatch, made):
    def names(address):
        text = readers["lea"].ask(address).text
        return [part.split('"')[0] for part in text.split('href="/account?id=')[1:]]

    monkeypatch.setattr("pipeline.dashboard.questions.MOST_FOUND", 3)
    monkeypatch.setattr("pipeline.dashboard.app.MOST_FOUND", 3)
    listed = names("/accounts") + names("/accounts?page=2")
    assert len(listed) == len(set(listed)) == len(made.scores)
    assert names("/accounts?page=9") == []
    own = names("/accounts?sort=score&down=1")
    assert own[:5] == names("/accounts?sort=score&down=1&page=1")[:5]
    found = readers["lea"].ask("/accounts?find=C-10").text
    assert "of more than 3 accounts" in found
    assert "1–1 of 1 account" in readers["lea"].ask("/accounts?find=C-1007").text


def test_a_question_without_a_scope_cannot_be_asked(project):
    file = PageFile(current_file(pages_folder(project, TARGET)))
    with pytest.raises(TypeError, match="takes a scope"):
        file.ask(None, "select * from latest where {accounts}")
    with pytest.raises(TypeError, match="takes a scope"):
        file.ask(scope(User("lea", "leader")), "select * from latest")
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        file._file.execute("delete from latest")
    file.close()


def test_without_signing_in_nothing_is_shown(app):
    for address in ROUTES:
        got = Reader(app).ask(address.path)
        assert (got.status, got.headers["location"]) == (303, "/sign-in")
    forged = Reader(app)
    forged.cookie = f"{COOKIE}=made-up"
    assert forged.ask("/accounts").status == 303


def test_a_session_ends_by_time_by_signing_out_and_by_taking_the_user_out(project, tmp_path):
    now = [NOW]
    app = dashboard_app(Site(project, TARGET, lambda: now[0], ("localhost",), has_users=True))
    reader = Reader(app)
    signed = reader.sign_in("ann")
    assert all(part in signed.headers["set-cookie"] for part in ("HttpOnly", "SameSite=lax"))
    assert reader.ask("/accounts").status == 200
    now[0] = NOW + timedelta(hours=13)
    assert reader.ask("/accounts").status == 303
    now[0] = NOW
    sessions = AccessFile(project / PAGES / ACCESS, clock)
    assert sessions.revoke("ann") >= 1
    sessions.close()
    assert reader.ask("/accounts").status == 303
    reader.sign_in("ann")
    kept = reader.cookie
    assert reader.ask("/sign-out", {"token": "wrong"}).status == 303
    reader.cookie = kept
    page = reader.ask("/accounts")
    assert page.status == 200
    token = page.text.split('name="token" value="')[1].split('"')[0]
    reader.ask("/sign-out", {"token": token})
    reader.cookie = kept
    assert reader.ask("/accounts").status == 303


def test_wrong_passwords_are_few_and_foreign_forms_none(project):
    app = dashboard_app(Site(project, TARGET, clock, ("localhost",), has_users=True))
    reader = Reader(app)
    form = {"name": "lea", "password": PASSWORD}
    assert reader.ask("/sign-in", form, origin="http://evil.example").status == 403
    assert reader.ask("/sign-in", form, origin=None).status == 403
    for _ in range(5):
        assert reader.sign_in("lea", "wrong password").status == 403
    assert reader.sign_in("lea").status == 429  # even the right one
    assert Reader(app, host="rebound.example").ask("/").status == 400


def test_a_proxy_is_believed_from_its_own_address_only(project):
    site = Site(project, TARGET, clock, (), True, "x-user", ("10.0.0.5",))
    app = dashboard_app(site)
    assert Reader(app, peer="10.0.0.5").ask("/accounts", **{"x-user": "cem"}).status == 200
    assert Reader(app, peer="10.0.0.5").ask("/accounts", **{"x-user": "stranger"}).status == 403
    assert Reader(app, peer="10.0.0.9").ask("/accounts", **{"x-user": "lea"}).status == 403


def test_off_this_machine_without_users_is_refused(tmp_path):
    folder = pages_folder(tmp_path, TARGET)
    with pytest.raises(ConfigError, match="Run `tenure pages` first"):
        site_of(tmp_path, None, "127.0.0.1", [], "", [])
    folder.mkdir(parents=True)
    (folder / "current").write_text("r.sqlite")
    assert not site_of(tmp_path, None, "127.0.0.1", [], "", []).has_users
    with pytest.raises(ConfigError, match="Let readers sign in first"):
        site_of(tmp_path, None, "0.0.0.0", [], "", [])
    with pytest.raises(ConfigError, match="can be forged"):
        site_of(tmp_path, None, "127.0.0.1", [], "x-user", [])


def test_who_saw_which_account_is_written_down_and_forgotten_with_it(project, readers, tmp_path):
    assert readers["lea"].ask(page_of(HARD_IDS[0])).status == 200
    sessions = AccessFile(project / PAGES / ACCESS, clock)
    assert ("2025-06-02T08:00:00", "lea", "leader", "127.0.0.1", "account", HARD_IDS[0]) in (
        sessions.seen()
    )
    forget_in_audit(project / PAGES / ACCESS, [HARD_IDS[0]])
    rows = sessions.seen()
    sessions.close()
    assert rows and not [row for row in rows if row[5] == HARD_IDS[0]]


def test_the_command_that_lets_people_in(tmp_path, tenure, monkeypatch):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: False, readline=lambda: "x\n"))
    assert tenure("access", "lea", "--role", "leader", "--project", tmp_path).code == 2
    monkeypatch.setattr(
        "sys.stdin", SimpleNamespace(isatty=lambda: False, readline=lambda: f"{PASSWORD}\n")
    )
    assert tenure("access", 'o"x', "--role", "csm", "--project", tmp_path).code == 2
    done = tenure("access", 'o"x', "--role", "csm", "--owner", "Ö 1", "--project", tmp_path)
    assert done.code == 0 and PASSWORD not in (tmp_path / USERS).read_text()
    assert (tmp_path / USERS).stat().st_mode & 0o077 == 0
    assert tenure("access", 'o"x', "--revoke", "--project", tmp_path).code == 0
    assert "argon2" not in (tmp_path / USERS).read_text()


# --- what is shown


def test_every_page_forbids_script_frames_and_keeping(readers):
    for address in ROUTES:
        got = readers["lea"].ask(address.path)
        assert {name: got.headers[name.lower()] for name in HEADERS} == HEADERS
        is_page = got.headers["content-type"].startswith("text/html")
        assert not is_page or "<script" not in got.text
    policy = HEADERS["Content-Security-Policy"]
    assert "script-src" not in policy and "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy and HEADERS["Cache-Control"] == "no-store"


def test_hostile_names_are_text_on_every_page_and_no_formula_in_the_table(readers, made):
    hostile = made.portfolio.account_id[made.portfolio.name == HOSTILE].iloc[0]
    for address in ("/", "/accounts", page_of(hostile), page_of(HARD_IDS[1])):
        text = readers["lea"].ask(address).text
        assert HOSTILE not in text and "\u202e" not in text
    assert "&lt;img src=x" in readers["lea"].ask(page_of(hostile)).text
    table = readers["lea"].ask("/accounts.csv").text
    rows = list(csv.DictReader(table.lstrip("\ufeff").splitlines()))
    assert len(rows) == len(made.scores)
    assert "\u202e" not in table and not [row for row in rows if row["name"].startswith("=")]


def test_the_list_is_that_of_the_pages_of_the_run(readers, made):
    rows = rows_of(made)
    first = readers["lea"].ask("/").text
    places = [first.find(page_of(row.account_id).replace("&", "&amp;")) for row in to_call(rows)]
    assert -1 not in places[:20] and places[:20] == sorted(places[:20])
    table = readers["lea"].ask("/accounts.csv").text.lstrip("\ufeff")
    listed = list(csv.DictReader(table.splitlines()))
    assert [float(row["value"]) for row in listed if row["value"]] == [
        row.value for row in rows if row.value is not None
    ]
    for band in ("at_risk", "healthy", "leaving"):
        count = sum(row.band == band for row in rows)
        assert f"of {count} account" in readers["lea"].ask(f"/accounts?band={band}").text


def test_the_page_of_an_account_is_drawn_from_the_values_of_the_page_of_the_run(project):
    file = PageFile(current_file(pages_folder(project, TARGET)))
    one = file.accounts(scope(User("lea", "leader")), Wanted({}))[0]
    row = SimpleNamespace(account_id=one["account_id"], name=one["name"])
    kept = file.account(scope(User("lea", "leader")), one["account_id"])
    assert json.loads(json.dumps(kept)) == json.loads(json.dumps(view_of(row)))
    drawn = account_page(
        explained(), horizon_days=90, verb="leave", edges=(40, 70), project="Acme", now=NOW
    )
    for line in kept["rows"]:
        assert f"<b>{line['points']}</b>" in drawn
    file.close()


def test_a_new_page_file_is_served_when_the_pointer_moves(made, tmp_path):
    pages = pages_folder(tmp_path, TARGET)
    pages.mkdir(parents=True)
    rows = rows_of(made)
    reader = Reader(dashboard_app(Site(tmp_path, TARGET, clock, ("localhost",))))
    got = reader.ask("/help")
    assert got.status == 503 and "tenure pages" in got.text
    for run in ("r1", "r2", "r1"):
        about = {**about_of(made, rows), "run": {"run_id": run, "as_of": "2025-06-01"}}
        fill_page_file(pages / ".new.sqlite", rows[:3], [], about=about, documents=[], alerts=[])
        put_in_place(pages / ".new.sqlite", pages / f"{run}.sqlite")
        assert f"Run {run} " in reader.ask("/help").text


def test_the_server_loads_no_table_library():
    code = (
        "import sys; import pipeline.dashboard.app, pipeline.cli.dashboard;"
        "print([m for m in ('pandas', 'numpy', 'lightgbm', 'mlflow', 'duckdb', 'pyarrow')"
        " if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


# --- of a whole run


def test_pages_are_made_kept_up_to_date_and_reached_by_forget(company_copy, tenure):
    folder = company_copy.folder
    made = tenure("pages", "--project", folder, "--json")
    assert made.code == 0, made.err
    path = Path(json.loads(made.out)["page_file"])
    workspace, target = company_copy.workspace()
    with closing(sqlite3.connect(path)) as file:
        health = dict(file.execute("select account_id, health from latest"))
        names = [name for (name,) in file.execute("select name from documents")]
        sums = file.execute("select sum(accounts), sum(value) from totals").fetchone()
        listed = file.execute("select count(*), sum(value) from latest").fetchone()
    scores = company_copy.published("scores").set_index("account_id")["health"]
    assert {k: v for k, v in scores.dropna().astype(int).items()} == {
        k: v for k, v in health.items() if v is not None
    }
    assert sums == pytest.approx(listed)
    assert {"executive", "plays", "model", "trust", "metrics", "data-use"} <= {*names}
    reader = Reader(dashboard_app(Site(folder, target.name, clock, ("localhost",))))
    for address in ROUTES:
        if address.path != "/account":
            assert reader.ask(address.path).status == 200, address.path
    account = scores.index[0]
    assert reader.ask(page_of(account)).status == 200
    assert "tenure effects" in reader.ask("/plays").text
    assert "tenure forecast" in reader.ask("/renewals").text
    assert tenure("forget", account, "--yes", "--project", folder).code == 0
    assert not path.exists() and reader.ask("/").status == 503
    left = b"".join(each.read_bytes() for each in (folder / PAGES).rglob("*") if each.is_file())
    assert account.encode() not in left


def test_one_screen_for_executives_holds_what_the_tables_say(company_copy, tenure):
    """Value by band, the months ahead, how right we have been; each number from its table."""
    folder = company_copy.folder
    for command in ("forecast", "pages"):
        done = tenure(command, "--project", folder, "--json")
        assert done.code == 0, done.err
    with closing(sqlite3.connect(json.loads(done.out)["page_file"])) as file:
        (html,) = file.execute("select html from documents where name = 'executive'").fetchone()
    value, months, right, saved = (part.split("</h2>", 1) for part in html.split("<h2>")[1:])
    titles = [value[0], months[0], right[0], saved[0]]
    assert titles == [
        "Value by band",
        "The next three months",
        "How right have we been?",
        "What plays saved",
    ]
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in value[1].split("<tr")[2:]]
    scores = company_copy.published("scores")
    shown = standing(scores).map(BANDS_IN_WORDS).value_counts()
    told = {row[0].lower(): int(row[1].replace(",", "")) for row in cells}
    assert {band: n for band, n in told.items() if n} == {k.lower(): n for k, n in shown.items()}
    forecast = company_copy.published("renewal_forecast")
    every = forecast[forecast["segment"] == EVERY_SEGMENT].sort_values("month").head(3)
    assert len(every) == 3
    for row in every.to_dict("records"):
        assert f"{pd.Timestamp(row['month']):%B %Y}" in months[1]
        assert money(row["value_due"], str(row["currency"])) in months[1]
    assert "times in 100" in right[1] and "tenure effects" in saved[1]


# --- in a browser


@pytest.fixture(scope="module")
def address(project):
    import uvicorn

    config = uvicorn.Config(
        dashboard_app(Site(project, TARGET, clock, ("127.0.0.1",))), port=0, log_level="error"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.05)
        assert thread.is_alive()
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_keeps_anybody_from_reading_the_dashboard(browser, address, scheme, width):  # noqa: F811
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 900}, bypass_csp=True
    )
    page = context.new_page()
    paths = ["/", "/accounts", page_of("C-1005"), "/alerts", "/renewals", "/help", "/nothing"]
    for path in paths:
        page.goto(address + path)
        assert faults(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    context.close()


@pytest.mark.browser
def test_an_account_is_found_without_script_or_mouse(browser, address, made):  # noqa: F811
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/accounts")
    page.fill("input[name=find]", "C-1007")
    page.press("input[name=find]", "Enter")
    assert "1–1 of 1 account" in page.inner_text("[role=status]")
    page.press("td.name a", "Enter")
    assert "C-1007" in page.inner_text("header.top")
    page.goto(f"{address}/accounts")
    page.click("th a:has-text('Value per year')")
    page.click("th a:has-text('Value per year')")
    values = made.portfolio.value_per_year.dropna().sort_values(ascending=False)
    assert f"{values.iloc[0]:,.0f}" in page.inner_text("tbody tr:first-child td.value")
    context.close()
