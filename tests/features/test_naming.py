"""Names of columns: readable, unique, never typed by hand."""

import re

from hypothesis import given
from hypothesis import strategies as st

from features.naming import LONGEST, column_name, distinct_slugs, slug


def test_slug_is_plain_snake_case() -> None:
    assert slug("C. Add-on") == "c_add_on"
    assert slug("  __A  ") == "a"


@given(st.text(max_size=80))
def test_any_text_gets_a_slug_that_sql_reads(text: str) -> None:
    assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", slug(text))


def test_texts_without_latin_letters_differ() -> None:
    assert slug("登录") != slug("登出")


def test_source_of_its_own_name_is_prefixed_and_windows_suffixed() -> None:
    assert column_name("usage_events", "usage_events", "events", 28) == "events_28d"
    assert column_name("Web Clicks", "usage_events", "events", None) == "web_clicks__events"


def test_taken_and_long_names_get_a_mark() -> None:
    taken = column_name("s", "s", "events", 28, {"events_28d"})
    assert taken != "events_28d" and taken.startswith("events_28d_")
    long = [column_name("s", "s", "x" * 80 + end, None) for end in "ab"]
    assert len(set(long)) == 2 and all(len(name) <= LONGEST for name in long)


def test_names_are_the_same_each_time() -> None:
    assert column_name("a", "b", "x" * 90, 7) == column_name("a", "b", "x" * 90, 7)


def test_texts_that_read_alike_keep_names_of_their_own() -> None:
    found = distinct_slugs(("Add-on", "add on", "other"))
    assert found["Add-on"] == "add_on" and found["other"] == "other"
    assert len(set(found.values())) == 3
