"""What people tell on a page: kept in a file of its own, which the next night takes in.

The server writes here and nowhere else. Pulses, notes and done plays become rows of the sources
`csm_notes` and `interventions`; what was said of alerts is done as `tenure alerts` does it.
"""

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, fields
from datetime import date, datetime
from pathlib import Path
from typing import Any

INBOX = "inbox.sqlite"
"""Beside the access file, in the folder of the page files."""
PULSE, PLAY, ANSWER = "pulse", "play", "answer"
ACTIONS = ("acknowledged", "snoozed", "done")
"""What may be said of an alert: the states that `tenure alerts` gives."""
BECOMES = {
    PULSE: ("csm_notes",),
    PLAY: ("interventions",),
    ANSWER: ("surveys", "interventions"),
}
"""Kind of what is told -> the sources whose rows it becomes: who answered was also asked."""
TAKES_ROWS = tuple(dict.fromkeys(name for names in BECOMES.values() for name in names))
ANSWERS = {"nps": (0, 10), "csat": (1, 5), "ces": (1, 7)}
"""What a questionnaire asks -> lowest and highest answer."""
PULSES = {1: "leaving", 2: "worried", 3: "unsure", 4: "content", 5: "delighted"}
LONGEST_NOTE, LONGEST_PLAY = 4_000, 80
MOST_A_DAY = 200
"""Entries of an author: more are no person's."""
_WAITS = "taken_at is null and withdrawn_at is null"
_TABLE = """
create table if not exists told (
  number integer primary key, kind text not null, account_id text not null, target text not null,
  alert_id text not null, pulse integer, play text not null, note text not null, until text,
  author text not null, role text not null, run_id text not null, at text not null,
  once text not null unique, taken_at text, refused text not null default '',
  asks text not null default '', withdrawn_at text
);
create index if not exists told_account on told (account_id, number);
create index if not exists told_author on told (author, at);
"""


class NotTold(Exception):
    """What was sent cannot be kept; says why, to the person who sent it."""


@dataclass(frozen=True)
class InboxEntry:
    """One thing that a person told.

    Attributes
    ----------
    kind
        `pulse` (with or without a number), `play`, `answer` (to the questionnaire `play`), or one
        of `ACTIONS`.
    pulse
        How the account is; of an answer the number that was given.
    asks
        Of an answer what was asked.
    run_id, at
        The run that the person saw, and when it was told, naive UTC.
    once
        Made for the form: sent twice, it is kept once.
    """

    kind: str
    account_id: str
    target: str
    author: str
    role: str
    run_id: str
    at: datetime
    once: str
    alert_id: str = ""
    pulse: int | None = None
    play: str = ""
    note: str = ""
    until: date | None = None
    asks: str = ""


@dataclass(frozen=True)
class Told:
    """An entry as it is kept; `taken_at` None: it waits for the next night.

    What was taken back stays, with `withdrawn_at`: the next night leaves it out.
    """

    number: int
    entry: InboxEntry
    taken_at: datetime | None
    refused: str
    withdrawn_at: datetime | None = None

    @property
    def can_be_withdrawn(self) -> bool:
        """Whether taking it back changes something: an answer to an alert that a night took in has
        been acted on.
        """
        is_settled = self.entry.kind in ACTIONS and self.taken_at is not None
        return self.withdrawn_at is None and not is_settled


def checked(
    entry: InboxEntry, plays: Sequence[str], questionnaires: Mapping[str, str]
) -> InboxEntry:
    """The entry as it may be kept.

    Parameters
    ----------
    questionnaires
        Play -> what it asks.

    Raises
    ------
    NotTold
        Something in it is not allowed, or is missing.
    """
    note = entry.note.replace("\r\n", "\n").replace("\0", "").strip()
    if len(note) > LONGEST_NOTE:
        raise NotTold(f"A note has at most {LONGEST_NOTE:,} characters; this one has {len(note):,}")
    play = " ".join(entry.play.replace("\0", "").split())
    if entry.kind == PULSE and entry.pulse is None and not note:
        raise NotTold("Choose how the account is, or write a note")
    if entry.kind == PULSE and entry.pulse is not None and entry.pulse not in PULSES:
        raise NotTold("How the account is goes from 1 to 5")
    asks = ""
    if entry.kind == ANSWER:
        if play not in questionnaires:
            raise NotTold("Choose the questionnaire that was answered")
        asks = questionnaires[play]
        low, high = ANSWERS[asks]
        if entry.pulse is None or not low <= entry.pulse <= high:
            raise NotTold(f"An answer to {play.replace('_', ' ')} goes from {low} to {high}")
    if entry.kind == PLAY and not play:
        raise NotTold("Say what was done")
    if entry.kind == PLAY and plays and play not in plays:
        raise NotTold(f"The plays of this project are: {', '.join(plays)}")
    if len(play) > LONGEST_PLAY:
        raise NotTold(f"What was done has at most {LONGEST_PLAY} characters")
    if entry.kind == "snoozed":
        if entry.until is None or entry.until <= entry.at.date():
            raise NotTold("Choose a day that lies ahead")
        if not note:
            raise NotTold("Say why it can wait")
    if not entry.once:
        raise NotTold("Open the page again, and send the form from there")
    kept = {each.name: getattr(entry, each.name) for each in fields(entry)}
    return InboxEntry(**{**kept, "note": note, "play": play, "asks": asks})


class InboxFile:
    """The file of a project, made when something is told first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: sqlite3.Connection | None = None

    def close(self) -> None:
        """Let the file go."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _file(self, *, make: bool) -> sqlite3.Connection | None:
        if self._open is None and (make or self._path.exists()):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            os.chmod(self._path, 0o600)
            for pragma in ("journal_mode = wal", "synchronous = full", "busy_timeout = 5000"):
                file.execute(f"pragma {pragma}")
            _make(file)
            self._open = file
        return self._open

    def add(self, entry: InboxEntry) -> None:
        """Keep an entry; one of the same form is kept already.

        Raises
        ------
        NotTold
            The author told too much today.
        """
        file = self._file(make=True)
        assert file is not None
        day = f"{entry.at:%Y-%m-%d}"
        (today,) = file.execute(
            "select count(*) from told where author = ? and at >= ?", (entry.author, day)
        ).fetchone()
        if today >= MOST_A_DAY:
            raise NotTold(f"At most {MOST_A_DAY} entries a day; the next ones tomorrow")
        names = [each.name for each in fields(InboxEntry)]
        file.execute(
            f"insert or ignore into told ({', '.join(names)})"
            f" values ({', '.join('?' * len(names))})",
            [_plain(value) for value in astuple(entry)],
        )

    def of_account(self, account_id: str, most: int = 20) -> list[Told]:
        """What was told of an account, the newest first."""
        return self._read("where account_id = ? order by number desc limit ?", account_id, most)

    def of_alerts(self) -> dict[str, Told]:
        """Alert -> what was said of it last and not taken in so far."""
        waiting = self._read(f"where alert_id <> '' and {_WAITS} order by number")
        return {each.entry.alert_id: each for each in waiting}

    def actions(self, target: str) -> list[Told]:
        """What was said of alerts of a target and waits, the oldest first."""
        return self._read(
            f"where alert_id <> '' and target = ? and {_WAITS} order by number", target
        )

    def rows_of(self, source: str) -> list[Told]:
        """What becomes rows of a source, the oldest first; nothing that was taken back."""
        entries = [
            each
            for kind, names in BECOMES.items()
            if source in names
            for each in self._read("where kind = ? and withdrawn_at is null", kind)
        ]
        return sorted(entries, key=lambda each: each.number)

    def taken(self, numbers: Iterable[int], at: datetime, refused: str = "") -> None:
        """Note that entries were taken in, or why they could not be."""
        file = self._file(make=False)
        if file is not None:
            file.executemany(
                "update told set taken_at = ?, refused = ? where number = ? and taken_at is null",
                [(_plain(at), refused, number) for number in numbers],
            )

    def withdraw(self, number: int, author: str, account_id: str, at: datetime) -> Told | None:
        """Take an entry back; it stays in the file, and no night reads it from now on.

        Returns it as it was kept; None where the author told no such thing of the account.

        Raises
        ------
        NotTold
            It was taken back before, or was an answer to an alert that a night has acted on.
        """
        found = self._read(
            "where number = ? and author = ? and account_id = ?", number, author, account_id
        )
        if not found:
            return None
        (told,) = found
        if told.withdrawn_at is not None:
            raise NotTold(f"This was taken back on {told.withdrawn_at:%Y-%m-%d} already")
        if not told.can_be_withdrawn:
            raise NotTold("The alert was answered that way already: answer it anew")
        file = self._file(make=False)
        assert file is not None
        file.execute(
            "update told set withdrawn_at = ? where number = ? and withdrawn_at is null",
            (_plain(at), number),
        )
        return told

    def _read(self, where: str, *values: Any) -> list[Told]:
        file = self._file(make=False)
        if file is None:
            return []
        names = [each.name for each in fields(InboxEntry)]
        rows = file.execute(
            f"select number, taken_at, refused, withdrawn_at, {', '.join(names)} from told {where}",
            values,
        )
        return [_told(names, row) for row in rows]

    def forget(self, gone: Callable[[Told], bool], blank: Callable[[Told], bool]) -> int:
        """Remove entries, and the notes of others; returns how many entries went. Nothing of them
        is left in the file.
        """
        if not self._path.exists():
            return 0
        self.close()
        with closing(sqlite3.connect(self._path)) as file:
            file.execute("pragma secure_delete = on")
            _make(file)
            names = [each.name for each in fields(InboxEntry)]
            entries = [
                _told(names, row)
                for row in file.execute(
                    f"select number, taken_at, refused, withdrawn_at, {', '.join(names)} from told"
                )
            ]
            removed = [(each.number,) for each in entries if gone(each)]
            blanked = [(each.number,) for each in entries if not gone(each) and blank(each)]
            with file:
                file.executemany("delete from told where number = ?", removed)
                file.executemany(
                    "update told set note = '', refused = '' where number = ?", blanked
                )
            # What was overwritten stands in the log of the file until that is emptied.
            file.execute("pragma wal_checkpoint(truncate)")
        return len(removed)


def _make(file: sqlite3.Connection) -> None:
    """Make the table, or give one of an earlier release what it lacks."""
    file.executescript(_TABLE)
    columns = {row[1] for row in file.execute("pragma table_info(told)")}
    for name, rule in (("asks", "text not null default ''"), ("withdrawn_at", "text")):
        if name not in columns:
            file.execute(f"alter table told add column {name} {rule}")


def inbox_of(pages: Path) -> InboxFile:
    """The inbox beside the page files of a project."""
    return InboxFile(pages / INBOX)


def digest_of(entries: Iterable[Told]) -> str:
    """Changes whenever what would be taken in does."""
    text = "\x1e".join(repr((each.number, each.entry)) for each in entries)
    return hashlib.sha256(text.encode()).hexdigest()


def _told(names: Sequence[str], row: Sequence[Any]) -> Told:
    number, taken_at, refused, withdrawn_at, *values = row
    kept = dict(zip(names, values, strict=True))
    kept["at"] = datetime.fromisoformat(kept["at"])
    kept["until"] = None if kept["until"] is None else date.fromisoformat(kept["until"])
    taken, withdrawn = (
        None if text is None else datetime.fromisoformat(text) for text in (taken_at, withdrawn_at)
    )
    return Told(int(number), InboxEntry(**kept), taken, str(refused), withdrawn)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value
