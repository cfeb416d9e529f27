"""Pages about customers as a whole: what commands found, drawn, and what is missing, named."""

import re
from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from test_portfolio_page import HOSTILE

from features.errors import ConfigError
from features.metrics import METRICS
from models.support_load import support_load
from models.target_words import TARGET_WORDS
from pipeline.config import read_project
from pipeline.engine.duckdb import connected
from pipeline.jobs.advocates import find_advocates
from pipeline.jobs.customer_boards import EVERY_ACCOUNTS_SEGMENT, customer_boards
from pipeline.jobs.funnel import onboarding_funnel
from pipeline.jobs.pages import PATTERNS_PAGE, PULSE_PAGE
from pipeline.jobs.take_metrics import take_metrics
from pipeline.reports.boards import (
    _drawn,
    _html,
    advocate_sections,
    growth_by_segment,
    metric_sections,
    onboarding_sections,
    support_sections,
    use_sections,
)

WORDS = TARGET_WORDS["churn"]


@pytest.fixture
def boards(company_copy):
    workspace, target = company_copy.workspace()
    with connected() as connection:
        take_metrics(workspace, connection, target)
    run = company_copy.published("scores")["run_id"].iloc[0]
    return customer_boards(workspace, target, run)


def test_each_board_shows_what_its_command_finds(company_copy, boards):
    workspace, target = company_copy.workspace()
    steps = onboarding_funnel(workspace, target).steps
    (section,) = onboarding_sections(boards.onboarding, WORDS)
    assert [row[0] for row in section.rows] == [step.name.replace("_", " ") for step in steps]
    assert [row[2] for row in section.rows] == [f"{step.accounts:,}" for step in steps]

    found = find_advocates(workspace, target)
    (section,) = advocate_sections(boards.advocates)
    assert len(section.rows) == len(found) > 0
    assert f"{len(found)} accounts may speak for you" in section.lines[0]
    assert f'href="/account?id={found["account_id"].iloc[0]}"' in section.rows[0][0]

    features = company_copy.published(f"features_scored_{target.name}")
    every = boards.load[0]
    assert (every.segment, every.days) == (EVERY_ACCOUNTS_SEGMENT, 91)
    assert every.load.tickets == features["tickets_91d"].sum()
    assert sum(each.load.tickets for each in boards.load[1:]) == every.load.tickets
    assert sum(each.load.accounts for each in boards.load[1:]) == every.load.accounts
    assert every.load == support_load(features["tickets_91d"])
    (section,) = support_sections(boards.load)
    assert section.rows[0][2] == f"{every.load.tickets:,.0f}"


def test_use_is_told_once_a_measure_with_its_caveat_and_who_stayed(boards, company_copy):
    workspace, _ = company_copy.workspace()
    metrics = workspace.store.read("metrics")
    use, stayed, signed_up = use_sections(boards.links, metrics, WORDS)
    later = boards.links[boards.links["period"] == "later"].set_index("meaning")
    assert "not yet what keeps them" in use.lines[0]
    told = [row[0] for row in use.rows]
    assert len(told) == len(set(later.loc[told, "driver"])) > 0
    for meaning, direction, pairs, *_ in use.rows:
        row = later.loc[meaning]
        assert row["dimension"] in ("usage", "engagement", "adoption")
        assert not row["auc_low"] <= 0.5 <= row["auc_high"]  # chance is not told
        assert direction == ("less" if row["auc"] < 0.5 else "more")
        share, low, high = (int(each) for each in re.findall(r"\d+", pairs.replace("in 100", "")))
        assert 50 <= low <= share <= high <= 100
    lost = metrics[(metrics["metric"] == "logo_churn_rate") & (metrics["segment"] == "all")]
    newest = lost.sort_values("period_start").iloc[-1]
    assert stayed.rows[0][-1] == f"{100 * (1 - newest['value']):.1f}% ({newest['denominator']:.0f})"
    first = metrics[metrics["metric"] == "churn_rate_by_first_segment"]
    assert [row[0] for row in signed_up.rows] == sorted(first["segment"].unique())
    by_chance = boards.links.assign(auc=0.55, auc_low=0.4, auc_high=0.7)
    assert use_sections(by_chance, metrics, WORDS)[0].rows == ()


def test_growth_compares_four_quarters_and_says_nothing_without(company_copy, boards):
    metrics = company_copy.workspace()[0].store.read("metrics")
    paid = metrics[(metrics["metric"] == "monthly_revenue") & (metrics["segment"] == "all")]
    values = paid.sort_values("period_start")["value"]
    share = 100 * (values.iloc[-1] / values.iloc[-5] - 1)
    assert growth_by_segment(metrics)["all"] == f"{share:+.0f}%".replace("-", "−")
    first = sorted(metrics["period_start"].unique())[:4]
    assert growth_by_segment(metrics[metrics["period_start"].isin(first)]) == {}
    assert growth_by_segment(None) == {}


def test_what_is_missing_names_its_command(company_copy, tmp_path):
    workspace, target = company_copy.workspace()
    boards = customer_boards(workspace, target, "no such run")
    assert boards.patterns is None and boards.pulse is None and boards.links is None
    for name, page in (("patterns", boards.patterns), ("pulse", boards.pulse)):
        assert f"tenure {name} --page" in _drawn(name, "", "company", page).html
    assert "tenure metrics" in use_sections(None, None, WORDS)[0].lines[0]
    without = replace(workspace, store=replace(workspace.store, folder=tmp_path))
    assert "support_tickets" in customer_boards_load(without, target)
    (section,) = onboarding_sections("no source holds onboarding steps", WORDS)
    assert section.rows == () and section.lines == ("no source holds onboarding steps",)


def customer_boards_load(workspace, target):
    from pipeline.jobs.customer_boards import _load

    return _load(workspace, target, "r")


def test_pages_of_commands_are_shown_as_drawn_with_their_day(company_copy, tenure):
    folder = company_copy.folder
    assert tenure("patterns", "--page", "--project", folder).code == 0
    assert tenure("pulse", "--page", "--project", folder).code == 0
    workspace, target = company_copy.workspace()
    boards = customer_boards(workspace, target, company_copy.published("scores")["run_id"].iloc[0])
    for name, file, page in (
        ("patterns", PATTERNS_PAGE, boards.patterns),
        ("pulse", PULSE_PAGE, boards.pulse),
    ):
        text = (folder / "reports" / target.name / file).read_text()
        board = _drawn(name, "title", "company", replace(page, on=datetime(2025, 6, 1)))
        assert text.split("<main>")[1].split("</main>")[0] in board.html
        assert f"<code>tenure {name}</code> drew it on 1 Jun 2025" in board.html


def test_hostile_names_are_names_on_the_boards():
    rows = pd.DataFrame(
        {
            "rank": [1, 2],
            "account_id": ['a"><b>/../x', "\u202eA2"],
            "name": [HOSTILE, None],
            "owner": [HOSTILE, np.nan],
            "value_per_year": [1.0, np.nan],
            "health": [80, 81],
            "signs": [HOSTILE, "has a champion"],
        }
    )
    html = _html(advocate_sections(rows))
    assert HOSTILE not in html and "<b>" not in html and "\u202e" not in html
    assert "no owner" in html and "unknown" in html


def test_each_metric_has_its_owner_and_a_name_of_none_is_refused(company_copy):
    *_, dictionary = metric_sections(None, {"nps": "Support"})
    owners = {row[0]: row[1] for row in dictionary.rows}
    assert owners["nps"] == "Support" and owners["customers"] == "not named"
    assert f"{len(METRICS) - 1} metrics without an owner" in dictionary.lines[0]
    *_, whole = metric_sections(None, {metric.name: "Finance" for metric in METRICS})
    assert whole.lines == ()
    file = company_copy.folder / "tenure.toml"
    file.write_text(file.read_text() + '\n[metrics.owners]\nnps = "Support"\n')
    assert read_project(company_copy.folder).metrics.owners == {"nps": "Support"}
    file.write_text(file.read_text().replace('nps = "Support"', 'npz = "Support"'))
    with pytest.raises(ConfigError, match="'npz' is no metric; there are: customers"):
        read_project(company_copy.folder)
