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
from pipeline.actions.account_rows import Fall, Fallen, to_call
from pipeline.config.schema import Objective
from pipeline.ledger import RunRow
from pipeline.reports.account_list import account_pages, table_of
from pipeline.reports.hindsight import count_of, interval_of, look_back
from pipeline.reports.portfolio import (
    PortfolioInputs,
    band_tiles,
    list_rows,
    owner_lists,
    portfolio_page,
)
from pipeline.reports.portfolio_tables import portfolio_tables
from pipeline.reports.reliability import reliability_rows, reliability_svg
from pipeline.reports.render import short_money

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
        run=RunRow.of(
            {
                "run_id": "9f2c61aa07be",
                "as_of": AS_OF,
                "target": "churn",
                "horizon_days": 90,
                "model_version": "7",
            }
        ),
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
        objective=Objective("Keep accounts that a conversation can keep.", 9),
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
    here = ("#", "accounts.html", "worklist.csv", "tables/")
    assert all(value.startswith(here) for _, name, value in page.attributes if name == "href")
    assert not [a for a in page.attributes if a[1].startswith("on")]
    assert "script" not in page.tags


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
            "objective": Objective(bad),
            "portfolio": inputs.portfolio.assign(owner=bad, segment=bad, currency=bad),
            "scores": inputs.scores.assign(band_reason=bad),
            "run": replace(inputs.run, run_id=bad, model_version=bad),
            "source_freshness": inputs.source_freshness.assign(source=bad, note=bad),
        }
    )
    assert "<script>alert(2)" not in portfolio_page(changed)


def ids_in(text):
    """Ids of accounts in their order, once each; those inside reasons do not count."""
    plain = re.sub(r"<ul.*?</ul>", "", text, flags=re.S)
    return list(dict.fromkeys(re.findall(r"C-\d{4}", plain)))


def section(text, name):
    return re.search(rf'<section id="{name}">.*?</section>', text, flags=re.S)[0]


def test_chances_that_read_too_low_are_said_on_the_head_of_the_page(inputs):
    said = (
        "Chances read too low: 4 <b>were</b> expected. To correct this, run `tenure recalibrate`."
    )
    head = portfolio_page(replace(inputs, level_in_test=said)).partition("</header>")[0]
    assert (
        "Chances read too low: 4 &lt;b&gt;were&lt;/b&gt; expected. To correct this, run"
        " <code>tenure recalibrate</code>." in head
    )
    assert "Chances read too" not in portfolio_page(inputs)


def test_one_list_over_all_owners_comes_first_and_is_as_long_as_the_capacity(inputs):
    text = portfolio_page(inputs)
    assert text.index('id="list"') < text.index('id="owners"') < text.index("warned you?")
    merged = inputs.scores[inputs.scores.band.isin(["at_risk", "stable"])].merge(
        inputs.portfolio, on="account_id"
    )
    merged["at_risk"] = merged.probability.astype(float) * merged.value_per_year.fillna(
        inputs.portfolio[
            inputs.portfolio.account_id.isin(
                inputs.scores.account_id[~inputs.scores.band.isin(["leaving", "unknown"])]
            )
        ].value_per_year.median()
    )
    wanted = merged.sort_values("at_risk", ascending=False).head(9).account_id.tolist()
    assert ids_in(section(text, "list")) == wanted


def test_owners_have_their_part_of_the_same_order(inputs):
    rows = to_call(list_rows(inputs))
    for owner in owner_lists(list_rows(inputs), 9):
        mine = [row for row in rows if row.owner == owner.owner]
        assert list(owner.rows) == mine[:10] and owner.to_call == len(mine)
        assert owner.listed == len([row for row in rows[:9] if row.owner == owner.owner])


def test_totals_equal_the_rows_behind_them(inputs):
    """Every number of a count leads to its accounts: tiles, leaving, the list, owners."""
    text, rows = portfolio_page(inputs), list_rows(inputs)
    (page,) = account_pages(inputs, lambda _: "accounts.html").values()
    listed = re.findall(r"<tr data-id=.*?</tr>", page, flags=re.S)
    assert len(listed) == len(rows) == 60
    for tile in band_tiles(inputs.scores, inputs.portfolio, inputs.previous_counts):
        mine = [row for row in rows if row.standing == tile.band]
        assert len([row for row in listed if f'data-band="{tile.band}"' in row]) == tile.accounts
        assert sum(row.value or 0 for row in mine) == pytest.approx(tile.value or 0)
        assert f"#band-{tile.band}" in text or (tile.band == "leaving" and "#leaving" in text)
    assert len(ids_in(section(text, "leaving"))) == 2
    owners = owner_lists(rows, 9)
    assert sum(owner.accounts for owner in owners) == 60
    for owner in owners:
        assert page.count(f'data-owner="{owner.number}"') == owner.accounts
        assert sum(f'data-owner="{owner.number}"' in row for row in listed) == owner.accounts
    table = table_of(inputs)
    assert table["place"].notna().sum() == len(to_call(rows))
    assert table["at_stake"].sum() == pytest.approx(sum(owner.at_stake or 0 for owner in owners))


def test_leaving_accounts_stand_at_the_top_with_their_money(inputs):
    text = portfolio_page(inputs)
    mine = inputs.portfolio.iloc[[3, 17]]
    part = section(text, "leaving")
    assert text.index('id="leaving"') < text.index('id="list"')
    assert f"2 accounts, {short_money(mine.value_per_year.sum(), 'USD')} a year" in part
    assert part.count("Gave notice") == 2


def test_sudden_drops_stand_beside_what_is_low(inputs):
    healthy = inputs.scores.account_id[inputs.scores.band == "healthy"].iloc[0]
    fell = Fallen({healthy: Fall(93, AS_OF)}, "Since spring.", "Of 40 such falls, 25.5% left.")
    text = section(portfolio_page(replace(inputs, fallen=fell)), "fell")
    assert ids_in(text) == [healthy]
    assert "Since spring. Of 40 such falls, 25.5% left." in text and ">93<" in text
    nobody = portfolio_page(replace(inputs, fallen=Fallen({}, "Since spring.")))
    assert "Fell suddenly: no account" in nobody
    assert 'id="fell"' not in portfolio_page(inputs)


def test_columns_that_nothing_is_known_of_do_not_stand(inputs):
    bare = inputs.portfolio.assign(
        owner=None, segment=None, value_per_year=np.nan, renewal_date=pd.NaT
    )
    changed = replace(inputs, portfolio=bare)
    (page,) = account_pages(changed, lambda _: "accounts.html").values()
    text, page = (
        re.sub(r"<style>.*?</style>", "", each, flags=re.S)
        for each in (portfolio_page(changed), page)
    )
    for words in ("Value per year", "Contract ends", "no owner", "By owner"):
        assert words not in text and words not in page
    assert "What accounts are worth is not known" in text


def test_accounts_have_files_of_their_own_beyond_a_size(inputs, monkeypatch):
    monkeypatch.setattr("pipeline.reports.account_list.ROWS_OF_A_FILE", 25)
    pages = account_pages(inputs, lambda number: f"{number}.html")
    assert [page.count("<tr data-id=") for page in pages.values()] == [25, 25, 10]
    assert "Accounts 26 to 50" in pages["2.html"] and '<a href="3.html">3</a>' in pages["2.html"]


def test_every_chart_has_its_table(inputs):
    tables = portfolio_tables(inputs)
    assert {"bands", "owners", "chances_and_outcomes", "past_leavers"} <= set(tables)
    assert tables["bands"]["accounts"].sum() == tables["owners"]["accounts"].sum() == 60
    assert tables["past_leavers"]["account_id"].nunique() == len(look_back(inputs.backtest).leavers)


def test_every_band_is_a_word_and_a_shape(inputs):
    text = portfolio_page(inputs)
    for shape, word in (("▼", "at risk"), ("■", "stable")):
        assert re.search(rf'{shape}</span> \d+ <span class="word">{word}<', text)
    assert re.search(r'<span class="word"><span aria-hidden="true">●</span> Healthy<', text)


def test_healthy_accounts_are_not_called(inputs):
    """At a high base rate the largest customers come first by value times chance, however
    healthy.
    """
    scores = inputs.scores.copy()
    scored = scores["band"].isin(["at_risk", "stable", "healthy"])
    scores.loc[scored, "band"] = "healthy"
    scores.loc[scores.index[scored][:4], "band"] = "at_risk"
    called = to_call(list_rows(replace(inputs, scores=scores)))
    assert len(called) == 4 and {row.band for row in called} == {"at_risk"}
    scores.loc[scored, "band"] = "healthy"
    assert "Nobody to work on now" in portfolio_page(replace(inputs, scores=scores))


def test_stable_accounts_without_a_reason_are_not_called(inputs):
    scores = inputs.scores.copy()
    scores.loc[scores["band"].isin(["at_risk", "healthy"]), "band"] = "stable"
    silent = replace(inputs, scores=scores, drivers=inputs.drivers.assign(points_displayed=0))
    assert not to_call(list_rows(silent))
    assert to_call(list_rows(replace(inputs, scores=scores)))


def test_one_name_stands_for_one_number(inputs):
    """The value of accounts at risk (head of the page) and value times chance (lists) are two
    things.
    """
    text = " ".join(re.sub(r"<[^>]+>", " ", portfolio_page(inputs)).split())
    assert "value at risk" not in text
    assert "of it is likely to be lost (value times chance)" in text
    assert re.search(r"a year, are at risk of leaving", text)


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
            "objective": Objective(),
            "portfolio": inputs.portfolio.assign(
                value_per_year=np.nan, owner=None, renewal_date=pd.NaT, name=None
            ),
        }
    )
    text = portfolio_page(bare)
    assert "Not tested yet" in text
    assert "first run" in text
    assert "no owner" not in text
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
    assert "Chance of" not in text and "how many accounts score better" in text


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


def test_a_kind_without_a_moment_counts_no_days_before_it(inputs):
    silent = replace(inputs, target_kind="inactivity")
    text = portfolio_page(silent)
    seen = look_back(inputs.backtest)
    assert "Nobody sees on which day an account fell silent" in text
    assert "90 days before<" not in text and "No account fell silent" not in text
    assert count_of(seen.missed, len(seen.leavers)) in text


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


def test_an_account_that_somebody_worked_on_is_no_false_alarm(inputs):
    """It may have stayed because of the play; the holdout and the others are counted."""
    plain = look_back(inputs.backtest)
    worked = {each.account_id for each in plain.unconfirmed[:4]}
    tested = inputs.backtest.assign(treated=inputs.backtest["account_id"].isin(worked))
    seen = look_back(tested)
    assert (seen.alarms, seen.confirmed, seen.stayed) == (
        *(plain.alarms, plain.confirmed, plain.stayed),
    )
    assert seen.untouched == plain.alarms - len(worked)
    assert seen.false_alarms == len(plain.unconfirmed) - len(worked)
    text = portfolio_page(replace(inputs, backtest=tested))
    share = f"{seen.false_alarms} of {seen.untouched}"
    assert f"false alarms among those nobody worked on: {share}" in text
    unknown = look_back(inputs.backtest.assign(treated=pd.array([pd.NA] * len(tested), "boolean")))
    assert unknown == plain


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
    assert ids_in(section(drawn, "list")) == ids_in(section(portfolio_page(inputs), "list"))
