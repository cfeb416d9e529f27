"""Commands about the dashboard: its pages, its server, and who may sign in."""

import getpass
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipeline.cli.options import HERE, JsonOption, ProjectOption, TargetOption, now, open_project
from pipeline.edge.terminal import say

if TYPE_CHECKING:
    from pipeline.dashboard.app import Site

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def pages(
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw the pages of the current run, and the dashboard's.

    From then on every publication brings the dashboard up to date.

    Example: tenure pages
    """
    from pipeline.console import print_json
    from pipeline.dashboard.schema import current_file, pages_folder
    from pipeline.jobs.report import write_reports
    from pipeline.jobs.rollback import published_again
    from pipeline.ledger import published_run

    workspace, chosen = open_project(project, target)
    with workspace.store.writing():
        run = published_run(workspace.store, chosen.name)
        published = published_again(workspace, chosen, run)
        folder = pages_folder(workspace.folder, chosen.name)
        folder.mkdir(parents=True, exist_ok=True)
        drawn = write_reports(workspace, chosen, published)
    path = current_file(folder)
    if as_json:
        print_json({"run_id": run.run_id, "pages": [*drawn], "page_file": path})
        return
    say(f"{path}  run {run.run_id}; `tenure dashboard` serves it")


def dashboard(
    project: ProjectOption = HERE,
    target: TargetOption = None,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; others than this machine sign in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port.")] = 8642,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="Name readers use for this server; may be repeated."),
    ] = None,
    proxy_header: Annotated[
        str, typer.Option("--proxy-header", help="Header in which a proxy names who signed in.")
    ] = "",
    proxy: Annotated[
        list[str] | None,
        typer.Option("--proxy", help="Address of that proxy; may be repeated."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Serve the pages of the current run to a browser.

    `tenure pages` makes them, `tenure access` says who may sign in. Without users it serves this
    machine only.

    Example: tenure dashboard --port 8642
    """
    from features.errors import ConfigError

    try:
        import uvicorn

        from pipeline.dashboard.app import dashboard_app
    except ImportError as error:
        raise ConfigError(
            f"{error.name} is not installed. pip install 'tenure[dashboard]' brings it."
        ) from error
    site = site_of(project.resolve(), target, host, name or [], proxy_header, proxy or [])
    address = f"http://{host}:{port}/"
    say(json.dumps({"address": address}) if as_json else f"{address}  (Ctrl-C stops it)")
    uvicorn.run(
        dashboard_app(site),
        host=host,
        port=port,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
    )


def site_of(
    project: Path,
    target: str | None,
    host: str,
    names: list[str],
    proxy_header: str,
    proxies: list[str],
) -> "Site":
    """What a server is started with.

    Raises
    ------
    ConfigError
        No page file was made, several targets have one, or anybody on the network could read it.
    """
    from features.errors import ConfigError
    from pipeline.dashboard.access import USERS, read_users
    from pipeline.dashboard.app import Site
    from pipeline.dashboard.schema import PAGES, POINTER

    sites = sorted(each.parent.name for each in (project / PAGES).glob(f"*/{POINTER}"))
    if not sites:
        raise ConfigError(f"there are no pages in {project / PAGES}. Run `tenure pages` first.")
    if target is None and len(sites) > 1:
        raise ConfigError(f"pages of several targets: say --target, one of {', '.join(sites)}.")
    if target is not None and target not in sites:
        raise ConfigError(
            f"no pages of target {target!r}; there are: {', '.join(sites)}. Run `tenure pages"
            f" --target {target}`."
        )
    users = (project / USERS).exists() and bool(read_users(project / USERS))
    if bool(proxy_header) != bool(proxies):
        raise ConfigError("--proxy-header and --proxy go together: a header alone can be forged.")
    if host not in _LOOPBACK and not users:
        raise ConfigError(
            f"--host {host} would show every account to anybody who reaches it. Let readers sign"
            " in first: `tenure access NAME --role leader`."
        )
    hosts = tuple(names) if names else () if host not in _LOOPBACK else _LOOPBACK
    return Site(project, target or sites[0], now, hosts, users, proxy_header, tuple(proxies))


def access(
    user: Annotated[str, typer.Argument(metavar="NAME", help="Who.")],
    role: Annotated[
        Literal["leader", "csm", "analyst", "executive"] | None,
        typer.Option("--role", help="What the user may see."),
    ] = None,
    owner: Annotated[
        list[str] | None,
        typer.Option("--owner", help="Owner whose accounts a csm sees; may be repeated."),
    ] = None,
    without_password: Annotated[
        bool, typer.Option("--without-password", help="A proxy signs the user in.")
    ] = False,
    revoke: Annotated[
        bool, typer.Option("--revoke", help="End the user's sessions, and take the user out.")
    ] = False,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Say who may sign in to the dashboard, and as what.

    The password is asked for, or read from standard input.

    Example: tenure access anna --role csm --owner "CSM 07"
    """
    from features.errors import ConfigError
    from pipeline.console import print_json
    from pipeline.dashboard.access import (
        ACCESS,
        USERS,
        AccessFile,
        KnownUser,
        User,
        hashed,
        read_users,
        write_users,
    )
    from pipeline.dashboard.schema import PAGES

    folder = project.resolve()
    path = folder / USERS
    users = read_users(path) if path.exists() else {}
    if not user.isprintable() or not user.strip():
        raise ConfigError("a name is made of characters that are seen.")
    if revoke or role is None:
        if user not in users:
            raise ConfigError(f"there is no user {user!r}; there are: {', '.join(users) or 'none'}")
        if not revoke:
            raise ConfigError("say --role, or --revoke.")
        del users[user]
        done = f"{user} may not sign in any more"
    else:
        if role == "csm" and not owner:
            raise ConfigError("a csm sees the accounts of an owner: say --owner.")
        password = "" if without_password else hashed(_password(user))
        users[user] = KnownUser(User(user, role, tuple(owner or ())), password)
        done = f"{user} may sign in as {role}"
    write_users(path, users)
    sessions = AccessFile(folder / PAGES / ACCESS, now)
    ended = sessions.revoke(user)
    sessions.close()
    if as_json:
        print_json({"user": user, "role": None if revoke else role, "sessions_ended": ended})
        return
    say(done)
    if ended:
        say(f"{ended} of the user's sessions ended")


def _password(user: str) -> str:
    if sys.stdin.isatty():
        return getpass.getpass(f"Password of {user}: ")
    return sys.stdin.readline().rstrip("\n")
