"""A measure whose words never occur in its source is null, never zero."""

from dataclasses import replace

import pandas as pd
from tiny_world import ACCOUNTS, FIRST_DAY, TinySource, World, choices_of, features_of, random_world

from features.definition import Signal
from pipeline.engine.duckdb import connected

# What a source writes where nobody told it of our words.
FOREIGN = {
    "contacts": ("role", "Buyer", "champion"),
    "support_tickets": ("severity", "P1", "urgent"),
    "touchpoints": ("kind", "chat", "meeting"),
}
AS_OF = FIRST_DAY + 600
COUNTING = {
    "contacts": ("champions_present", "champion_lost_91d", "champion_missing_days"),
    "support_tickets": ("severe_tickets_28d", "severe_share_182d", "severe_open"),
    "touchpoints": ("meetings_91d",),
}


def built(world: World) -> tuple[pd.DataFrame, tuple[Signal, ...]]:
    snapshots = [(account, AS_OF, "") for account in ACCOUNTS]
    with connected(threads=1) as connection:
        table, plan = features_of(connection, world, snapshots, choices_of(world))
    return table.set_index("account_id"), plan.signals


def rewritten(source: TinySource, column: str, word: str, *, one: str | None = None) -> TinySource:
    """The source with one word in every row; `one`: account A alone has the word `one`, once."""
    written = [{**row, column: word} for row in source.rows]
    if one is not None:
        place = next(i for i, row in enumerate(written) if row["account_id"] == "A")
        early = {"known_from": min(row["known_from"] for row in written), "known_until": None}
        written[place] |= {column: one, **early}
    return replace(source, rows=tuple(written))


def test_a_count_of_words_that_never_occur_is_null_and_zero_once_they_do() -> None:
    world = random_world(0)
    for name, (column, foreign, ours) in FOREIGN.items():
        without, _ = built({**world, name: rewritten(world[name], column, foreign)})
        once, _ = built({**world, name: rewritten(world[name], column, foreign, one=ours)})
        for signal in COUNTING[name]:
            assert without[signal].isna().all(), signal
            others = once.loc[[a for a in ACCOUNTS if a != "A"], signal]
            assert (others.dropna() == 0).all(), signal
        assert once.loc["B", COUNTING[name][0]] == 0 or name != "contacts"


def test_a_word_counts_from_the_day_it_was_known_and_not_before() -> None:
    """What comes later changes no earlier date: null stays null."""
    world = random_world(0)
    contacts = rewritten(world["contacts"], "role", "Buyer")
    late = [
        {**contacts.rows[0], "account_id": "A", "role": "champion"}
        | {"known_from": pd.Timestamp("2030-01-01").to_pydatetime(), "known_until": None}
    ]
    table, _ = built({**world, "contacts": replace(contacts, rows=(*contacts.rows, *late))})
    assert table["champions_present"].isna().all()
