"""The simulated company: reproducible, consistent, believable."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from features.errors import ConfigError
from features.sources import CONTRACTS
from pipeline.simulate import DeadFeed, World, WorldOptions, simulate
from pipeline.simulate.paths import base_for, leavers_per_customer_year, walk
from pipeline.simulate.usage import KEY_FEATURES

SEED = 3
NO_TRUTH = WorldOptions(truth_dates=())
YEAR = WorldOptions(first_day=date(2024, 1, 1), last_day=date(2025, 1, 1), truth_dates=())
"""One year: enough for what needs no long history."""


@pytest.fixture(scope="module")
def world() -> World:
    return simulate(500, SEED, options=NO_TRUTH)


@pytest.fixture(scope="module")
def tables(world: World) -> dict[str, pd.DataFrame]:
    return world.tables


def covered(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Newest version of every paid subscription row that was not taken back."""
    rows = tables["subscriptions"].drop_duplicates("row_key", keep="last")
    return rows[~rows["is_deleted"] & ~rows["is_trial"]]


def test_same_seed_gives_same_tables() -> None:
    one, two = simulate(60, 5, options=YEAR).tables, simulate(60, 5, options=YEAR).tables
    for name in one:
        pd.testing.assert_frame_equal(one[name], two[name])


def test_another_seed_gives_other_tables() -> None:
    one, two = simulate(60, 5, options=YEAR).tables, simulate(60, 6, options=YEAR).tables
    assert not one["usage_events"].equals(two["usage_events"])


def test_tables_have_the_columns_of_their_contracts(tables: dict[str, pd.DataFrame]) -> None:
    assert set(tables) == set(CONTRACTS) - {"outcomes"}
    for name, rows in tables.items():
        assert len(rows) > 0, name
        # A survey says where it was answered, which no measure reads.
        beyond = {"channel"} if name == "surveys" else set()
        assert {c for c in rows.columns if CONTRACTS[name].column(c) is None} == beyond, name
        assert [
            c.name for c in CONTRACTS[name].columns if c.required and c.name not in rows
        ] == [], name


def test_volumes_fit_a_company_of_500(tables: dict[str, pd.DataFrame]) -> None:
    assert tables["accounts"]["account_id"].nunique() == 500
    assert 250_000 < len(tables["usage_events"]) < 900_000
    assert 1_500 < len(tables["support_tickets"]) < 8_000
    assert 800 < len(tables["surveys"]) < 4_000


def test_every_account_id_is_listed(tables: dict[str, pd.DataFrame]) -> None:
    listed = set(tables["accounts"]["account_id"])
    for name, rows in tables.items():
        assert set(rows["account_id"]) <= listed, name


def test_nothing_happens_before_the_account_was_opened(tables: dict[str, pd.DataFrame]) -> None:
    opened = tables["accounts"].groupby("account_id")["created_at"].first()
    for name in (
        "usage_events",
        "support_tickets",
        "surveys",
        "touchpoints",
        "csm_notes",
        "invoices",
    ):
        rows = tables[name]
        times = rows[CONTRACTS[name].event_time or ""]
        assert (times.to_numpy() >= rows["account_id"].map(opened).to_numpy()).all(), name


def test_nothing_is_known_after_the_extract(tables: dict[str, pd.DataFrame]) -> None:
    end = pd.Timestamp(NO_TRUTH.last_day)
    for name in ("usage_events", "subscriptions", "invoices"):
        assert tables[name]["known_at"].max() < end
    assert tables["support_tickets"][["closed_at", "rated_at", "reopened_at"]].max().max() < end
    assert tables["invoices"]["paid_at"].max() < end
    assert tables["subscriptions"]["notice_at"].max() < end


def test_usage_is_known_after_it_happened_and_some_of_it_late(
    tables: dict[str, pd.DataFrame],
) -> None:
    delay = tables["usage_events"]["known_at"] - tables["usage_events"]["event_time"]
    assert delay.min() > pd.Timedelta(0)
    assert (delay >= pd.Timedelta(days=1)).mean() == pytest.approx(NO_TRUTH.late_share, abs=0.005)


def test_terms_of_an_account_follow_each_other_without_overlap(
    tables: dict[str, pd.DataFrame],
) -> None:
    rows = covered(tables).sort_values(["account_id", "starts_at"])
    assert (rows["ends_at"] > rows["starts_at"]).all()
    same = rows["account_id"].to_numpy()[1:] == rows["account_id"].to_numpy()[:-1]
    gap = rows["starts_at"].to_numpy()[1:] - rows["ends_at"].to_numpy()[:-1]
    assert (gap[same] == np.timedelta64(0)).all()


def test_every_leaver_has_a_reason_on_the_last_term_and_nobody_else(
    world: World, tables: dict[str, pd.DataFrame]
) -> None:
    company = world._all_blocks[0].company
    left = company.account_id[company.path.end.end_day < NO_TRUTH.days]
    ended = covered(tables).dropna(subset=["end_reason"])
    assert set(ended["account_id"]) == set(left)
    assert not ended["account_id"].duplicated().any()
    assert ended["is_voluntary"].notna().all()
    last = covered(tables).groupby("account_id")["ends_at"].max()
    assert (ended["ends_at"].to_numpy() == ended["account_id"].map(last).to_numpy()).all()
    assert 120 <= len(left) <= 230


def test_both_ways_of_leaving_occur(tables: dict[str, pd.DataFrame]) -> None:
    ended = covered(tables).dropna(subset=["end_reason"])
    assert 0.01 < (ended["end_reason"] == "non_payment").mean() < 0.25
    assert (ended.loc[ended["end_reason"] == "non_payment", "is_voluntary"] == False).all()  # noqa: E712 (object column)


def test_annual_notice_is_given_weeks_before_the_end(tables: dict[str, pd.DataFrame]) -> None:
    rows = covered(tables).dropna(subset=["notice_at"])
    days = (rows["ends_at"] - rows["notice_at"]).dt.days
    assert 25 <= days[rows["billing_period"] == "annual"].median() <= 75
    assert days[rows["billing_period"] == "monthly"].median() <= 25


def test_holidays_and_weekends_are_quiet(tables: dict[str, pd.DataFrame]) -> None:
    per_day = (
        tables["usage_events"].groupby(tables["usage_events"]["event_time"].dt.normalize()).size()
    )
    month = per_day.groupby(per_day.index.to_period("M")).sum()
    assert month["2024-12"] < 0.8 * month["2024-11"]
    assert month["2024-08"] < 0.9 * month["2024-06"]
    weekend = per_day.index.day_of_week >= 5
    assert per_day[weekend].mean() < 0.25 * per_day[~weekend].mean()


def test_twin_events_go_together(tables: dict[str, pd.DataFrame]) -> None:
    usage = tables["usage_events"]
    opened = set(
        usage.loc[usage["event_name"] == "open_editor", "session_id"] + usage["account_id"]
    )
    saved = set(usage.loc[usage["event_name"] == "save_draft", "session_id"] + usage["account_id"])
    assert len(opened & saved) / len(opened | saved) > 0.9
    assert set(KEY_FEATURES) < set(usage["event_name"])


def test_losing_the_champion_slides_use(world: World) -> None:
    """Mean use of accounts 60-90 days after the champion left, against the month before."""
    path = world._all_blocks[0].company.path
    left, came = path.log.facts("champion_left"), path.log.facts("champion_came")
    changes = []
    for account, day in zip(left["account"], left["day"], strict=True):
        replaced = (
            (came["account"] == account) & (came["day"] > day) & (came["day"] < day + 90)
        ).any()
        if 30 <= day < NO_TRUTH.days - 90 and not replaced:
            use = path.use[account]
            changes.append(use[day + 60 : day + 90].mean() - use[day - 30 : day].mean())
    assert len(changes) > 30
    assert np.mean(changes) < -0.4


def test_csms_pick_accounts_that_look_bad(world: World) -> None:
    path = world._all_blocks[0].company.path
    chosen = path.log.facts("play", ("play",))
    mood = path.mood[chosen["account"], chosen["day"]].mean()
    pilot = path.log.facts("pilot", ("holdout",))
    assert mood < path.mood[pilot["account"], pilot["day"]].mean() - 0.2
    assert 0.35 < pilot["holdout"].mean() < 0.65


def test_the_holdout_is_left_alone(tables: dict[str, pd.DataFrame]) -> None:
    rows = tables["interventions"]
    assert rows["is_holdout"].any()
    assert rows.loc[rows["is_holdout"], "done_at"].isna().all()
    assert (rows.loc[rows["is_holdout"], "play"] == "pilot_call").all()


def test_yearly_churn_is_met() -> None:
    options = WorldOptions(yearly_churn=0.078, truth_dates=())
    base = base_for(900, SEED, options)
    assert leavers_per_customer_year(*walk(900, SEED, 0, options, base), options) == pytest.approx(
        0.078, rel=0.1
    )


def test_a_competitor_makes_more_customers_leave() -> None:
    changed = WorldOptions(regime_change_at=date(2024, 1, 1), truth_dates=())
    counts = [
        int(
            (
                walk(500, SEED, 0, options, base_for(500, SEED, options))[1].end_day < options.days
            ).sum()
        )
        for options in (NO_TRUTH, changed)
    ]
    assert counts[1] > 1.15 * counts[0]


def test_a_dead_feed_is_silent_and_the_rest_unchanged() -> None:
    options = WorldOptions(
        first_day=YEAR.first_day,
        last_day=YEAR.last_day,
        truth_dates=(),
        dead_feed=DeadFeed("usage_events", date(2024, 9, 2), 14),
    )
    full, holed = simulate(60, 5, options=YEAR).tables, simulate(60, 5, options=options).tables
    times = full["usage_events"]["event_time"]
    outside = (times < "2024-09-02") | (times >= "2024-09-16")
    assert not outside.all()
    pd.testing.assert_frame_equal(
        full["usage_events"][outside].reset_index(drop=True), holed["usage_events"]
    )
    pd.testing.assert_frame_equal(full["invoices"], holed["invoices"])


def test_planted_leaks_tell_who_left() -> None:
    options = WorldOptions(
        first_day=YEAR.first_day, last_day=YEAR.last_day, truth_dates=(), planted_leaks=True
    )
    accounts = simulate(200, 5, options=options).tables["accounts"]
    assert set(accounts["account_status"]) == {"open", "closed"}
    assert (accounts.loc[accounts["account_status"] == "closed", "days_inactive"] > 0).all()


def test_large_worlds_come_in_blocks_that_do_not_share_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.simulate.parameters.BLOCK_ACCOUNTS", 40)
    accounts = simulate(100, 5, options=YEAR).tables["accounts"]
    assert accounts["account_id"].nunique() == 100
    assert accounts.groupby("account_id")["name"].nunique().max() == 1
    assert accounts["name"].nunique() == 100


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"yearly_churn": 0.9}, "yearly_churn=0.9"),
        ({"monthly_share": 0.9, "quarterly_share": 0.3}, "add to at most 1"),
        ({"truth_dates": (date(2030, 1, 1),)}, "outside the world"),
        ({"last_day": date(2023, 1, 5)}, "fewer than 30 days"),
        ({"late_share": 1.5}, "late_share=1.5"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WorldOptions(**options)  # type: ignore[arg-type]


def test_a_dead_feed_needs_a_known_source() -> None:
    with pytest.raises(ConfigError, match="dead_feed names 'clicks'"):
        simulate(10, 0, options=WorldOptions(dead_feed=DeadFeed("clicks", date(2024, 1, 1), 3)))
