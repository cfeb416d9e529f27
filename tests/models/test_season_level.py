"""The time of year: what returned is learned whole, one year is believed by half, chance is not a
season.
"""

import json

import duckdb
import numpy as np
import pandas as pd
import pytest

from features.definition import Signal
from features.dimensions.season import SIGNALS
from models import metrics
from models.dataset import TrainingSet, training_set
from models.methods import WORTH_TELLING, Season, fit_season, season_columns, season_spread
from models.methods.base import sigmoid
from models.methods.season import DAYS_OF_YEAR, day_of_year
from models.plan import TrainingPlan
from models.training import train

COLUMNS = ("days_from_new_year", "days_from_april")
YEAR_DAYS = np.arange(0.0, 365.0, 5.0)


def _at(day: np.ndarray) -> pd.DataFrame:
    """The two signals of days since 1970, as features compute them."""
    from_day = [np.abs((day - start) % DAYS_OF_YEAR) for start in (0.0, 90.0)]
    return pd.DataFrame(
        {
            name: np.minimum(each, DAYS_OF_YEAR - each)
            for name, each in zip(COLUMNS, from_day, strict=True)
        }
    )


def _wave(day: np.ndarray) -> np.ndarray:
    """Up in October, down in April, by half a log-odd."""
    return 0.5 * np.cos(2 * np.pi * (day - 285.0) / DAYS_OF_YEAR)


def _history(
    years: int, level: str, seed: int = 0, accounts: int = 800
) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Log-odds, outcomes and keys; dates differ by the wave, by chance levels of their own, or not
    at all.
    """
    random = np.random.default_rng(seed)
    dates = pd.date_range("2020-01-01", periods=13 * years, freq="28D")
    keys = pd.DataFrame(
        [(f"A-{n:04d}", d) for d in dates for n in range(accounts)], columns=["account_id", "as_of"]
    )
    keys["label_until"] = keys["as_of"] + pd.Timedelta(days=30)
    day = ((keys["as_of"] - pd.Timestamp(0)) // pd.Timedelta(days=1)).to_numpy(float)
    own = random.normal(0.0, 0.35, len(dates))[np.repeat(np.arange(len(dates)), accounts)]
    extra = {"wave": _wave(day), "chance": own, "none": 0.0 * own}[level]
    logit = random.normal(-0.8, 0.8, len(keys))
    return logit, (random.random(len(keys)) < sigmoid(logit + extra)).astype(np.int8), keys


def _curve(years: int, level: str, seed: int = 0) -> np.ndarray:
    return fit_season(*_history(years, level, seed), COLUMNS).margin(_at(YEAR_DAYS))


def test_the_day_of_the_year_is_told_by_the_two_signals() -> None:
    days = range(18_262, 18_262 + 1_461)
    asked = " union all ".join(f"select {day} as as_of_day" for day in days)
    expressions = ", ".join(expression for _, expression in SIGNALS)
    told = duckdb.sql(f"select {expressions} from ({asked}) s order by as_of_day").fetchnumpy()
    found = day_of_year(*(np.asarray(column, dtype=float) for column in told.values()))
    assert found == pytest.approx(np.arange(18_262, 18_262 + 1_461) % DAYS_OF_YEAR, abs=0.01)
    assert season_columns(tuple(signal for signal, _ in SIGNALS)) == COLUMNS


def test_a_season_that_returned_twice_is_learned_nearly_whole() -> None:
    found, planted = _curve(3, "wave"), _wave(YEAR_DAYS)
    assert np.corrcoef(found, planted)[0, 1] > 0.97
    assert 0.7 < found @ planted / (planted @ planted) < 1.1


def test_a_season_seen_once_is_believed_by_half() -> None:
    planted = _wave(YEAR_DAYS)
    assert 0.3 < _curve(1, "wave") @ planted / (planted @ planted) < 0.65


def test_dates_that_do_not_differ_have_no_season() -> None:
    assert max(np.abs(_curve(2, "none", seed)).max() for seed in range(3)) < 0.06


def test_dates_that_differ_by_chance_have_next_to_none_after_years() -> None:
    assert np.mean([np.abs(_curve(6, "chance", seed)).mean() for seed in range(2)]) < 0.08


def test_the_spread_of_what_returns_tells_a_season_from_chance() -> None:
    assert season_spread(*_history(3, "wave")) == pytest.approx(0.5 / np.sqrt(2), rel=0.35)
    assert max(season_spread(*_history(2, "none", seed)) for seed in range(3)) < WORTH_TELLING / 2


def test_contributions_are_the_margin_and_the_state_returns() -> None:
    season = fit_season(*_history(2, "wave"), COLUMNS)
    rows = _at(YEAR_DAYS).assign(seats=1.0)[["seats", *COLUMNS]]
    base, phi = season.contributions(rows)
    assert (
        base == 0.0
        and (phi[:, [0, 2]] == 0.0).all()
        and np.array_equal(phi[:, 1], season.margin(rows))
    )
    again = Season.from_dict(json.loads(json.dumps(season.to_dict())))
    assert (
        np.array_equal(again.margin(rows), season.margin(rows))
        and np.ptp(season.margin(rows)) > 0.5
    )
    nobody = rows.assign(**dict.fromkeys(COLUMNS, np.nan))
    assert (season.margin(nobody) == 0.0).all()
    assert (again.fit(rows, np.zeros(len(rows), dtype=np.int8), ()).margin(rows) == 0.0).all()


def _seasonal(with_season: bool, wave: float = 1.5) -> TrainingSet:
    """Monthly dates from June to May and a test in September, when the wave is high again."""
    random = np.random.default_rng(4)
    dates = [*pd.date_range("2021-06-01", "2022-05-01", freq="MS"), pd.Timestamp("2022-10-01")]
    keys = pd.DataFrame(
        [(f"A-{n:04d}", d) for d in dates for n in range(800)], columns=["account_id", "as_of"]
    )
    keys["label_until"] = keys["as_of"] + pd.Timedelta(days=90)
    keys["is_test"] = keys["as_of"] == dates[-1]
    day = ((keys["as_of"] - pd.Timestamp(0)) // pd.Timedelta(days=1)).to_numpy(float)
    features = _at(day).assign(idle=random.normal(size=len(keys)))
    labels = random.random(len(keys)) < sigmoid(
        features["idle"].to_numpy() - 1.0 + wave * _wave(day)
    )
    idle = Signal(
        "idle",
        "idle",
        "usage",
        "usage_events",
        "m",
        "days",
        "{value}",
        worse="up",
        definition={"measure": "days_since"},
    )
    signals = (idle, *(signal for signal, _ in SIGNALS)) if with_season else (idle,)
    return training_set(keys, features[[s.column for s in signals]], labels.astype(int), signals)


def test_a_model_that_saw_one_autumn_is_nearer_to_the_next() -> None:
    plan = TrainingPlan(trials=0, threads=1, folds=3, max_trees=40, bags=1)
    losses, shares = {}, {}
    for told in (True, False):
        rows = _seasonal(told)
        model = train(rows, plan).model
        probability = model.probability(rows.test.features)
        losses[told], shares[told] = (
            metrics.log_loss(rows.test.labels, probability),
            probability.mean() - rows.test.labels.mean(),
        )
        assert model.name.endswith("+season") == told
        base, phi = model.contributions(rows.test.features)
        assert base + phi.sum(axis=1) == pytest.approx(model.margin(rows.test.features), abs=1e-9)
    assert losses[True] < losses[False] - 0.01 and abs(shares[True]) < 0.7 * abs(shares[False])


def test_a_time_of_year_that_shows_nothing_is_no_signal() -> None:
    trained = train(
        _seasonal(True, wave=0.0), TrainingPlan(trials=0, threads=1, folds=3, max_trees=40, bags=1)
    )
    assert trained.model.columns == ["idle"] and "season" not in trained.model.name
    assert any("the time of year is left out" in note for note in trained.notes)
