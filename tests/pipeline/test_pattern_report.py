"""`tenure patterns`: both directions, in words, checked later; nothing is dressed up where little
survives.
"""

import json
from dataclasses import replace

import pytest
from small_company import Command, Company

from pipeline.jobs.patterns import PatternReport, pattern_report
from pipeline.reports.patterns import (
    VERDICT_WORDS,
    directions,
    headline,
    pattern_page,
    thread_words,
)


@pytest.fixture(scope="module")
def report(company: Company) -> PatternReport:
    return pattern_report(*company.workspace())


def test_dates_that_found_end_before_those_that_check(
    company: Company, report: PatternReport
) -> None:
    workspace, target = company.workspace()
    labels = workspace.store.read("labels", filters=[("target", "=", target.name)])
    until = labels[labels["as_of"].isin(report.search.earlier_dates)]["label_until"].max()
    assert until <= report.search.later_dates[0]
    assert report.search.tested > 100 and report.search.patterns


def test_every_pattern_says_what_came_of_it(report: PatternReport) -> None:
    for each in report.search.patterns:
        assert each.words and each.verdict in VERDICT_WORDS
        assert (each.found.share_event > each.found.share_other) == each.is_more
        assert (
            each.found.q_value <= 0.05
            and each.found.ratio_low <= each.found.ratio <= each.found.ratio_high
        )
        assert (each.later is None) == (each.verdict == "too_few")


def test_directions_have_their_names_and_turn_round_for_a_good_event(report: PatternReport) -> None:
    assert [title.split(":")[0] for title, _ in directions(report)] == [
        "Failure patterns",
        "Success patterns",
    ]
    good = replace(report, is_event_good=True, kind="expansion")
    assert [title for title, _ in directions(good)] == [
        "Failure patterns: accounts like this grow less often",
        "Success patterns: accounts like this grow more often",
    ]


def test_little_is_said_plainly(report: PatternReport) -> None:
    nothing = replace(report, search=replace(report.search, patterns=(), thread=None))
    assert (
        headline(nothing)
        == "Nothing separates accounts that left from those that stayed beyond chance"
    )
    assert thread_words(nothing) == ""
    page = pattern_page(nothing, now=report.search.later_dates[0].to_pydatetime())
    assert page.count("Nothing that could not be chance.") == 2
    failed = tuple(replace(each, verdict="not_confirmed") for each in report.search.patterns)
    assert "none held later" in headline(
        replace(report, search=replace(report.search, patterns=failed))
    )


def test_command_speaks_json_and_writes_a_page(company_copy: Company, tenure: Command) -> None:
    answer = tenure("patterns", "--project", company_copy.folder, "--json")
    assert answer.code == 0, answer.err
    told = json.loads(answer.out)
    assert told["false_discovery_rate"] == 0.05 and told["tested"] > 100
    assert {"words", "found", "later", "verdict", "is_more"} <= set(told["patterns"][0])
    shown = tenure("patterns", "--project", company_copy.folder).out
    assert (
        "Failure patterns" in shown
        and "Success patterns" in shown
        and "need not be the cause" in shown
    )
    page = tenure("patterns", "--page", "--project", company_copy.folder).out.strip()
    text = open(page).read()
    assert "Held:" in text and "<script" not in text
