"""Rules of the edge over all of Unicode: names in SQL, text on a screen, names of files, secrets."""

import unicodedata
from datetime import date
from urllib.parse import quote

import pytest
from attack_run import Tally
from hostile_words import EVENTS, IDS, NAMES, OBEYED
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from features.errors import ContractError
from features.sql import identifier, listed, literal
from pipeline.edge.file_names import file_name
from pipeline.edge.locations import (
    HIDDEN,
    has_secret,
    redacted,
    said_of_address,
    shown_location,
)
from pipeline.edge.text import defused, visible
from pipeline.engine.duckdb import Connection, connect, rows

EVERYTHING = st.text(st.characters())
WHOLE = st.text(st.characters(exclude_categories=("Cs",)))
SECRETS = st.text(st.characters(exclude_categories=("Cs",)), min_size=8, max_size=20).filter(
    lambda text: len(set(text)) >= 5
)
DUCK: Connection = connect()


# --- SQL


@given(WHOLE.filter(bool))
@example("2fa_enabled")
@example("3d-view")
@example('"; drop table t; --')
def test_any_words_name_a_column(words: str) -> None:
    answer = DUCK.execute(f"select 1 as {identifier(words)}")
    assert answer.description[0][0] == words and answer.fetchall() == [(1,)]


@given(st.lists(WHOLE.filter(bool), min_size=1, max_size=4, unique_by=lambda w: w.casefold()))
def test_named_columns_are_read_back_one_by_one(words: list[str]) -> None:
    table = ", ".join(f"{place} as {identifier(name)}" for place, name in enumerate(words))
    # DuckDB's names differ regardless of case in its own way: what it holds equal is no case here.
    if len({unicodedata.normalize("NFKC", name).casefold() for name in words}) < len(words):
        return
    assert rows(DUCK, f"select {listed(words, 't')} from (select {table}) t") == [
        tuple(range(len(words)))
    ]


@given(WHOLE)
@example("O'Brien'; drop table runs; --")
@example("back\\slash'")
def test_any_text_is_a_literal_that_reads_back(text: str) -> None:
    assert rows(DUCK, f"select {literal(text)}") == [(text,)]


@given(st.one_of(st.floats(allow_nan=False), st.booleans(), st.dates(date(1, 1, 1))))
def test_any_value_is_a_literal_that_reads_back(value: float | bool | date) -> None:
    read = rows(DUCK, f"select {literal(value)}")[0][0]
    # DuckDB reads a decimal number exactly, as a Decimal.
    assert (float(read) if isinstance(value, float) else read) == value


@pytest.mark.parametrize("words", ["", "\ud800", "a\udfff"])
def test_what_no_table_can_hold_is_refused_in_words(words: str) -> None:
    with pytest.raises(ContractError):
        identifier(words)


# --- text


@given(EVERYTHING)
@example("".join(OBEYED))
def test_visible_text_holds_nothing_that_a_screen_obeys(text: str) -> None:
    shown = visible(text)
    assert not any(each in shown for each in OBEYED)
    assert not any(
        unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") and letter not in "\n\t"
        for letter in shown
    )
    shown.encode("utf-8")
    assert visible(shown) == shown
    assert not set(visible(text, one_line=True)) & set("\n\t\r")


@given(st.text(st.characters(categories=("L", "N", "P", "Sm", "Sc", "Zs"))))
def test_what_is_seen_stays_as_it_is(text: str) -> None:
    fillers = "\u115f\u1160\u3164\uffa0\u2800"
    assert visible(text) == text or any(letter in fillers for letter in text)


@pytest.mark.parametrize(
    "word", ["می\u200cخواهم", "क्\u200dष", "👨\u200d👩\u200d👧", "José", "Straße"]
)
def test_joiners_inside_words_stay(word: str) -> None:
    assert visible(word) == word


@given(EVERYTHING)
@example("\u200b=1+1")
@example("\u00a0\ufeff@SUM(A1)")
@example("\u2066\t-2")
def test_no_cell_is_run_as_a_formula(text: str) -> None:
    cell = str(defused(text))
    bare = "".join(
        letter
        for letter in cell
        if not letter.isspace() and unicodedata.category(letter) not in ("Cc", "Cf")
    )
    assert not bare.startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠"))


# --- names of files


@given(EVERYTHING)
@example("x" * 300)
@example("é" * 300)
def test_any_id_is_the_name_of_a_file_in_its_folder(words: str) -> None:
    name = file_name(words, ".html")
    assert len(f".{name}".encode()) <= 255 and name.isascii()
    assert not set(name) & set('/\\\0:*?"<>|\n') and not name.startswith(".")


@given(st.lists(EVERYTHING, unique=True, max_size=6))
def test_two_ids_never_share_a_file(words: list[str]) -> None:
    assert len({file_name(each, ".html") for each in words}) == len(words)


@given(EVERYTHING)
def test_the_name_of_a_name_is_another_file(words: str) -> None:
    """An id made to equal a shortened name does not reach the page it was made for."""
    name = file_name(words, "")
    assert name == words or file_name(name, "") != name


def test_hostile_ids_have_files_of_their_own() -> None:
    assert len({file_name(each, ".html") for each in (*IDS, *NAMES, *EVENTS)}) == len(
        {*IDS, *NAMES, *EVENTS}
    )


# --- secrets

ADDRESSES = (
    "postgresql://ann:{}@db.example.com/crm",
    "postgres://ann:{}@db.example.com:5432/crm?sslmode=require",
    "postgresql://db.example.com/crm?user=ann&password={}",
    "postgresql://db.example.com/crm?password={}",
    "mysql://ann:{}@db/crm",
    "postgresql+psycopg://ann:{}@db/crm",
    "POSTGRESQL://ann:{}@db/crm",
    "postgresql://{}@db/crm",
    "postgresql://ann:{}",
    "postgresql:// ann:{}@db/crm",
    "host=db user=ann password={}",
    "ann:{}@db/crm",
    "https://user:{}@mlflow.example.com",
    "s3://key:{}@bucket/path",
    " postgresql://ann:{}@db/crm",
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(secret=SECRETS)
@example(secret="p@ss/w?rd#1")
@example(secret="hunter2 hunter3")
@example(secret="'0000123")
@example(secret=",;&0000123")
@example(secret="quo\"te'd@word")
@example(secret="12345678")
@pytest.mark.parametrize("address", ADDRESSES)
def test_no_address_shows_its_password(address: str, secret: str, tally: Tally) -> None:
    for written in (secret, quote(secret, safe="")):
        location = address.format(written)
        shown = shown_location(location)
        # A user alone is none: nobody can tell that it was meant as a password.
        assert has_secret(location) or "//{}@" in address
        said = said_of_address(location, f'connection to "{location}" failed: bad "{written}"')
        printed = any(word in text for word in (secret, written) for text in (shown, said))
        tally("passwords in addresses", tried=1, printed=int(printed))
        assert not printed, (shown, said)


@settings(max_examples=60)
@given(
    SECRETS.filter(lambda text: text.isascii() and text.isalnum() or not set(text) & set(" \"'"))
)
@pytest.mark.parametrize("address", ADDRESSES[:7])
def test_no_message_repeats_a_password_inside_an_address(address: str, secret: str) -> None:
    written = quote(secret, safe="")
    assert written not in redacted(f'cannot reach "{address.format(written)}": no route to host')


@pytest.mark.parametrize(
    "location",
    ["exports/usage.csv", "data/*.parquet", "/srv/a b/x.duckdb", "env:CRM", "C:/data/x.csv"],
)
def test_places_without_a_secret_are_shown_as_they_are(location: str) -> None:
    assert shown_location(location) == location and not has_secret(location)


def test_of_what_is_not_understood_only_the_scheme_is_shown() -> None:
    assert shown_location("postgresql://a?b@c") == f"postgresql://{HIDDEN}"
