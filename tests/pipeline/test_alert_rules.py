"""Rules fire by what customers did, once an episode, within the budget of their owner."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import ConfigError
from pipeline.alerts.episodes import (
    ACKNOWLEDGED,
    CLOSED,
    DONE,
    OPEN,
    SILENCED,
    SNOOZED,
    SUPPRESSED,
    WAITING,
    Alert,
    RunFacts,
    told_within_week,
    turn,
)
from pipeline.alerts.feeds import silence
from pipeline.alerts.inhibition import CHANGED, STALE, Trust, operator_alerts, refusal
from pipeline.alerts.rules import DEFAULT_RULES, Edges, read_rule, rules_of
from pipeline.alerts.senders.message import alert_sentence
from pipeline.alerts.watch import Watched, median, watched, watched_dates
from pipeline.config.schema import AlertRule

EDGES = Edges(40, 70)
MONDAY = date(2025, 6, 2)
KINDS = frozenset(rule.kind for rule in DEFAULT_RULES) | {"strategic"}
CROSSING = (AlertRule(name="at risk", kind="crossing"),)


def table(
    health: Sequence[Sequence[float]],
    path: Sequence[Sequence[float]] | None = None,
    *,
    end: date = MONDAY,
    step: int = 7,
    **columns: Sequence[object],
) -> Watched:
    """Accounts A0, A1, ... with weekly scores; by default customers moved all of it."""
    shown = np.asarray(health, dtype=np.float64)
    count, dates = shown.shape
    accounts = pd.DataFrame(
        {
            "account_id": [f"A{n}" for n in range(count)],
            "name": [f"Firm {n}" for n in range(count)],
            "owner": "Ann",
            "segment": "small",
            "currency": "EUR",
            "value_per_year": 1000.0,
            "value_at_risk": [100.0 + n for n in range(count)],
            "band": "stable",
            "band_reason": None,
        }
    ).assign(**columns)
    return Watched(
        accounts,
        tuple(end - timedelta(days=step * (dates - 1 - n)) for n in range(dates)),
        shown,
        shown - shown[:, :1] if path is None else np.asarray(path, dtype=np.float64),
    )


def night(day: date = MONDAY, **changes: object) -> RunFacts:
    made = RunFacts("churn", f"run{day}", day, datetime.combine(day, datetime.min.time()), KINDS)
    return replace(made, **changes)  # type: ignore[arg-type]


def a_turn(
    seen: Watched,
    history: Sequence[Alert] = (),
    rules: Sequence[AlertRule] = CROSSING,
    *,
    budget: int = 5,
    **changes: object,
) -> tuple[Alert, ...]:
    filled = rules_of(rules, EDGES)
    readings = [read_rule(rule, seen, EDGES) for rule in filled]
    return turn(
        history, filled, readings, seen, night(seen.day, **changes), per_owner_and_week=budget
    ).rows


def holds(kind: str, seen: Watched, **settings: object) -> list[bool]:
    rule = AlertRule(name="one", kind=kind, **settings)  # type: ignore[arg-type]
    return read_rule(rules_of((rule,), EDGES)[0], seen, EDGES).holds.tolist()


def acted(alert: Alert, state: str, **changes: object) -> Alert:
    return replace(alert, state=state, by="Ann", **changes)  # type: ignore[arg-type]


# --- what is usual
# ---------------------------------------------------------------------------------------


@given(
    st.lists(
        st.lists(st.one_of(st.just(float("nan")), st.floats(-9, 9)), min_size=5, max_size=5),
        min_size=1,
        max_size=5,
    )
)
def test_median_is_that_of_numpy_without_what_is_missing(rows: list[list[float]]) -> None:
    values = np.array(rows)
    wanted = [
        np.median(row[~np.isnan(row)]) if (~np.isnan(row)).any() else np.nan for row in values
    ]
    assert np.allclose(median(values), wanted, equal_nan=True)


def test_daily_runs_are_read_a_week_apart() -> None:
    days = [MONDAY - timedelta(days=n) for n in range(1, 400)]
    chosen = watched_dates(days, MONDAY)
    assert chosen[-1] == MONDAY - timedelta(days=1)
    assert {(b - a).days for a, b in zip(chosen, chosen[1:], strict=False)} == {7}
    assert (MONDAY - chosen[0]).days <= 182


def test_path_adds_up_behaviour_and_goes_on_after_a_gap() -> None:
    before = [MONDAY - timedelta(days=14), MONDAY - timedelta(days=7)]
    past = pd.DataFrame(
        {
            "account_id": ["A", "A", "B"],
            "as_of": [*before, before[0]],
            "health": [60.0, 55.0, 70.0],
            "path": [0.0, -5.0, 2.0],
        }
    )
    tonight = pd.DataFrame({"account_id": ["A", "B", "C"], "health": [40.0, 65.0, 50.0]})
    seen = watched(tonight, past, pd.Series({"A": -3.0, "B": -4.0}), MONDAY)
    assert seen.path[:, -1].tolist() == [-8.0, -2.0, 0.0]
    assert seen.health[:, -1].tolist() == [40.0, 65.0, 50.0]


# --- rules
# ---------------------------------------------------------------------------------------


def test_crossing_needs_the_edge_and_a_fall_by_the_customer() -> None:
    steady = [60.0] * 8
    seen = table([[*steady, 38], [*steady, 41], [41.0] * 8 + [38], [*steady, 38]])
    seen.path[3] = 0  # a new model did it
    assert holds("crossing", seen) == [True, False, False, False]


def test_crossing_by_a_model_fires_once_behaviour_alone_would_have() -> None:
    health = [60.0, 60, 60, 60, 36, 30, 24, 15]
    path = [0.0, 0, 0, 0, 0, -6, -12, -21]
    told = [
        holds("crossing", table([health[: n + 1]], [path[: n + 1]]))[0] for n in range(1, len(path))
    ]
    assert told == [False] * 6 + [True]


def test_account_that_wobbles_must_fall_further() -> None:
    wobbles = [60.0, 46, 60, 46, 60, 46, 60, 46, 60, 46]
    assert holds("crossing", table([[*wobbles, 40]])) == [False]
    assert holds("crossing", table([[*wobbles, 5]])) == [True]


def test_sudden_drop_is_of_accounts_that_were_well() -> None:
    seen = table([[85.0] * 6 + [66], [85.0] * 6 + [72], [38.0] * 6 + [20]])
    assert holds("sudden_drop", seen) == [True, False, False]


def test_sudden_drop_within_the_month_counts_over_several_runs() -> None:
    assert holds("sudden_drop", table([[85.0] * 6 + [79, 73, 68]])) == [True]


def test_slow_decline_is_steady_and_has_a_past() -> None:
    slow = [80 - 1.2 * n for n in range(20)]
    step = [80.0] * 10 + [57.0] * 10
    back = [80.0, 60] * 10
    assert holds("slow_decline", table([slow, step, back])) == [True, False, False]
    assert holds("slow_decline", table([slow[:5]])) == [False]


def test_renewal_is_told_when_it_comes_near_and_not_when_it_is_corrected() -> None:
    red = [[35.0] * 6]
    near = pd.Timestamp(MONDAY + timedelta(days=88))
    far = pd.Timestamp(MONDAY + timedelta(days=200))
    assert holds("renewal_ahead", table(red, renewal_date=[near], renewal_before=[near])) == [True]
    assert holds("renewal_ahead", table(red, renewal_date=[near], renewal_before=[far])) == [False]
    assert holds("renewal_ahead", table(red, renewal_date=[far], renewal_before=[far])) == [False]


def test_strategic_account_that_declines_is_escalated_past_its_owner() -> None:
    rule = AlertRule(name="board", kind="strategic", to="Cleo", value_at_least=5_000)
    seen = table([[80.0] * 6 + [66], [80.0] * 6 + [66]], value_per_year=[9_000.0, 900.0])
    (alert,) = a_turn(seen, rules=(rule,))
    assert (alert.account_id, alert.owner, alert.state) == ("A0", "Cleo", OPEN)
    both = a_turn(seen, rules=(rule, AlertRule(name="drop", kind="sudden_drop", points=10)))
    assert {(a.account_id, a.owner) for a in both} == {("A0", "Cleo"), ("A0", "Ann"), ("A1", "Ann")}


def test_leave_edge_must_be_above_the_enter_edge() -> None:
    with pytest.raises(ConfigError, match="leave = 30 must be above enter = 40"):
        rules_of((AlertRule(name="one", kind="crossing", leave=30),), EDGES)


# --- episodes
# ---------------------------------------------------------------------------------------


def weeks(scores: list[float], start: date = MONDAY) -> list[tuple[Alert, ...]]:
    """Rows of each week's turn for one account, after a calm time at the first score."""
    history: list[Alert] = []
    rows = []
    for n in range(1, len(scores)):
        seen = table([[*scores[:1] * 12, *scores[: n + 1]]], end=start + timedelta(days=7 * n))
        rows.append(a_turn(seen, history))
        history += rows[-1]
    return rows


def test_same_reason_never_opens_twice_until_the_upper_edge_is_left() -> None:
    rows = weeks([60, 60, 60, 38, 45, 37, 49, 36, 51, 60, 60, 60, 35])
    states = [[alert.state for alert in each] for each in rows]
    assert states == [[], [], [OPEN], [], [], [], [], [CLOSED], [], [], [], [OPEN]]
    assert rows[2][0].alert_id == rows[7][0].alert_id != rows[11][0].alert_id
    assert "at risk (health 38, was 60 on" in rows[2][0].reason


def test_account_is_left_in_peace_after_an_episode() -> None:
    states = [
        [alert.state for alert in each] for each in weeks([60, 60, 60, 38, 51, 60, 38, 38, 38, 38])
    ]
    assert states == [[], [], [OPEN], [CLOSED], [], [], [], [OPEN], []]


def test_acknowledged_and_done_are_quiet_until_the_data_close_them() -> None:
    (opened,) = a_turn(table([[60.0] * 6 + [38]]))
    for state in (ACKNOWLEDGED, DONE):
        history = (opened, acted(opened, state))
        assert a_turn(table([[60.0] * 6 + [38, 30]]), history) == ()
        (closed,) = a_turn(table([[60.0] * 6 + [38, 55]]), history)
        assert closed.state == CLOSED and closed.note == "the score has recovered"


def test_snooze_ends_by_its_date_and_is_told_again_if_it_still_holds() -> None:
    (opened,) = a_turn(table([[60.0] * 6 + [38]]))
    until = MONDAY + timedelta(days=14)
    history = (opened, acted(opened, SNOOZED, until=until, note="on holiday"))
    week = [
        table([[60.0] * 6 + [38] * n], end=MONDAY + timedelta(days=7 * (n - 1))) for n in (2, 3)
    ]
    assert a_turn(week[0], history) == ()
    (again,) = a_turn(week[1], history)
    assert (again.state, again.telling, again.alert_id) == (OPEN, 2, opened.alert_id)


def test_one_account_is_told_once_for_one_fall() -> None:
    rows = a_turn(table([[85.0] * 8 + [35]]), rules=DEFAULT_RULES)
    assert [(a.kind, a.state) for a in rows] == [
        ("crossing", OPEN),
        ("sudden_drop", SUPPRESSED),
    ]


def test_notice_and_payment_are_told_once_and_end_with_the_fact() -> None:
    def seen(band: str, reason: str | None, days: float, week: int) -> Watched:
        return table(
            [[60.0] * 3],
            end=MONDAY + timedelta(days=7 * week),
            band=[band],
            band_reason=[reason],
            overdue_days=[days],
        )

    history: list[Alert] = []
    states = []
    for week, facts in enumerate(
        [
            ("stable", None, 3),
            ("leaving", "notice", 20),
            ("leaving", "notice", 27),
            ("stable", None, 0),
        ]
    ):
        rows = a_turn(seen(*facts, week), history, DEFAULT_RULES)
        states.append([(a.kind, a.state) for a in rows])
        history += rows
    assert states == [
        [],
        [("notice", OPEN), ("payment", OPEN)],
        [],
        [("notice", CLOSED), ("payment", CLOSED)],
    ]


def test_what_is_true_at_the_start_is_no_news() -> None:
    seen = table([[38.0]], overdue_days=[30.0])
    first = a_turn(seen, rules=DEFAULT_RULES, facts_are_news=False)
    assert [(a.kind, a.state) for a in first] == [("payment", SILENCED)]
    assert a_turn(table([[60.0] * 7], overdue_days=[31.0]), first, DEFAULT_RULES) == ()


def test_stale_source_leaves_its_rules_unasked() -> None:
    (opened,) = a_turn(table([[60.0] * 6 + [38]]))
    assert a_turn(table([[60.0] * 6 + [38]]), kinds=frozenset({"notice"})) == ()
    recovered = table([[60.0] * 6 + [38, 60]])
    assert a_turn(recovered, (opened,), kinds=frozenset({"notice"})) == ()


def test_account_that_is_gone_and_rule_that_is_gone_close() -> None:
    (opened,) = a_turn(table([[60.0] * 6 + [38]]))
    elsewhere = table([[60.0] * 6], account_id=["B"])
    assert [a.note for a in a_turn(elsewhere, (opened,))] == ["the account is no longer scored"]
    other = (AlertRule(name="other", kind="notice"),)
    closed = a_turn(table([[60.0] * 6 + [38]]), (opened,), other)
    assert [a.note for a in closed] == ["the rule is no longer declared"]


# --- the budget
# ---------------------------------------------------------------------------------------


def test_most_urgent_are_told_and_the_rest_wait() -> None:
    seen = table([[60.0] * 6 + [38]] * 4, value_at_risk=[1.0, 9.0, None, 5.0])
    rows = a_turn(seen, budget=2)
    assert {a.account_id: a.state for a in rows} == {
        "A0": WAITING,
        "A1": OPEN,
        "A2": WAITING,
        "A3": OPEN,
    }
    assert all(a.due == MONDAY + timedelta(days=7) for a in rows if a.state == OPEN)
    later = table([[60.0] * 6 + [38, 38]] * 4, end=MONDAY + timedelta(days=7))
    again = a_turn(later, rows, budget=2)
    assert {a.account_id: a.state for a in again} == {"A0": OPEN, "A2": OPEN}


@settings(max_examples=20)
@given(st.data())
def test_budget_of_a_week_is_never_exceeded(data: st.DataObject) -> None:
    budget = data.draw(st.integers(1, 3))
    history: list[Alert] = []
    health = [[60.0] * 8 for _ in range(6)]
    for day in range(12):
        falls = data.draw(st.lists(st.sampled_from([38.0, 60.0]), min_size=6, max_size=6))
        shown = [[*row, fall] for row, fall in zip(health, falls, strict=True)]
        seen = table(shown, end=MONDAY + timedelta(days=day))
        history += a_turn(seen, history, budget=budget)
        assert told_within_week(history, seen.day).total() <= budget


def test_an_account_that_a_lot_left_alone_is_told_and_not_to_be_called() -> None:
    """A call would spoil the comparison that the list is an experiment for."""
    seen = table([[60.0] * 8 + [38.0], [60.0] * 8 + [38.0]])
    first, second = seen.accounts["account_id"]
    rules = (replace(CROSSING[0], play="call", due_days=7),)
    rows = a_turn(seen, rules=rules, left_alone=frozenset({first}))
    told = {row.account_id: row for row in rows if row.state == OPEN}
    assert set(told) == {first, second}
    assert told[first].due is None and "Act by" not in alert_sentence(told[first])
    assert "Drawn at random to be left alone: please do not call." in alert_sentence(told[first])
    assert told[second].play == "call" and "Act by" in alert_sentence(told[second])


# --- the operator
# ---------------------------------------------------------------------------------------


def the_operators(trust: Trust, history: Sequence[Alert] = (), day: date = MONDAY) -> list[Alert]:
    return list(operator_alerts(history, trust, night(day), operator="ops", silenced=30))


def test_outage_is_one_alert_until_rows_arrive() -> None:
    stale = Trust(stale={"usage_events": "no new row since 28 May"}, score_is_whole=False)
    (alert,) = the_operators(stale)
    assert (alert.rule, alert.owner, alert.state) == (STALE, "ops", OPEN)
    assert "30 accounts moved far enough for an alert, and none was raised" in alert.reason
    tuesday = MONDAY + timedelta(days=1)
    assert the_operators(stale, (alert,), tuesday) == []
    (closed,) = the_operators(Trust(stale={}), (alert,), tuesday)
    assert (closed.alert_id, closed.state) == (alert.alert_id, CLOSED)


@pytest.mark.parametrize(
    "trust",
    [
        Trust(stale={}, markers=("model a -> b", "calibrator c -> d", "scale e -> f")),
        Trust(stale={}, markers=("configuration a -> b",)),
        Trust(stale={}, accounts=100, moved_by_data=40),
        Trust(stale={}, is_first=True),
        Trust(stale={}, not_split="the model is gone"),
    ],
    ids=["retrain", "settings", "late data", "first run", "not split"],
)
def test_each_cause_is_one_message_of_its_run(trust: Trust) -> None:
    (alert,) = the_operators(trust)
    assert the_operators(trust, (alert,)) == [
        replace(alert, state=CLOSED)
    ]  # the same run again: said already, and over
    tuesday = MONDAY + timedelta(days=1)
    assert [a.state for a in the_operators(Trust(stale={}), (alert,), tuesday)] == [CLOSED]


def test_sparse_source_is_said_and_holds_nothing_up() -> None:
    trust = Trust(stale={"milestones": "no new row"}, markers=("model a -> b",))
    assert trust.is_trusted
    assert [a.rule for a in the_operators(trust)] == [STALE, CHANGED]


def test_few_late_rows_are_no_message() -> None:
    trust = Trust(stale={}, accounts=1000, moved_by_data=3)
    assert operator_alerts((), trust, night(), operator="ops", silenced=0) == ()


def test_refused_runs_are_one_alert() -> None:
    (alert,) = refusal((), night(), operator="ops", words="stale sources: usage_events")
    assert refusal((alert,), night(MONDAY + timedelta(days=1)), operator="ops", words="x") == ()
    assert [a.state for a in the_operators(Trust(stale={}), (alert,))] == [CLOSED]


# --- feeds
# ---------------------------------------------------------------------------------------


def test_feed_is_silent_when_its_pause_is_longer_than_ever() -> None:
    daily, weekly = range(1000, 1300), range(1000, 1300, 7)
    assert silence(daily, 1300) is None and silence(weekly, 1300) is None
    assert silence(daily, 1302) is None and silence(daily, 1303) is not None
    weeks_later = weekly[-1] + 10
    assert silence(weekly, weeks_later) is None and silence(weekly, weeks_later + 1) is not None
    assert silence(range(5), 400) is None
