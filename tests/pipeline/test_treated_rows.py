"""Treated rows: a play inside the label window counts, one before, after or left out on purpose
does not.
"""

from types import SimpleNamespace

import pandas as pd

from features.sources import CONTRACTS
from pipeline.engine.duckdb import connected
from pipeline.jobs.treated import treated_rows


def _us(text: str) -> int:
    return int(pd.Timestamp(text).value // 1_000)


def _staged(done_is_mapped: bool) -> dict[str, SimpleNamespace]:
    mapped = {"assigned_at"} | ({"done_at"} if done_is_mapped else set())
    source = SimpleNamespace(
        contract=CONTRACTS["interventions"], is_mapped=lambda column: column in mapped
    )
    return {"plays": source}


def _rows(done_is_mapped: bool = True) -> list[bool]:
    plays = pd.DataFrame(
        {
            "account_id": ["inside", "before", "after", "holdout", "first", "undone"],
            "assigned_at": [
                _us("2024-01-02"),
                _us("2023-12-01"),
                _us("2024-03-01"),
                _us("2024-01-05"),
                _us("2024-01-01"),
                _us("2024-01-09"),
            ],
            "done_at": pd.array(
                [
                    _us("2024-01-10"),
                    _us("2023-12-31"),
                    _us("2024-04-01"),
                    _us("2024-01-06"),
                    _us("2024-01-01"),
                    None,
                ],
                dtype="Int64",
            ),
            "is_holdout": [False, False, None, True, None, False],
        }
    )
    keys = pd.DataFrame(
        {
            "account_id": [*plays["account_id"], "nobody"],
            "as_of": pd.Timestamp("2024-01-01"),
            "label_until": pd.Timestamp("2024-03-31"),
        }
    )
    with connected() as connection:
        connection.register("plays", plays)
        connection.execute("create view facts_plays as select * from plays")
        found = treated_rows(connection, _staged(done_is_mapped), keys)
    assert found is not None
    return found.tolist()


def test_only_plays_done_inside_the_window_count() -> None:
    #                 inside before after holdout first undone nobody
    assert _rows() == [True, False, False, False, True, False, False]


def test_assignment_counts_where_nobody_says_when_it_was_done() -> None:
    assert _rows(done_is_mapped=False) == [True, False, True, False, True, True, False]


def test_without_such_a_source_nothing_is_claimed() -> None:
    with connected() as connection:
        assert treated_rows(connection, {}, pd.DataFrame({"account_id": []})) is None
