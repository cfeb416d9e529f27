"""Survey signals: a trend compares answers to one question, and no answer is read raw."""

from datetime import timedelta
from typing import Any

import pytest
from tiny_world import FIRST_DAY, TinySource, features_of, moment_of, random_world

from features.catalogue import CARDS, STATES
from features.sources import CONTRACTS
from pipeline.engine.duckdb import connected

AS_OF = FIRST_DAY + 600


def answer(days_ago: int, kind: str | None, points: float | None, version: str = "1") -> Any:
    at = moment_of(AS_OF) - timedelta(days=days_ago)
    stored = None if points is None else round(10 * points)  # the tiny world keeps one decimal
    # The raw score is ten times the scale: whoever reads it would say 1,000 of 100.
    score = None if points is None else round(100 * points)
    row = {"account_id": "A", "answered_at": at, "kind": kind, "version": version}
    clocks = {"known_from": at, "known_until": None, "partition": ""}
    return row | {"score": score, "points": stored, "nps_points": None} | clocks


def signals(*answers: Any) -> dict[str, float]:
    world = {**random_world(0), "surveys": TinySource("surveys", "surveys", tuple(answers))}
    world = {"surveys": world["surveys"]}
    with connected(threads=1) as connection:
        table, _ = features_of(connection, world, [("A", AS_OF, "")], {})
    return {str(k): float(v) for k, v in table.drop(columns=["account_id"]).iloc[0].items()}


OLD = answer(500, "nps", 50)  # the feed covers a year


@pytest.mark.parametrize(
    ("answers", "trend"),
    [
        # NPS went from 80 to 60; a new and much better CSAT is another question.
        ((answer(200, "nps", 80), answer(30, "nps", 60), answer(20, "csat", 100)), -20),
        # Two questions were asked twice: the one answered last speaks.
        (
            (answer(200, "nps", 80), answer(30, "nps", 60))
            + (answer(210, "csat", 40), answer(25, "csat", 70)),
            30,
        ),
        # Different questions then and now compare nothing.
        ((answer(200, "nps", 80), answer(20, "csat", 100)), None),
        # So do two wordings of one.
        ((answer(200, "nps", 80), answer(20, "nps", 100, version="2")), None),
        # Answers without a kind are one question.
        ((answer(200, None, 80), answer(20, None, 90)), 10),
        # An answer without points is no answer.
        ((answer(200, "nps", 80), answer(20, "nps", None)), None),
    ],
)
def test_a_trend_compares_answers_to_one_question_in_one_wording(
    answers: tuple[Any, ...], trend: float | None
) -> None:
    value = signals(OLD, *answers)["survey_trend"]
    assert value == trend if trend is not None else value != value


def test_the_last_recommendation_is_read_on_0_to_100_and_off_its_scale_says_nothing() -> None:
    assert signals(OLD, answer(20, "nps", 90))["nps_182d"] == 90
    off_scale = {**answer(20, "nps", None), "score": 900}
    value = signals(OLD, off_scale)["nps_182d"]
    assert value != value


def test_no_survey_card_reads_the_score_as_given() -> None:
    assert not [c.name for c in CARDS if c.contract == "surveys" and c.measure.column == "score"]
    assert not [s.name for s in STATES if s.contract == "surveys" and "t.score" in s.expression]


def test_a_survey_is_asked_for_no_column_that_nothing_reads() -> None:
    assert CONTRACTS["surveys"].column("channel") is None
