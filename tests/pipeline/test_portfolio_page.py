"""The first page: what it says, that nothing in the data can break it, and that a browser
draws it.
"""

import os
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from features.definition import Direction, Signal
from features.errors import ContractError
from models.drivers import driver_table
from models.evaluation import TestFigures
from models.figures import from_side_by_side
from models.health import band_table, displayed, points_from_contributions, propose_scale
from pipeline.reports.hindsight import count_of, interval_of, look_back
from pipeline.reports.portfolio import PortfolioInputs, band_tiles, portfolio_page
from pipeline.reports.reliability import reliability_rows, reliability_svg

AS_OF = pd.Timestamp("2025-06-02")
HOSTILE = "</script><img src=x onerror=alert(1)>"
CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
)
_SIGNALS = (
    ("active_days", "usage", "days", "active on {value} of the last {days} days", 28, 14),
    ("active_users", "usage", "users", "{value} people used it in the last {days} days", 28, 9),
    ("events_change", "usage", "change", "use {value} against the {days} days before", 91, 0.02),
    (
        "severe_tickets",
        "support",
        "tickets",
        "{value} severe tickets in the last {days} days",
        91,
        1,
    ),
    (
        "first_reply",
        "support",
        "minutes",
        "first answer after {value} on average in {days} days",
        91,
        300,
    ),
    (
        "payment_delay",
        "financial",
        "minutes",
        "paid {value} after the due date on average in {days} days",
        182,
        2880,
    ),
    ("meetings", "relationship", "meetings", "{value} meetings in the last {days} days", 91, 3),
    ("seats_used_share", "adoption", "share", "{value} of paid seats in use", None, 0.7),
)
_WORSE: tuple[Direction, ...] = ("down", "down", "down", "up", "up", "up", "down", "down")
SIGNALS = tuple(
    Signal(
        column=name,
        driver=name,
        dimension=dimension,
        source="usage_events",
        meaning=name.replace("_", " "),
        unit=unit,
        phrase=phrase,
        window_days=days,
        worse=worse,
    )
    for (name, dimension, unit, phrase, days, _), worse in zip(_SIGNALS, _WORSE, strict=True)
)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def some_features(rng, n, state):
    """Signals that fall with `state` (high is trouble); one in fifteen is not on record."""
    typical = np.array([s[5] for s in _SIGNALS])
    worse = np.array([-1, -1, -1, 1, 1, 1, -1, -1])
    size = np.exp(rng.normal(0, 0.4, (n, 8)) + 0.5 * worse * state[:, None])
    values = np.round(typical * size)
    values[:, 2] = np.clip(-0.25 * state + rng.normal(0, 0.2, n), -1, 0.9)
    values[:, 7] = np.clip(0.75 - 0.12 * state + rng.normal(0, 0.1, n), 0, 1)
    values[:, 0] = np.minimum(values[:, 0], 28)
    values[rng.random((n, 8)) < 1 / 15] = np.nan
    return pd.DataFrame(values, columns=[s.column for s in SIGNALS])


def contributions_of(features):
    """A model that minds what people would mind: each signal against what is typical."""
    typical, values = np.array([s[5] for s in _SIGNALS]), features.to_numpy()
    phi = 0.35 * np.array([-1, -1, -1, 1, 1, 1, -1, -1]) * np.log(np.maximum(values, 0) + 0.5)
    phi -= 0.35 * np.array([-1, -1, -1, 1, 1, 1, -1, -1]) * np.log(typical + 0.5)
    phi[:, 2] = -0.8 * (values[:, 2] - 0.02)
    phi[:, 7] = -1.5 * (values[:, 7] - 0.7)
    return np.where(np.isnan(values), 0.12, phi)


@pytest.fixture(scope="module")
def inputs():
    return some_inputs()


def some_inputs(n=60, owners=("CSM-01", "CSM-02", "CSM-03"), hostile=True):
    """Sixty accounts, three owners, four test dates; seed 4."""
    rng = np.random.default_rng(4)
    ids = [f"C-{1000 + i}" for i in range(n)]
    state = rng.normal(0, 1, n)
    features, before = some_features(rng, n, state), some_features(rng, n, state - 0.7)
    phi = contributions_of(features)
    z = -1.9 + phi.sum(axis=1)
    p = sigmoid(z)
    scale = propose_scale(p, float(sigmoid(-1.9))).scale
    result = points_from_contributions(-1.9, phi, z, sigmoid, scale)
    health, base = displayed(result.health_exact), int(displayed(result.base))
    scores = pd.DataFrame(
        {
            "account_id": ids,
            "as_of": AS_OF,
            "target": "churn",
            "horizon_days": 90,
            "run_id": "9f2c61aa07be",
            "basis": "calibrated",
            "probability": p,
            "probability_low": p * 0.75,
            "probability_high": np.minimum(p * 1.3, 1),
            "health": pd.array(health, dtype="Int64"),
            "band": scale.band(health).astype(object),
            "band_reason": None,
        }
    )
    drivers = driver_table(
        ids,
        features,
        before,
        result.points,
        SIGNALS,
        {s[0]: s[5] for s in _SIGNALS},
        health,
        base,
        before_days=28,
        currency="USD",
    )
    gone, dark = scores.index[[3, 17]], scores.index[[8, 22, 41]]
    scores.loc[gone, ["band", "band_reason"]] = ["leaving", "notice"]
    scores.loc[dark, ["band", "band_reason"]] = ["unknown", "usage feed silent since 12 May 2025"]
    scores.loc[dark, ["probability", "probability_low", "probability_high", "health"]] = pd.NA
    scores["probability"] = scores["probability"].astype(float)
    words = [
        "Harbour",
        "Northwind",
        "Cedar",
        "Quarry",
        "Lantern",
        "Meadow",
        "Copper",
        "Summit",
        "Willow",
        "Anchor",
    ]
    kinds = ["Logistics", "Dental Group", "Foods", "Analytics", "Insurance", "Schools"]
    portfolio = pd.DataFrame(
        {
            "account_id": ids,
            "as_of": AS_OF,
            "run_id": "9f2c61aa07be",
            "name": [f"{words[i % 10]} {kinds[i // 10]}" for i in range(n)],
            "owner": [owners[i % len(owners)] for i in range(n)],
            "segment": rng.choice(["Enterprise", "Mid-market", "Small business"], n),
            "value_per_year": np.round(np.exp(rng.normal(10.3, 0.9, n)), -2),
            "currency": "USD",
            "renewal_date": [AS_OF + pd.Timedelta(days=int(d)) for d in rng.integers(5, 360, n)],
        }
    )
    portfolio.loc[5, ["renewal_date", "value_per_year"]] = [pd.NaT, np.nan]
    if hostile:
        portfolio.loc[int(np.argmax(p * portfolio["value_per_year"].fillna(0))), "name"] = HOSTILE
    return PortfolioInputs(
        scores=scores,
        drivers=drivers,
        portfolio=portfolio,
        run={
            "run_id": "9f2c61aa07be",
            "as_of": AS_OF,
            "target": "churn",
            "horizon_days": 90,
            "model_version": "7",
        },
        backtest=some_backtest(rng, ids, scale),
        test=from_side_by_side(
            TestFigures,
            {
                "n": 232,
                "accounts": 60,
                "events": 24,
                "leaving_accounts": 24,
                "auc": 0.81,
                "auc_low": 0.72,
                "auc_high": 0.89,
                "recency_auc": 0.68,
                "lift_top_decile": 3.4,
            },
        ),
        band_table=band_table(scale, p, rng.random(n) < p),
        source_freshness=pd.DataFrame(
            {
                "source": ["subscriptions", "usage_events", "support_tickets", "surveys"],
                "newest_known": pd.to_datetime(
                    ["2025-06-01 15:00", "2025-05-12", "2025-05-31", None], format="ISO8601"
                ),
                "rows": [212, 48210, 640, 0],
                "share": [1.0, 0.95, 0.62, 0.0],
                "note": [
                    "",
                    "silent for 21 days in one feed",
                    "",
                    "configured, but the table is empty",
                ],
            }
        ),
        previous_counts={"at_risk": 5, "stable": 20, "healthy": 32, "leaving": 2, "unknown": 0},
        objective={"purpose": "Keep accounts that a conversation can keep.", "capacity": 9},
        now=datetime(2025, 6, 2, 6, 0),
        project="Example Software",
        target_words=(
            "Predicted: will every paid subscription of the account have ended within 90 days?"
        ),
    )


def some_backtest(rng, ids, scale):
    rows = []
    for account in ids:
        trouble = rng.normal(-2.0, 1.0)
        leaves = pd.Timestamp("2025-01-06") + pd.Timedelta(days=int(rng.integers(25, 230)))
        leaves = leaves if rng.random() < sigmoid(1.6 * trouble + 2.1) else pd.NaT
        for as_of in pd.date_range("2025-01-06", periods=4, freq="28D"):
            if not pd.isna(leaves) and leaves <= as_of:
                continue
            p = float(sigmoid(trouble + rng.normal(0.15, 0.4)))
            inside = not pd.isna(leaves) and leaves < as_of + pd.Timedelta(days=90)
            health = displayed(scale.exact([p]))
            rows.append(
                (account, as_of, int(inside), p, int(health[0]), str(scale.band(health)[0]), leaves)
            )
    return pd.DataFrame(
        rows, columns=["account_id", "as_of", "label", "probability", "health", "band", "left_at"]
    )


class Page(HTMLParser):
    """Tags and attributes as a browser would read them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.extend((tag, name, value or "") for name, value in attrs)


def test_page_is_one_file_without_outside_hosts(inputs):
    page = Page(portfolio_page(inputs))
    assert not {"img", "iframe", "link", "object", "embed", "base"} & set(page.tags)
    assert not [a for a in page.attributes if a[1] in ("src", "srcset", "action")]
    assert all(value.startswith("#") for _, name, value in page.attributes if name == "href")
    assert not [a for a in page.attributes if a[1].startswith("on")]
    assert page.tags.count("script") == 1


def test_hostile_names_stay_text(inputs):
    text = portfolio_page(inputs)
    assert HOSTILE not in text
    assert "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;" in text


def test_hostile_words_everywhere_stay_text(inputs):
    bad = '"><script>alert(2)</script>'
    changed = PortfolioInputs(
        **{
            **vars(inputs),
            "project": bad,
            "target_words": bad,
            "limits": (bad,),
            "drivers": inputs.drivers.assign(said=bad, compared=bad),
            "objective": {"purpose": bad},
            "portfolio": inputs.portfolio.assign(owner=bad, segment=bad, currency=bad),
            "scores": inputs.scores.assign(band_reason=bad),
            "run": {**inputs.run, "run_id": bad, "model_version": bad},
            "source_freshness": inputs.source_freshness.assign(source=bad, note=bad),
        }
    )
    assert "<script>alert(2)" not in portfolio_page(changed)


def test_page_opens_with_ten_accounts_per_owner_by_value_at_risk(inputs):
    text = portfolio_page(inputs)
    assert (
        text.index("Whom to call first")
        < text.index("Would it have warned you?")
        < text.index("does not know")
    )
    first = text[text.index('id="owner-1"') : text.index('id="owner-2"')]
    assert first.count("<tr data-find>") == 10
    merged = inputs.scores[inputs.scores.band.isin(["at_risk", "stable", "healthy"])].merge(
        inputs.portfolio, on="account_id"
    )
    merged["at_risk"] = merged.probability.astype(float) * merged.value_per_year.fillna(
        merged.value_per_year.median()
    )
    owner = merged.groupby("owner").at_risk.sum().idxmax()
    to_call = (merged.owner == owner) & (merged.band != "healthy")
    wanted = merged[to_call].sort_values("at_risk", ascending=False).head(10).account_id.tolist()
    assert re.findall(r"C-\d{4}", re.sub(r"<ul.*?</ul>", "", first, flags=re.S)) == wanted


def test_every_band_is_a_word_and_a_shape(inputs):
    text = portfolio_page(inputs)
    for shape, word in (("▼", "at risk"), ("■", "stable")):
        assert re.search(rf'{shape}</span> \d+ <span class="word">{word}<', text)
    assert re.search(r'<span class="word"><span aria-hidden="true">●</span> Healthy<', text)


def call_lists(text):
    """Name, note and rows of each owner's section."""
    sections = re.findall(r'<section class="owner panel".*?</section>', text, flags=re.S)
    return [
        (section, re.findall(r"<tr data-find>.*?</tr>", section, flags=re.S))
        for section in sections
    ]


def test_healthy_accounts_are_not_called_and_short_lists_say_so(inputs):
    """At a high base rate the largest customers come first by value times chance, however
    healthy.
    """
    scores = inputs.scores.copy()
    scored = scores["band"].isin(["at_risk", "stable", "healthy"])
    scores.loc[scored, "band"] = "healthy"
    at_risk = scores.index[scored][:4]
    scores.loc[at_risk, "band"] = "at_risk"
    text = portfolio_page(replace(inputs, scores=scores))
    called = [row for _, rows in call_lists(text) for row in rows]
    assert len(called) == 4 and not any("healthy" in row for row in called)
    for section, rows in call_lists(text):
        assert (
            f"Only {len(rows)} to call: the other" in section
            if rows
            else "Nobody to call: the other" in section
        )


def test_stable_accounts_without_a_reason_are_not_called(inputs):
    scores = inputs.scores.copy()
    scores.loc[scores["band"].isin(["at_risk", "healthy"]), "band"] = "stable"
    silent = replace(inputs, scores=scores, drivers=inputs.drivers.assign(points_displayed=0))
    assert all(not rows for _, rows in call_lists(portfolio_page(silent)))
    assert any(rows for _, rows in call_lists(portfolio_page(replace(inputs, scores=scores))))


def test_one_name_stands_for_one_number(inputs):
    """The value of accounts at risk (head of the page) and value times chance (lists) are two
    things.
    """
    text = re.sub(r"<[^>]+>", " ", portfolio_page(inputs))
    assert "value at risk" not in text
    assert ". Expected loss " in text and re.search(r"a year,\s+are at risk of leaving", text)


def test_tiles_count_against_the_run_before(inputs):
    tiles = {
        tile.band: tile
        for tile in band_tiles(inputs.scores, inputs.portfolio, inputs.previous_counts)
    }
    assert sum(tile.accounts for tile in tiles.values()) == 60
    assert tiles["unknown"].accounts == 3 and tiles["unknown"].change == 3
    assert tiles["leaving"].change == 0
    assert all(tile.change is None for tile in band_tiles(inputs.scores, inputs.portfolio, None))


def test_unknown_value_is_said_and_absent_sources_too(inputs):
    text = portfolio_page(inputs)
    assert "no rows" in text
    assert "usage feed silent since 12 May 2025" in text
    assert "3 accounts are <b>unknown</b>" in text


def test_page_without_tests_previous_run_values_and_evaluation_says_so(inputs):
    bare = PortfolioInputs(
        **{
            **vars(inputs),
            "backtest": inputs.backtest.iloc[:0],
            "test": None,
            "band_table": pd.DataFrame(),
            "previous_counts": None,
            "objective": {},
            "portfolio": inputs.portfolio.assign(
                value_per_year=np.nan, owner=None, renewal_date=pd.NaT, name=None
            ),
        }
    )
    text = portfolio_page(bare)
    assert "Not tested yet" in text
    assert "first run" in text
    assert "no owner" in text
    assert "No test result was recorded" in text
    assert not re.search(r"\bnan\b|NaT|None\b", re.sub(r"<style>.*?</style>", "", text, flags=re.S))


def test_scorecard_ranks_by_value_and_place_without_chances(inputs):
    blank = inputs.scores.assign(
        basis="scorecard", probability=np.nan, probability_low=np.nan, probability_high=np.nan
    )
    text = portfolio_page(
        PortfolioInputs(**{**vars(inputs), "scores": blank, "backtest": inputs.backtest.iloc[:0]})
    )
    assert "scorecard: no probabilities yet" in text
    assert "about 1 in" not in text
    assert re.search(r"1 of \d+</td>", text)


def test_expansion_speaks_of_growing_and_never_of_health(inputs):
    names = {"at_risk": "low", "stable": "medium", "healthy": "high"}
    good = inputs.scores.assign(band=inputs.scores.band.replace(names))
    tested = inputs.backtest.assign(band=inputs.backtest.band.replace(names))
    text = portfolio_page(
        PortfolioInputs(
            **{
                **vars(inputs),
                "scores": good,
                "backtest": tested,
                "target_kind": "expansion",
                "band_table": pd.DataFrame(),
                "target_words": "",
                "previous_counts": None,
            }
        )
    )
    assert "have a high chance to grow within 90 days" in text
    assert "healthy" not in re.sub(r"<style>.*?</style>", "", text, flags=re.S)


def test_no_scores_are_refused(inputs):
    with pytest.raises(ContractError, match="no scores to show"):
        portfolio_page(PortfolioInputs(**{**vars(inputs), "scores": inputs.scores.iloc[:0]}))


def score_rows(*rows):
    table = pd.DataFrame(
        rows, columns=["account_id", "as_of", "label", "health", "band", "left_at"]
    )
    return table.assign(
        as_of=pd.to_datetime(table.as_of), left_at=pd.to_datetime(table.left_at), probability=0.2
    )


def test_look_back_by_hand():
    # A left on 1 June: 60 days before is 2 April, so the score of 2 April counts and that of 3
    # April does not.
    seen = look_back(
        score_rows(
            ("A", "2025-01-01", 0, 80, "healthy", "2025-06-01"),
            ("A", "2025-04-02", 1, 30, "at_risk", "2025-06-01"),
            ("A", "2025-04-03", 1, 90, "healthy", "2025-06-01"),
            ("B", "2025-04-02", 1, 75, "healthy", "2025-04-20"),
            ("C", "2025-04-02", 0, 20, "at_risk", None),
            ("D", "2025-04-02", 0, 35, "at_risk", "2025-12-01"),
        )
    )
    ours = {
        leaver.account_id: {look.lead_days: look.band for look in leaver.looks}
        for leaver in seen.leavers
    }
    assert ours == {
        "A": {90: "healthy", 60: "at_risk", 30: "healthy"},
        "B": {90: "", 60: "", 30: ""},
    }
    assert seen.warned == {90: 0, 60: 1, 30: 0}
    assert seen.scored == {90: 1, 60: 1, 30: 1}
    assert (seen.alarms, seen.confirmed, seen.later, seen.stayed) == (3, 1, 1, 1)
    assert [alarm.account_id for alarm in seen.unconfirmed] == ["C", "D"]
    # B was healthy 18 days before it left: no look 30 days before, and missed all the same.
    assert seen.missed == 2


def test_missing_dates_of_leaving_are_said(inputs):
    undated = inputs.backtest.assign(left_at=pd.NaT)
    text = portfolio_page(PortfolioInputs(**{**vars(inputs), "backtest": undated}))
    assert "we cannot say how early it warned" in text


def test_counts_under_thirty_have_no_percentage():
    assert count_of(14, 23) == "14 of 23"
    assert count_of(45, 60) == "45 of 60 (75%)"
    assert count_of(0, 0) == "0 of 0"


def test_shares_of_missed_churn_and_false_alarms_have_their_interval(inputs):
    assert interval_of(1, 15) == ", 95% interval 1% to 30%"  # Wilson: (0.0118, 0.2982)
    assert interval_of(0, 0) == ""
    seen, text = look_back(inputs.backtest), portfolio_page(inputs)
    assert f"(missed churn{interval_of(seen.missed, len(seen.leavers))})" in text
    assert f"(false alarms{interval_of(seen.alarms - seen.confirmed, seen.alarms)})" in text


def test_reliability_by_hand():
    table = reliability_rows(
        pd.DataFrame(
            {
                "probability": [0.1] * 50 + [0.5] * 50,
                "label": [0] * 45 + [1] * 5 + [0] * 25 + [1] * 25,
            }
        )
    )
    assert table[["rows", "events"]].to_numpy().tolist() == [[50, 5], [50, 25]]
    assert table["probability"].tolist() == pytest.approx([0.1, 0.5])
    # Wilson interval of 5 in 50, as statsmodels.stats.proportion.proportion_confint(5, 50,
    # method="wilson") gives it.
    assert table.loc[0, ["rate_low", "rate_high"]].tolist() == pytest.approx(
        [0.0434752, 0.2136022], abs=1e-6
    )
    assert reliability_svg(table).count("<circle") == 2
    assert reliability_svg(reliability_rows(pd.DataFrame())) == ""


def test_same_inputs_make_the_same_page(inputs):
    assert portfolio_page(inputs) == portfolio_page(some_inputs())


@pytest.fixture
def chromium():
    if CHROMIUM is None:
        if "browser" in os.environ.get("TENURE_REQUIRE", ""):
            pytest.fail("TENURE_REQUIRE names browser, but no chromium is installed")
        pytest.skip("chromium is not installed")
    return CHROMIUM


@pytest.mark.browser
def test_browser_draws_the_page_and_runs_nothing_from_the_data(inputs, chromium, tmp_path):
    page = tmp_path / "portfolio.html"
    page.write_text(portfolio_page(inputs), encoding="utf-8")
    command = [
        chromium,
        *CHROMIUM_FLAGS,
        f"--user-data-dir={tmp_path / 'profile'}",
        "--dump-dom",
        page.as_uri(),
    ]
    drawn = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "<img" not in drawn
    assert drawn.count("<tr data-find") == 30
    # The script ran under the policy: it shows the search box that is hidden without it.
    assert re.search(r'<p class="tools">', drawn)
