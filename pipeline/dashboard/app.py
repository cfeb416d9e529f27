"""The server of the dashboard: addresses, who may open them, and what they show.

Every page is whole without script. `ROUTES` is the table of contents: a test walks it with every
role.
"""

import csv
import io
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from sqlite3 import Row
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from pipeline.dashboard.access import (
    ACCESS,
    ROLES,
    SESSION_HOURS,
    TRIES,
    TRIES_MINUTES,
    USERS,
    AccessFile,
    KnownUser,
    Role,
    Scope,
    User,
    fits,
    read_users,
    scope,
)
from pipeline.dashboard.inbox import (
    ACTIONS,
    ANSWER,
    ANSWERS,
    BECOMES,
    PLAY,
    PULSE,
    PULSES,
    InboxEntry,
    InboxFile,
    NotTold,
    checked,
    inbox_of,
)
from pipeline.dashboard.questions import (
    CSV_ROWS,
    FILTERS,
    MOST_FOUND,
    ROWS,
    SORTS,
    CurrentPages,
    PageFile,
    Wanted,
    choices,
)
from pipeline.dashboard.questions import address as page_address
from pipeline.dashboard.schema import NOBODYS, PAGES, pages_folder
from pipeline.edge.page_text import page_environment
from pipeline.edge.text import defused

HERE = Path(__file__).parent
COOKIE = "tenure_session"
OWNERS_FIRST = 20
"""Owners on the first page; all of them have a page of their own."""
MOST_CHOICES = 60
"""Values of a filter in a menu; more of them are typed."""
MOST_BYTES = 65_536
"""Of a form."""
POLICY = (
    "default-src 'none'; style-src 'self'; style-src-attr 'unsafe-inline'; img-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""No script at all; the bars of tables have a width of their own, hence `style-src-attr`."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_READS_ACCOUNTS: tuple[Role, ...] = ("leader", "csm", "analyst")
_TELLS: tuple[Role, ...] = ("leader", "csm")
"""An analyst reads what is told and tells nothing: it would be no account manager's word."""
_SOURCES = {PULSE: "pulse_source", PLAY: "play_source", ANSWER: "answer_source"}
_SEES_SUMS: tuple[Role, ...] = ("leader", "analyst", "executive")


@dataclass(frozen=True)
class Site:
    """What the server was started with.

    Parameters
    ----------
    project, target
        Folder of the project, and the target whose pages are served.
    clock
        What time it is.
    hosts
        Names under which it may be asked for; empty: any, as a proxy decides.
    has_users
        Whether readers sign in; otherwise whoever reaches the server is the leader.
    proxy_header, proxies
        Header with the name of who signed in at a proxy, and the addresses that may send it.
    """

    project: Path
    target: str
    clock: Callable[[], datetime]
    hosts: tuple[str, ...] = ()
    has_users: bool = False
    proxy_header: str = ""
    proxies: tuple[str, ...] = ()


@dataclass
class Reader:
    """Who asks, and with which session."""

    user: User
    form_token: str
    key: str = ""


@dataclass
class Dashboard:
    """Everything the routes share."""

    site: Site
    _local_token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    _tries: dict[str, list[datetime]] = field(default_factory=dict)
    _users: tuple[int, dict[str, KnownUser]] = (0, {})

    @cached_property
    def pages(self) -> CurrentPages:
        """The page files."""
        return CurrentPages(pages_folder(self.site.project, self.site.target))

    @cached_property
    def access(self) -> AccessFile:
        """Sessions and the audit log."""
        return AccessFile(self.site.project / PAGES / ACCESS, self.site.clock)

    @cached_property
    def inbox(self) -> InboxFile:
        """What people tell: the one thing that this server writes of accounts."""
        return inbox_of(self.site.project / PAGES)

    @cached_property
    def templates(self) -> Environment:
        """Templates of the dashboard and, for what both show, of the pages of a run."""
        folders = [HERE / "templates", HERE.parent / "reports" / "templates"]
        file = self.pages.current()
        words = {} if file is None else file.about["band_words"]
        return page_environment(FileSystemLoader([str(each) for each in folders]), words)

    @cached_property
    def style(self) -> str:
        """The style sheet of the pages of a run, and ours."""
        sheets = (HERE.parent / "reports" / "templates", HERE / "templates")
        return "\n".join((each / "style.css").read_text(encoding="utf-8") for each in sheets)

    @cached_property
    def style_mark(self) -> str:
        """Makes the address of the style sheet another one when it changes."""
        import hashlib

        return hashlib.sha256(self.style.encode()).hexdigest()[:8]

    # --- who

    def users(self) -> dict[str, KnownUser]:
        """The users of the file as it stands now: who is taken out is out at once."""
        path = self.site.project / USERS
        try:
            mark = path.stat().st_mtime_ns
        except FileNotFoundError:
            return {}
        if mark != self._users[0]:
            self._users = (mark, read_users(path))
        return self._users[1]

    def reader(self, request: Request) -> Reader | None:
        """Who asks; None: somebody who has to sign in."""
        if self.site.proxy_header:
            peer = request.client.host if request.client else ""
            name = request.headers.get(self.site.proxy_header, "")
            known = self.users().get(name) if peer in self.site.proxies else None
            return None if known is None else Reader(known.user, self._local_token)
        if not self.site.has_users:
            return Reader(User("local", "leader"), self._local_token)
        key = request.cookies.get(COOKIE, "")
        session = self.access.session(key) if key else None
        known = None if session is None else self.users().get(session.name)
        if session is None or known is None:
            return None
        return Reader(known.user, session.form_token, key)

    def may_try(self, name: str) -> bool:
        """Whether another password of this name is looked at now."""
        now = self.site.clock()
        if len(self._tries) > 10_000:  # names of nobody: forgotten rather than kept for ever
            self._tries.clear()
        tries = [
            each
            for each in self._tries.get(name, [])
            if (now - each).total_seconds() < 60 * TRIES_MINUTES
        ]
        self._tries[name] = tries
        return len(tries) < TRIES

    def failed(self, name: str) -> None:
        """Remember a wrong password."""
        self._tries.setdefault(name, []).append(self.site.clock())

    # --- answers

    def page(
        self, template: str, reader: Reader | None, status: int = 200, **view: Any
    ) -> Response:
        """A page in the frame of the site."""
        file = self.pages.current()
        text = self.templates.get_template(template).render(
            about=None if file is None else file.about,
            user=None if reader is None else reader.user,
            form_token="" if reader is None else reader.form_token,
            has_sign_out=bool(reader and reader.key),
            menu={} if reader is None else _menu(reader.user),
            style_mark=self.style_mark,
            nobodys=NOBODYS,
            **view,
        )
        return Response(text, status, HEADERS, "text/html; charset=utf-8")

    def message(self, reader: Reader | None, status: int, title: str, *lines: str) -> Response:
        """A page that says one thing."""
        return self.page("page_message.html.j2", reader, status, title=title, lines=lines)


Handler = Callable[[Dashboard, Request, Reader, PageFile], Awaitable[Response]]


@dataclass(frozen=True)
class Address:
    """One address: who may open it, what answers, and its place in the menu."""

    path: str
    roles: tuple[Role, ...]
    answer: Handler
    title: str = ""
    group: str = ""


def _menu(user: User) -> dict[str, list[tuple[str, str]]]:
    """Group -> addresses and titles of the pages that a user may open."""
    menu: dict[str, list[tuple[str, str]]] = {}
    for each in ROUTES:
        if each.title and user.role in each.roles:
            menu.setdefault(each.group, []).append((each.path, each.title))
    return menu


# --- pages


async def portfolio(
    server: Dashboard, request: Request, reader: Reader, file: PageFile
) -> Response:
    """The first page: whom to work on now, over all accounts of the reader."""
    who, about = scope(reader.user), file.about
    bands = {row["what"]: row for row in file.sums(who, "band")}
    owners = _owners(file, who)
    listed = file.calls(who, int(about["list_length"]))
    return server.page(
        "page_portfolio.html.j2",
        reader,
        here="/",
        title="Whom to work on now",
        tiles=[(band, bands[band]) for band in about["band_words"] if band in bands],
        is_all=reader.user.role != "csm",
        listed=listed,
        calls=sum(row["calls"] for row in bands.values()),
        listed_stake=_sum(row["at_stake"] for row in listed),
        leaving=file.leaving(who, 10),
        leaving_count=int(bands["leaving"]["accounts"]) if "leaving" in bands else 0,
        falls=file.falls(who, 10),
        falls_count=sum(row["falls"] for row in bands.values()),
        owners=owners[:OWNERS_FIRST] if len(owners) > 1 else [],
        owners_in_all=len(owners),
        in_all=sum(row["accounts"] for row in bands.values()),
        query=_query,
    )


async def owners(server: Dashboard, request: Request, reader: Reader, file: PageFile) -> Response:
    """Every owner among the reader's, those with most at stake first."""
    page, every = _page_number(request), _owners(file, scope(reader.user))
    return server.page(
        "page_owners.html.j2",
        reader,
        here="/owners",
        title="By owner",
        owners=every[(page - 1) * ROWS : page * ROWS],
        count=len(every),
        number=page,
        first=(page - 1) * ROWS + 1,
        query=_query,
    )


def _owners(file: PageFile, who: Scope) -> list[Row]:
    return sorted(
        file.sums(who, "owner"),
        key=lambda row: (row["what"] == NOBODYS, -(row["at_stake"] or 0.0), row["what"]),
    )


async def accounts(server: Dashboard, request: Request, reader: Reader, file: PageFile) -> Response:
    """Every account of the reader: found, filtered, sorted."""
    who, wanted = scope(reader.user), _wanted(request)
    count = file.count(who, wanted)
    pages = max(1, -(-count // ROWS))
    rows = file.accounts(who, wanted)
    chosen = _chosen(wanted)
    filters = [
        (name, label, choices(file.sums(who, name)), wanted.filters.get(name, ""))
        for name, label in (
            ("band", "Band"),
            ("owner", "Owner"),
            ("segment", "Segment"),
            ("month", "Contract ends"),
        )
    ]
    return server.page(
        "page_accounts.html.j2",
        reader,
        here="/accounts",
        title="Every account",
        rows=rows,
        count=count,
        is_more=bool(wanted.find) and count > MOST_FOUND,
        pages=pages,
        wanted=wanted,
        first=(wanted.page - 1) * ROWS + 1,
        filters=[each for each in filters if len(each[2]) > 1],
        most_choices=MOST_CHOICES,
        rows_a_page=ROWS,
        chosen=chosen,
        query=_query,
        month_words=_month_words,
    )


async def accounts_csv(
    server: Dashboard, request: Request, reader: Reader, file: PageFile
) -> Response:
    """The list as it is seen, all of its pages, as a table."""
    rows = file.accounts(scope(reader.user), _wanted(request, page=1), CSV_ROWS)
    out = io.StringIO()
    table = csv.writer(out)
    columns = (
        "account_id",
        "place",
        "name",
        "owner",
        "segment",
        "value",
        "currency",
        "ends_on",
        "band",
        "state",
        "health",
        "chance",
        "chance_words",
        "at_stake",
        "todo",
        "saves",
    )
    table.writerow([*columns, "why"])
    for row in rows:
        values = [row[name] for name in columns] + [", ".join(row["summary"])]
        table.writerow([defused(each) for each in values])
    server.access.note(reader.user, _address_of(request), f"list of {len(rows)} accounts")
    as_of = str(file.about["run"]["as_of"])[:10]
    return Response(
        "\ufeff" + out.getvalue(),
        200,
        {**HEADERS, "Content-Disposition": f'attachment; filename="accounts-{as_of}.csv"'},
        "text/csv; charset=utf-8",
    )


_SAID = {
    "told": "Saved. It counts from the next night on.",
    "withdrawn": "Taken back. The next night leaves it out.",
}
"""Word of an address -> what the page of an account says at its top."""


async def account(server: Dashboard, request: Request, reader: Reader, file: PageFile) -> Response:
    """One account; another owner's is not found, like one that is not there."""
    account_id = request.query_params.get("id", "")
    view = file.account(scope(reader.user), account_id)
    if view is None:
        return _not_found(server, reader)
    server.access.note(reader.user, _address_of(request), "account", account_id)
    return _account_page(
        server,
        reader,
        file,
        account_id,
        view,
        said=next((words for key, words in _SAID.items() if key in request.query_params), ""),
    )


def _account_page(
    server: Dashboard,
    reader: Reader,
    file: PageFile,
    account_id: str,
    view: Mapping[str, Any],
    *,
    said: str = "",
    problem: str = "",
    sent: Mapping[str, str] | None = None,
) -> Response:
    """The page of an account; `problem` with what was `sent`: a form that was not kept."""
    return server.page(
        "page_account.html.j2",
        reader,
        422 if problem else 200,
        here="/account",
        title=view["account"]["name"],
        alerts=file.alerts(scope(reader.user), account_id),
        account_id=account_id,
        first_page="/",
        said=said,
        problem=problem,
        sent=sent or {},
        told=server.inbox.of_account(account_id),
        **_forms(server, reader),
        **{name: value for name, value in view.items() if name != "alerts"},
    )


def _forms(server: Dashboard, reader: Reader) -> dict[str, Any]:
    """What the forms of a page need."""
    return {
        "may_tell": reader.user.role in _TELLS,
        "me": reader.user.name,
        "once": secrets.token_urlsafe(16),
        "pulses": PULSES,
        "answers": ANSWERS,
        "said_of": server.inbox.of_alerts(),
        "tomorrow": (server.site.clock().date() + timedelta(days=1)).isoformat(),
    }


async def tell(server: Dashboard, request: Request, reader: Reader, file: PageFile) -> Response:
    """Keep what a form says of an account or of an alert of it; the next night takes it in."""
    form = await _form(request)
    if not _is_of_session(form, reader):
        return _foreign_form(server, reader)
    account_id, who = form.get("account", ""), scope(reader.user)
    view = file.account(who, account_id)
    alert_id, kind = form.get("alert", ""), form.get("kind", "")
    mine = {each["alert_id"] for each in file.alerts(who, account_id)} if view else set()
    is_about_alert = kind in ACTIONS
    if view is None or (is_about_alert and alert_id not in mine):
        return _not_found(server, reader)
    try:
        entry = checked(
            _entry(server, reader, file, form), file.about["plays"], file.about["questionnaires"]
        )
        if not is_about_alert and file.about[_SOURCES[kind]] is None:
            raise NotTold(f"This project has no source {BECOMES[kind][0]} to take it in")
        server.inbox.add(entry)
    except NotTold as problem:
        return _account_page(
            server, reader, file, account_id, view, problem=f"{problem}.", sent=form
        )
    server.access.note(reader.user, _address_of(request), f"told: {kind}", account_id)
    back = "/alerts?told=1" if form.get("back") == "alerts" else ""
    return RedirectResponse(back or f"{page_address(account_id)}&told=1", 303, HEADERS)


async def take_back(
    server: Dashboard, request: Request, reader: Reader, file: PageFile
) -> Response:
    """Take back what the reader told of an account; another person's is not found."""
    form = await _form(request)
    if not _is_of_session(form, reader):
        return _foreign_form(server, reader)
    account_id, number = form.get("account", ""), form.get("number", "")
    view = file.account(scope(reader.user), account_id)
    if view is None or not (number.isascii() and number.isdigit() and len(number) < 16):
        return _not_found(server, reader)
    try:
        told = server.inbox.withdraw(int(number), reader.user.name, account_id, server.site.clock())
    except NotTold as problem:
        return _account_page(server, reader, file, account_id, view, problem=f"{problem}.")
    if told is None:
        return _not_found(server, reader)
    what = f"took back: {told.entry.kind}"
    server.access.note(reader.user, _address_of(request), what, account_id)
    return RedirectResponse(f"{page_address(account_id)}&withdrawn=1", 303, HEADERS)


def _is_of_session(form: Mapping[str, str], reader: Reader) -> bool:
    return secrets.compare_digest(form.get("token", "").encode(), reader.form_token.encode())


def _foreign_form(server: Dashboard, reader: Reader) -> Response:
    return server.message(
        reader, 403, "Not kept", "This form is not of your session: open the page again"
    )


def _entry(
    server: Dashboard, reader: Reader, file: PageFile, form: Mapping[str, str]
) -> InboxEntry:
    """What a form says, not looked at yet but for its kind and the writing of numbers and dates."""
    kind = form.get("kind", "")
    if kind not in (*BECOMES, *ACTIONS):
        raise NotTold("Choose one of the forms of the page")
    pulse, until = form.get("pulse", ""), form.get("until", "")
    try:
        day = date.fromisoformat(until) if kind == "snoozed" and until else None
        number = int(pulse) if kind in (PULSE, ANSWER) and pulse else None
    except ValueError:
        raise NotTold(
            "A day is written as 2030-03-03, how the account is as 1 to 5, an answer as a whole"
            " number"
        ) from None
    return InboxEntry(
        kind=kind,
        account_id=form["account"],
        target=server.site.target,
        author=reader.user.name,
        role=reader.user.role,
        run_id=str(file.about["run"]["run_id"]),
        at=server.site.clock(),
        once=form.get("once", "")[:64],
        alert_id=form["alert"] if kind in ACTIONS else "",
        pulse=number,
        play=form.get("play", "") if kind in (PLAY, ANSWER) else "",
        note=form.get("note", "") if kind != PLAY else "",
        until=day,
    )


async def alerts(server: Dashboard, request: Request, reader: Reader, file: PageFile) -> Response:
    """Alerts that go on."""
    return server.page(
        "page_alerts.html.j2",
        reader,
        here="/alerts",
        title="Alerts",
        alerts=file.alerts(scope(reader.user)),
        said="Saved. The next night takes it in." if "told" in request.query_params else "",
        query=_query,
        **_forms(server, reader),
    )


async def renewals(server: Dashboard, request: Request, reader: Reader, file: PageFile) -> Response:
    """What comes up month by month: the reader's own accounts, and the forecast over all."""
    who = scope(reader.user)
    months = [row for row in file.sums(who, "month") if row["what"] != NOBODYS]
    most = max((row["value"] or 0.0 for row in months), default=0.0)
    return server.page(
        "page_renewals.html.j2",
        reader,
        here="/renewals",
        title="Renewals by month",
        months=months[:24],
        most=most,
        months_in_all=len(months),
        forecast=file.document(who, "renewals"),
        month_words=_month_words,
        is_all=reader.user.role != "csm",
        reads_accounts=reader.user.role in _READS_ACCOUNTS,
        query=_query,
    )


def document(name: str) -> Handler:
    """What answers for a page that was drawn once."""

    async def answer(
        server: Dashboard, request: Request, reader: Reader, file: PageFile
    ) -> Response:
        document = file.document(scope(reader.user), name)
        if document is None:
            return _not_found(server, reader)
        return server.page(
            "page_document.html.j2",
            reader,
            here=f"/{name}",
            title=document["title"],
            body=Markup(document["html"]),  # noqa: S704 - drawn and escaped by our own templates
        )

    return answer


async def how_to_read(
    server: Dashboard, request: Request, reader: Reader, file: PageFile
) -> Response:
    """What the words and numbers mean."""
    return server.page("page_help.html.j2", reader, here="/help", title="How to read it")


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form; files are not taken."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            return {}
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20)
    return {name: values[0] for name, values in fields.items()}


# --- signing in


async def _sign_in_page(server: Dashboard, request: Request) -> Response:
    return server.page("page_sign_in.html.j2", None, title="Sign in", here="", problem="")


async def _sign_in(server: Dashboard, request: Request) -> Response:
    form = await _form(request)
    name, password = form.get("name", "")[:200], form.get("password", "")[:1000]
    if not server.may_try(name):
        problem = f"Too many wrong passwords. Try again in {TRIES_MINUTES} minutes."
        return server.page(
            "page_sign_in.html.j2", None, 429, title="Sign in", here="", problem=problem
        )
    server.failed(name)  # before the hash: many at once are counted, too
    known = server.users().get(name)
    if not await run_in_threadpool(fits, password, known.password if known else "") or not known:
        return server.page(
            "page_sign_in.html.j2",
            None,
            403,
            title="Sign in",
            here="",
            problem="Name or password is wrong.",
        )
    server._tries.pop(name, None)
    key = server.access.begin(name)
    server.access.note(known.user, _address_of(request), "signed in")
    answer = RedirectResponse("/", 303, HEADERS)
    answer.set_cookie(
        COOKIE,
        key,
        max_age=3600 * SESSION_HOURS,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
        path="/",
    )
    return answer


async def _sign_out(server: Dashboard, request: Request) -> Response:
    form, reader = await _form(request), server.reader(request)
    if reader is not None and secrets.compare_digest(
        form.get("token", "").encode(), reader.form_token.encode()
    ):
        server.access.end(reader.key)
    answer = RedirectResponse("/sign-in", 303, HEADERS)
    answer.delete_cookie(COOKIE, path="/")
    return answer


_TODAY, _CUSTOMERS, _TRUST = "Today", "Customers", "Trust"
ROUTES: tuple[Address, ...] = (
    Address("/", _READS_ACCOUNTS, portfolio, "Work on now", _TODAY),
    Address("/owners", _READS_ACCOUNTS, owners),
    Address("/accounts", _READS_ACCOUNTS, accounts, "Accounts", _TODAY),
    Address("/accounts.csv", _READS_ACCOUNTS, accounts_csv),
    Address("/account", _READS_ACCOUNTS, account),
    Address("/alerts", _READS_ACCOUNTS, alerts, "Alerts", _TODAY),
    Address("/executive", _SEES_SUMS, document("executive"), "One screen", _TODAY),
    Address("/renewals", ROLES, renewals, "Renewals", _TODAY),
    Address("/plays", _SEES_SUMS, document("plays"), "Plays", _TODAY),
    Address("/compare", ("leader", "analyst"), document("compare"), "Compared", _CUSTOMERS),
    Address("/onboarding", _SEES_SUMS, document("onboarding"), "Onboarding", _CUSTOMERS),
    Address("/use", _SEES_SUMS, document("use"), "Product use", _CUSTOMERS),
    Address("/support", _SEES_SUMS, document("support"), "Support load", _CUSTOMERS),
    Address("/patterns", _SEES_SUMS, document("patterns"), "Patterns", _CUSTOMERS),
    Address("/advocates", ("leader", "analyst"), document("advocates"), "Advocates", _CUSTOMERS),
    Address("/trust", ("leader", "analyst"), document("trust"), "Can I believe it?", _TRUST),
    Address("/pulse", ("leader", "analyst"), document("pulse"), "Managers and score", _TRUST),
    Address("/model", ROLES, document("model"), "Model", _TRUST),
    Address("/metrics", ROLES, document("metrics"), "Metrics", _TRUST),
    Address("/data-use", ROLES, document("data-use"), "Data use", _TRUST),
    Address("/help", ROLES, how_to_read, "How to read it", _TRUST),
)
"""Every address of a signed-in reader."""
FORMS: tuple[Address, ...] = (
    Address("/tell", _TELLS, tell),
    Address("/take-back", _TELLS, take_back),
)
"""Addresses of forms; each takes what is sent and leads back to a page."""


def dashboard_app(site: Site) -> Starlette:
    """The application; `uvicorn` runs it."""
    server = Dashboard(site)

    async def style(request: Request) -> Response:
        headers = {**HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}
        return Response(server.style, 200, headers, "text/css; charset=utf-8")

    def guarded(answer: Callable[[Dashboard, Request], Awaitable[Response]]) -> Any:
        async def guard(request: Request) -> Response:
            return _refusal(server, request) or await answer(server, request)

        return guard

    def of(address: Address) -> Any:
        async def open_it(server: Dashboard, request: Request) -> Response:
            reader = server.reader(request)
            if reader is None:
                if server.site.proxy_header:
                    return server.message(None, 403, "Not signed in", "The proxy names nobody here")
                return RedirectResponse("/sign-in", 303, HEADERS)
            if address.path == "/" and reader.user.role == "executive":
                return RedirectResponse("/executive", 303, HEADERS)
            if reader.user.role not in address.roles:
                return _not_found(server, reader)
            file = server.pages.current()
            if file is None:
                return server.message(
                    reader,
                    503,
                    "No pages yet",
                    "Run `tenure pages` to make them from the scores that are published",
                )
            return await address.answer(server, request, reader, file)

        return guarded(open_it)

    async def unknown(request: Request, error: Exception) -> Response:
        return _not_found(server, server.reader(request))

    return Starlette(
        routes=[
            *(Route(each.path, of(each), methods=["GET"]) for each in ROUTES),
            *(Route(each.path, of(each), methods=["POST"]) for each in FORMS),
            Route("/sign-in", guarded(_sign_in_page), methods=["GET"]),
            Route("/sign-in", guarded(_sign_in), methods=["POST"]),
            Route("/sign-out", guarded(_sign_out), methods=["POST"]),
            Route("/style.css", style, methods=["GET"]),
        ],
        exception_handlers={404: unknown},
    )


def _refusal(server: Dashboard, request: Request) -> Response | None:
    """What no page answers: another site's form, and a name that is not ours (a page elsewhere that
    calls this machine by a name of its own).
    """
    host = request.headers.get("host", "")
    name = urlsplit(f"//{host}").hostname or ""
    if server.site.hosts and name not in server.site.hosts:
        return PlainTextResponse("This server has another name.", 400, HEADERS)
    if request.method != "GET":
        origin = request.headers.get("origin")
        if origin is None or urlsplit(origin).netloc != host:
            return PlainTextResponse("A form of another site.", 403, HEADERS)
    return None


def _not_found(server: Dashboard, reader: Reader | None) -> Response:
    return server.message(
        reader, 404, "Nothing here", "There is no such page, or it is not among yours"
    )


def _address_of(request: Request) -> str:
    return request.client.host if request.client else ""


def _wanted(request: Request, page: int | None = None) -> Wanted:
    """What an address asks for; what it does not know is left out."""
    asked = request.query_params
    return Wanted(
        filters={name: asked[name] for name in FILTERS if asked.get(name)},
        only=asked["only"] if asked.get("only") in ("calls", "falls") else "",
        find=asked.get("find", "")[:200],
        sort=asked["sort"] if asked.get("sort") in SORTS else "place",
        is_down=asked.get("down") == "1",
        page=page or _page_number(request),
    )


def _page_number(request: Request) -> int:
    number = request.query_params.get("page", "1")
    return min(int(number), 1_000_000) or 1 if number.isascii() and number.isdigit() else 1


def _chosen(wanted: Wanted) -> dict[str, str]:
    """What an address says of the list, to be said again by the next address."""
    chosen = dict(wanted.filters)
    if wanted.only:
        chosen["only"] = wanted.only
    if wanted.find:
        chosen["find"] = wanted.find
    if wanted.sort != "place":
        chosen["sort"] = wanted.sort
    if wanted.is_down:
        chosen["down"] = "1"
    return chosen


def _query(path: str, chosen: Mapping[str, str] | None = None, **more: str) -> str:
    """An address with its values; an empty one is left out."""
    values = {name: value for name, value in {**(chosen or {}), **more}.items() if value}
    return f"{path}?{urlencode(values)}" if values else path


def _month_words(month: str) -> str:
    """`March 2026`; a month of an address that is none is shown as it is."""
    try:
        return f"{date.fromisoformat(f'{month}-01'):%B %Y}"
    except ValueError:
        return "no end known" if month == NOBODYS else month


def _sum(amounts: Any) -> float | None:
    known = [each for each in amounts if each is not None]
    return sum(known) if known else None
