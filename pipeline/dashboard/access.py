"""Who may see what: roles, and the one condition that every question to a page file must take.

| role | sees |
|---|---|
| leader, analyst | everything |
| csm | the accounts of the owners that the user stands for; no page about all accounts by name |
| executive | sums, the model, metrics; no account by name |
"""

import hashlib
import json
import os
import secrets
import sqlite3
import threading
import tomllib
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from features.errors import ConfigError

Role = Literal["leader", "csm", "analyst", "executive"]
ROLES: tuple[Role, ...] = ("leader", "csm", "analyst", "executive")
USERS, ACCESS = "dashboard-users.toml", "access.sqlite"
SESSION_HOURS = 12
TRIES, TRIES_MINUTES = 5, 15
"""Wrong passwords of a name, and the minutes in which no more are taken then."""
HASHES_AT_ONCE = 2
"""A hash takes 64 MiB: bounded, so that signing in cannot fill the memory."""
_EVERYBODY, _COMPANY, _BY_NAME = "everybody", "company", "by name"
_AUDIENCES: Mapping[Role, tuple[str, ...]] = {
    "leader": (_EVERYBODY, _COMPANY, _BY_NAME),
    "analyst": (_EVERYBODY, _COMPANY, _BY_NAME),
    "executive": (_EVERYBODY, _COMPANY),
    "csm": (_EVERYBODY,),
}


@dataclass(frozen=True)
class User:
    """Somebody who reads: `owners` are those a csm stands for."""

    name: str
    role: Role
    owners: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scope:
    """What a user may see, as conditions of SQL with their parameters: of rows of accounts, of
    sums, and of pages drawn once.
    """

    accounts: str
    sums: str
    documents: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def scope(user: User) -> Scope:
    """The condition of a user; the only place where roles become rows."""
    allowed = _AUDIENCES[user.role]
    documents = f"audience in ({', '.join(repr(each) for each in allowed)})"
    if user.role == "csm":
        names = {f"owner_{n}": owner for n, owner in enumerate(user.owners)}
        mine = f"owner in ({', '.join(f':{name}' for name in names)})" if names else "0"
        return Scope(mine, mine, documents, names)
    if user.role == "executive":
        return Scope("0", "1", documents)
    return Scope("1", "1", documents)


# --- users


@dataclass(frozen=True)
class KnownUser:
    """A user of the file, with the hash of the password; empty: a proxy signs in."""

    user: User
    password: str


def read_users(path: Path) -> dict[str, KnownUser]:
    """Users of a file by name.

    Raises
    ------
    ConfigError
        It is no TOML, or a user has no role of ours.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("users", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from error
    users = {}
    for name, entry in entries.items():
        role = entry.get("role")
        if role not in ROLES:
            raise ConfigError(
                f"{path}: user {name!r} has role {role!r}; there are: {', '.join(ROLES)}."
            )
        user = User(name, role, tuple(str(each) for each in entry.get("owners", ())))
        users[name] = KnownUser(user, str(entry.get("password", "")))
    return users


def write_users(path: Path, users: Mapping[str, KnownUser]) -> None:
    """Keep users, for their owner's eyes only."""
    lines = []
    for name, known in sorted(users.items()):
        lines += [f"[users.{_quoted(name)}]", f"role = {_quoted(known.user.role)}"]
        if known.user.owners:
            lines.append(f"owners = [{', '.join(_quoted(each) for each in known.user.owners)}]")
        if known.password:
            lines.append(f"password = {_quoted(known.password)}")
        lines.append("")
    aside = path.with_name(f".{path.name}")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("\n".join(lines))
    aside.replace(path)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=True).replace("\x7f", "\\u007f")


def hashed(password: str) -> str:
    """An argon2 hash of a password.

    Raises
    ------
    ConfigError
        The extra `dashboard` is not installed, or the password is shorter than ten characters.
    """
    if len(password) < 10:
        raise ConfigError("a password needs at least ten characters.")
    return str(_hasher().hash(password))


def fits(password: str, kept: str) -> bool:
    """Whether a password is the one that was kept; takes as long where there is none."""
    from argon2.exceptions import Argon2Error, InvalidHashError

    hasher = _hasher()
    with _hashes:
        try:
            return bool(hasher.verify(kept or _nobodys(), password)) and bool(kept)
        except (Argon2Error, InvalidHashError):
            return False


_hashes = threading.BoundedSemaphore(HASHES_AT_ONCE)


def _hasher() -> Any:
    try:
        from argon2 import PasswordHasher
    except ImportError as error:
        raise ConfigError(
            "passwords need the extra `dashboard`: pip install 'tenure[dashboard]'."
        ) from error
    return PasswordHasher(memory_cost=65_536)


_known_to_nobody: list[str] = []


def _nobodys() -> str:
    if not _known_to_nobody:
        _known_to_nobody.append(str(_hasher().hash(secrets.token_hex())))
    return _known_to_nobody[0]


# --- sessions, and who saw what


@dataclass(frozen=True)
class Session:
    """A signed-in user; `form_token` must come with every form."""

    name: str
    form_token: str


class AccessFile:
    """Sessions and the audit log of a project, in a file beside the page files.

    Only hashes of session keys are kept: who reads the file cannot take a session over.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._clock = clock
        self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        os.chmod(path, 0o600)
        self._file.execute("pragma journal_mode = wal")
        self._file.execute("pragma synchronous = normal")
        self._file.execute("pragma busy_timeout = 2000")
        self._file.executescript(
            "create table if not exists sessions (key text primary key, name text not null,"
            " until text not null, form_token text not null);"
            "create table if not exists audit (at text not null, name text not null,"
            " role text not null, address text not null, what text not null, account_id text);"
            "create index if not exists audit_account on audit (account_id, at);"
        )

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def begin(self, name: str) -> str:
        """Sign a user in; returns the key for the cookie."""
        key = secrets.token_urlsafe(32)
        until = self._clock() + timedelta(hours=SESSION_HOURS)
        self._file.execute("delete from sessions where until < ?", (_at(self._clock()),))
        self._file.execute(
            "insert into sessions values (?, ?, ?, ?)",
            (_digest(key), name, _at(until), secrets.token_urlsafe(24)),
        )
        return key

    def session(self, key: str) -> Session | None:
        """Whose key it is; None where it was never given, is over or was revoked."""
        row = self._file.execute(
            "select name, form_token from sessions where key = ? and until > ?",
            (_digest(key), _at(self._clock())),
        ).fetchone()
        return None if row is None else Session(*row)

    def end(self, key: str) -> None:
        """Sign out."""
        self._file.execute("delete from sessions where key = ?", (_digest(key),))

    def revoke(self, name: str) -> int:
        """End every session of a user; returns how many there were."""
        return self._file.execute("delete from sessions where name = ?", (name,)).rowcount

    def note(self, user: User, address: str, what: str, account_id: str | None = None) -> None:
        """Write down who saw what."""
        self._file.execute(
            "insert into audit values (?, ?, ?, ?, ?, ?)",
            (_at(self._clock()), user.name, user.role, address, what, account_id),
        )

    def seen(self) -> list[tuple[Any, ...]]:
        """The audit log, oldest first: at, name, role, address, what, account_id."""
        return self._file.execute("select * from audit order by rowid").fetchall()


def forget_in_audit(path: Path, accounts: list[str]) -> None:
    """Take accounts out of the audit log: that somebody saw something stays."""
    if path.exists():
        with closing(sqlite3.connect(path)) as file:
            file.execute("pragma secure_delete = on")
            with file:
                file.executemany(
                    "update audit set account_id = '(forgotten)' where account_id = ?",
                    [(account,) for account in accounts],
                )
            # What was overwritten stands in the log of the file until that is emptied.
            file.execute("pragma wal_checkpoint(truncate)")


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}"
