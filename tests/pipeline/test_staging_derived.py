"""What staging works out beside the user's columns: visits, answers on one scale, tone,
families.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.errors import ConfigError, ContractError
from pipeline.config.schema import Project, Source
from pipeline.engine.duckdb import Connection, connected, rows
from pipeline.staging import StagedSource, stage
from pipeline.staging.derived import derive
from pipeline.staging.roll_up import CHILDREN, families
from pipeline.staging.sentiment import add_sentiment, no_texts, tone

DAY = datetime(2024, 3, 1)


@pytest.fixture
def engine() -> Iterator[Connection]:
    with connected(threads=1) as connection:
        yield connection


def staged(
    engine: Connection, folder: Path, table: str, data: list[dict[str, Any]], **settings: Any
) -> StagedSource:
    pd.DataFrame(data).to_parquet(folder / f"{table}.parquet")
    project = Project(
        name="p", time_zone="UTC", sources={table: Source(location=f"{table}.parquet", **settings)}
    )
    return stage(project, folder, engine)[table]


def column(engine: Connection, source: StagedSource, name: str, order: str) -> list[Any]:
    return [r[0] for r in rows(engine, f"select {name} from {source.table} order by {order}")]


def derived(engine: Connection, source: StagedSource) -> StagedSource:
    return derive(engine, {source.name: source}, families=None, texts=no_texts()).sources[
        source.name
    ]


# --- visits
# ----------------------------------------------------------------------------------------


def event(
    minute: float, known: float | None = None, user: str = "u", name: str = "e"
) -> dict[str, Any]:
    at = DAY + timedelta(minutes=minute)
    return {
        "account_id": "A",
        "user_id": user,
        "event_time": at,
        "event_name": name,
        "known_at": at if known is None else DAY + timedelta(minutes=known),
    }


def minutes(engine: Connection, folder: Path, data: list[dict[str, Any]]) -> list[int | None]:
    source = derived(engine, staged(engine, folder, "usage_events", data, session_gap_minutes=30))
    return column(engine, source, "session_minutes", "event_time, user_id")


def test_a_gap_longer_than_stated_ends_a_visit(engine: Connection, tmp_path: Path) -> None:
    """Gaps of 30 minutes hold a visit together, 31 do not; the length stands on the first event."""
    assert minutes(engine, tmp_path, [event(m) for m in (0, 10, 40, 71, 75)]) == [
        40,
        None,
        None,
        4,
        None,
    ]


def test_two_people_make_two_visits(engine: Connection, tmp_path: Path) -> None:
    assert minutes(
        engine, tmp_path, [event(0), event(1, user="v"), event(5), event(9, user="v")]
    ) == [5, 8, None, None]


def test_a_late_event_changes_no_visit_that_was_counted_before(
    engine: Connection, tmp_path: Path
) -> None:
    """The event of minute 5 is heard of two days later: a visit of its own, and the first visit
    stays as it was.
    """
    seen_then = minutes(engine, tmp_path, [event(0), event(12)])
    assert seen_then == [12, None]
    assert minutes(engine, tmp_path, [event(0), event(5, known=3000), event(12)]) == [12, 0, None]


def test_what_late_events_do_to_the_length_of_visits_is_said(
    engine: Connection, tmp_path: Path
) -> None:
    def notes(*data: dict[str, object]) -> str:
        rows = staged(engine, tmp_path, "usage_events", list(data), session_gap_minutes=30)
        return " ".join(derived(engine, rows).notes)

    said = notes(event(0), event(5, known=3000), event(12))
    assert "33.3% of events became known on a later day" in said
    assert "visits read 50% shorter (6.0 minutes on average, 12.0 had all events come" in said
    assert "shorter" not in notes(event(0), event(5), event(12))


def test_without_a_stated_gap_there_are_no_visits(engine: Connection, tmp_path: Path) -> None:
    source = derived(engine, staged(engine, tmp_path, "usage_events", [event(0)]))
    assert not source.is_mapped("session_minutes")


def test_row_order_moves_no_visit(engine: Connection, tmp_path: Path) -> None:
    data = [event(m, name=n) for m, n in ((0, "a"), (0, "b"), (10, "a"), (50, "b"), (50, "a"))]
    found = []
    for each in (data, data[::-1]):
        source = derived(
            engine, staged(engine, tmp_path, "usage_events", each, session_gap_minutes=30)
        )
        found.append(
            rows(
                engine,
                f"select event_time, event_name, session_minutes from {source.table} order by all",
            )
        )
    assert found[0] == found[1]


# --- answers
# ---------------------------------------------------------------------------------------


def answer(
    score: float, kind: str = "nps", scale: str | None = "0-10", **more: Any
) -> dict[str, Any]:
    return {
        "account_id": "A",
        "answered_at": DAY,
        "kind": kind,
        "scale": scale,
        "score": score,
        **more,
    }


NPS_FILE = [answer(score) for score in (10, 9, 9, 8, 7, 7, 6, 3, 0)]


def nps(engine: Connection, folder: Path, **cuts: int) -> float:
    source = derived(engine, staged(engine, folder, "surveys", NPS_FILE, **cuts))
    return float(
        rows(engine, f"select sum(nps_points) / count(nps_points) from {source.table}")[0][0]
    )


def test_nps_promoters_are_nine_and_ten(engine: Connection, tmp_path: Path) -> None:
    """Three promoters and three detractors of nine: 0."""
    assert nps(engine, tmp_path) == 0


def test_the_cut_of_seven_leaves_nobody_passive_and_inflates_nps(
    engine: Connection, tmp_path: Path
) -> None:
    """Six promoters (7 and more), three detractors of nine: +33, on the same file."""
    assert nps(engine, tmp_path, promoters_from=7, passives_from=7) == pytest.approx(100 / 3)


def test_scales_are_brought_to_0_to_100(engine: Connection, tmp_path: Path) -> None:
    data = [
        answer(1, "csat", "1-5"),
        answer(4, "csat", "1-5"),
        answer(5, "ces", "1-7"),
        answer(1, "agree", "yes-no"),
        answer(7, "nps", None),
    ]
    source = derived(engine, staged(engine, tmp_path, "surveys", data))
    assert source.columns["points"].decimals == 2
    # In the order agree 1 of 0-1, ces 5 of 1-7, csat 1 and 4 of 1-5, nps 7 of 0-10.
    assert column(engine, source, "points", "kind, score") == [10000, 6667, 0, 7500, 7000]


def test_answers_off_their_scale_have_no_points_and_are_told(
    engine: Connection, tmp_path: Path
) -> None:
    source = derived(
        engine, staged(engine, tmp_path, "surveys", [answer(11), answer(3, "csat", "stars")])
    )
    assert column(engine, source, "points", "kind") == [None, None]
    assert any("csat on stars" in note for note in source.notes)
    assert any("1 answers lie off their own scale" in note for note in source.notes)


# --- tone
# ------------------------------------------------------------------------------------------

# Written for this test: what people write when they leave (-), when nothing is meant (0), when they
# stay (+).
LABELLED = (
    ("We are cancelling at the end of the month.", "-"),
    ("Please confirm our termination in writing.", "-"),
    ("We will not renew, the price is too high.", "-"),
    ("We are looking at alternatives because of the outages.", "-"),
    ("Third outage this week, this is unusable.", "-"),
    ("Nobody answers our tickets, very disappointed.", "-"),
    ("Whole team locked out again.", "-"),
    ("How do we export all our data before we switch to a competitor?", "-"),
    ("The import crashes every time and we lose work.", "-"),
    ("This was a waste of time and money.", "-"),
    ("We want a refund.", "-"),
    ("It is not good and support is not helpful.", "-"),
    ("Please send the invoice to our new address.", "0"),
    ("How do I add a second approver?", "0"),
    ("Where can I change the language of the reports?", "0"),
    ("Please reset the password of a colleague.", "0"),
    ("Is there a limit for the number of projects?", "0"),
    ("The meeting is on Tuesday at ten.", "0"),
    ("We need our order number on the invoice.", "0"),
    ("Great support, thank you so much!", "+"),
    ("We love the new board.", "+"),
    ("Could you quote us ten more seats?", "+"),
    ("We plan to roll this out to our second site.", "+"),
    ("This saves us hours every week.", "+"),
    ("Happy to be a reference for you.", "+"),
    ("We would recommend it to anyone.", "+"),
    ("The training was excellent and the team is keen to start.", "+"),
    ("No problems at all, works well.", "+"),
)


def _class(value: float) -> str:
    return "-" if value <= -0.2 else "+" if value >= 0.2 else "0"


def test_tone_agrees_with_labelled_lines() -> None:
    wrong = [(text, label, tone(text)) for text, label in LABELLED if _class(tone(text)) != label]
    assert len(wrong) <= 3, wrong
    # Nobody who leaves is taken for a friend, or the other way round.
    assert not [w for w in wrong if {w[1], _class(w[2])} == {"-", "+"}]


def test_politeness_is_no_feeling() -> None:
    assert tone("Please help us with the support number.") == 0.0


TICKETS = [
    {"account_id": "A", "opened_at": DAY, "text": text}
    for text in ("We are cancelling.", "Great, thanks!", None)
]


def test_texts_are_judged_once(engine: Connection, tmp_path: Path) -> None:
    source = staged(engine, tmp_path, "support_tickets", TICKETS)
    done, fresh = add_sentiment(engine, source, no_texts())
    assert len(fresh) == 2 and not {"cancelling", "Great"} & set(
        " ".join(fresh["text_hash"]).split()
    )
    values = column(engine, done, "text_sentiment", "text nulls last")
    assert values[0] > 20 and values[1] < -20 and values[2] is None
    again, none = add_sentiment(engine, staged(engine, tmp_path, "support_tickets", TICKETS), fresh)
    assert len(none) == 0 and column(engine, again, "text_sentiment", "text nulls last") == values
    other = fresh.assign(lexicon="another", sentiment=0)
    assert (
        len(add_sentiment(engine, staged(engine, tmp_path, "support_tickets", TICKETS), other)[1])
        == 2
    )


def test_a_column_of_the_users_own_judge_stays(engine: Connection, tmp_path: Path) -> None:
    data = [{**TICKETS[0], "text_sentiment": 0.5}]
    source = derived(engine, staged(engine, tmp_path, "support_tickets", data))
    assert column(engine, source, "text_sentiment", "text") == [500]


def test_texts_stay_unread_where_the_project_says_so(engine: Connection, tmp_path: Path) -> None:
    source = derived(engine, staged(engine, tmp_path, "support_tickets", TICKETS, read_texts=False))
    assert not source.is_mapped("text_sentiment")


# --- families
# --------------------------------------------------------------------------------------


def family(
    engine: Connection, folder: Path, parents: dict[str, str | None]
) -> dict[str, StagedSource]:
    pd.DataFrame(
        [{"account_id": a, "created_at": DAY, "parent_account_id": p} for a, p in parents.items()]
    ).to_parquet(folder / "accounts.parquet")
    pd.DataFrame(
        [{"account_id": a, "user_id": "u", "event_time": DAY, "event_name": "e"} for a in parents]
    ).to_parquet(folder / "usage.parquet")
    project = Project(
        name="p",
        time_zone="UTC",
        roll_up="parent",
        sources={
            "accounts": Source(location="accounts.parquet"),
            "usage_events": Source(location="usage.parquet"),
        },
    )
    return stage(project, folder, engine)


def test_children_count_for_the_topmost_parent_and_nothing_counts_twice(
    engine: Connection, tmp_path: Path
) -> None:
    sources = family(engine, tmp_path, {"P": None, "C": "P", "G": "C", "Q": None, "X": "elsewhere"})
    found = families(engine, sources["accounts"])
    assert list(found.itertuples(index=False, name=None)) == [("C", "P"), ("G", "P")]
    done = derive(engine, sources, families=found, texts=no_texts()).sources
    assert rows(
        engine,
        "select account_id, count(*), count(distinct user_id) from staged_usage_events group by 1 "
        "order by 1",
    ) == [("P", 3, 3), ("Q", 1, 1), ("X", 1, 1)]
    assert column(engine, done["accounts"], "account_id", "1") == ["P", "Q", "X"]
    accounts = done["accounts"]
    assert accounts.rows_left_out == {CHILDREN: 2}
    assert (
        accounts.rows_read
        == sum(accounts.rows_left_out.values())
        + sum(accounts.rows_bad.values())
        + accounts.rows_staged
    )


def test_parents_in_a_circle_are_refused(engine: Connection, tmp_path: Path) -> None:
    sources = family(engine, tmp_path, {"A": "B", "B": "A"})
    with pytest.raises(ContractError, match="go round in a circle .A -> B -> A."):
        families(engine, sources["accounts"])


def test_a_parent_that_changes_is_refused(engine: Connection, tmp_path: Path) -> None:
    """The family bought in June must not be known in March."""
    data = [
        {"account_id": "A", "valid_from": DAY, "parent_account_id": None},
        {"account_id": "A", "valid_from": datetime(2024, 6, 1), "parent_account_id": "P"},
        {"account_id": "P", "valid_from": DAY, "parent_account_id": None},
    ]
    with pytest.raises(
        ContractError, match="1 accounts change their parent .A: .*must never change"
    ):
        families(engine, staged(engine, tmp_path, "accounts", data))


def test_rolling_up_without_parents_is_refused(engine: Connection, tmp_path: Path) -> None:
    source = staged(engine, tmp_path, "accounts", [{"account_id": "A", "created_at": DAY}])
    with pytest.raises(ConfigError, match="needs the column parent_account_id"):
        families(engine, source)
