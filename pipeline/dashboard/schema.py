"""The page file: where it stands, its tables, and the pointer that makes one of them current."""

import os
import zlib
from collections.abc import Iterable
from pathlib import Path

FORMAT = 4
"""Of the tables below: a server of another release refuses the file."""
PAGES, POINTER, ENDING = "pages", "current", ".sqlite"
NOBODYS = "-"
"""Stands in a filter for accounts without an owner, a segment or a month."""

TABLES = """
create table about (name text primary key, value text not null);
create table latest (
  sequence integer primary key, account_id text not null unique, place integer, name text not null,
  owner text not null, segment text not null, value real, currency text not null,
  band text not null, standing text not null, band_order integer not null, health integer,
  state text not null,
  chance real, chance_words text not null, chance_note text not null, is_later integer not null,
  at_stake real, ends_on text, month text not null, timing text not null, meaning text not null,
  summary text not null, reasons text not null, usual integer, fell_by text,
  is_listed integer, todo text not null, saves real
);
create table account_page (sequence integer primary key, view blob not null);
create table totals (
  owner text not null, segment text not null, standing text not null, month text not null,
  accounts integer not null, value real, at_stake real, calls integer not null,
  falls integer not null
);
create virtual table search using fts5(words, content='', tokenize='trigram', detail='full');
create table alerts (
  alert_id text not null, account_id text not null, name text not null, kind text not null,
  reason text not null, state text not null, owner text not null, play text not null,
  began text not null, due text, until text, value real, currency text not null, note text not null
);
create table documents (
  name text primary key, title text not null, audience text not null, html text not null
);
"""
INDEXES = """
create index latest_owner on latest (owner, sequence);
create index latest_standing on latest (standing, sequence);
create index latest_segment on latest (segment, sequence);
create index latest_month on latest (month, sequence);
create index latest_place on latest (place) where place is not null;
create index latest_fell on latest (at_stake) where usual is not null;
create index latest_name on latest (name);
create index latest_value on latest (value);
create index latest_health on latest (health);
create index latest_health_down on latest (health desc);
create index latest_ends on latest (ends_on);
create index latest_stake on latest (at_stake);
create index latest_owner_value on latest (owner, value);
create index latest_owner_stake on latest (owner, at_stake);
create index totals_owner on totals (owner);
create index alerts_account on alerts (account_id);
"""
_WINDOW = 32_768


def pages_folder(project: Path, target: str) -> Path:
    """Where the page files of a target stand."""
    return project / PAGES / target


def current_file(folder: Path) -> Path | None:
    """The page file that readers see; None where none was made."""
    try:
        name = (folder / POINTER).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    path = folder / name
    return path if path.is_file() else None


def put_in_place(aside: Path, path: Path) -> None:
    """Let a finished file take its name and make it current, so that no reader and no power cut
    ever meets half a file.
    """
    _sync(aside)
    aside.replace(path)
    pointer = path.parent / f".{POINTER}"
    pointer.write_text(path.name, encoding="utf-8")
    _sync(pointer)
    pointer.replace(path.parent / POINTER)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def dictionary_of(samples: Iterable[bytes]) -> bytes:
    """What pages of accounts have in common, for `packed`."""
    return b"".join(samples)[-_WINDOW:]


def packed(page: bytes, dictionary: bytes) -> bytes:
    """One page compressed against the dictionary; alone it would be three times as large."""
    work = zlib.compressobj(6, zdict=dictionary) if dictionary else zlib.compressobj(6)
    return work.compress(page) + work.flush()


def unpacked(packed_page: bytes, dictionary: bytes) -> bytes:
    """The page as it was."""
    work = zlib.decompressobj(zdict=dictionary) if dictionary else zlib.decompressobj()
    return work.decompress(packed_page) + work.flush()
