"""Facts on the account page: known on the run's date, each source with its freshness, absence said
and never zero.
"""

import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from small_company import Command, Company

from pipeline.jobs.account_facts import (
    AccountFacts,
    NpsFact,
    PowerUsers,
    PulseFact,
    RecentUse,
    Tickets,
    account_facts,
    facts_reader,
)
from pipeline.reports.account_facts import fact_tiles, source_lines

JUNE = datetime(2025, 6, 1)


@pytest.fixture(scope="module")
def facts(company: Company) -> AccountFacts:
    scores = company.published("scores")
    workspace, _ = company.workspace()
    return account_facts(workspace, str(scores["account_id"].iloc[0]), JUNE)


def known(company: Company, table: str, account: str, as_of: datetime) -> pd.DataFrame:
    rows = company.table(table)
    rows = rows[rows["account_id"] == account]
    return rows[rows["known_at"] < as_of] if "known_at" in rows else rows


@pytest.mark.parametrize("as_of", [JUNE, datetime(2025, 1, 19)])
def test_facts_agree_with_the_raw_tables_as_known_then(company: Company, as_of: datetime) -> None:
    workspace, _ = company.workspace()
    for account in company.published("scores")["account_id"].iloc[:4]:
        found = account_facts(workspace, account, as_of)
        used = known(company, "usage_events", account, as_of)
        used = used[(used["event_time"] < as_of)]
        recent = used[used["event_time"] >= as_of - pd.Timedelta(days=28)]
        assert (
            found.use is not None
            and found.use.active_days == recent["event_time"].dt.normalize().nunique()
        )
        tickets = known(company, "support_tickets", account, as_of)
        tickets = tickets[tickets["opened_at"] < as_of]
        is_open = tickets["closed_at"].isna() | (tickets["closed_at"] >= as_of)
        assert (
            found.tickets is not None
            and found.tickets.open == tickets.loc[is_open, "ticket_id"].nunique()
        )
        nps = known(company, "surveys", account, as_of)
        nps = nps[(nps["kind"] == "nps") & (nps["answered_at"] < as_of)].sort_values("answered_at")
        assert found.nps is not None and (found.nps.answered_at is None) == nps.empty
        if len(nps):
            assert (
                found.nps.score == nps["score"].iloc[-1]
                and found.nps.answered_at == nps["answered_at"].iloc[-1]
            )
        assert all(each.newest is None or each.newest < as_of for each in found.sources)
        assert all(
            each.newest_of_all is None or each.newest_of_all < as_of for each in found.sources
        )


def test_people_payments_goals_and_weeks_agree_with_the_raw_tables(company: Company) -> None:
    workspace, _ = company.workspace()
    accounts = [str(each) for each in company.published("scores")["account_id"].iloc[:4]]
    with facts_reader(workspace, accounts, JUNE) as read:
        for account in accounts:
            facts = read(account)
            alone = account_facts(workspace, account, JUNE)
            assert (facts.sources, facts.use) == (alone.sources, alone.use)
            touches = known(company, "touchpoints", account, JUNE)
            touches = touches[
                (touches["event_time"] < JUNE)
                & (touches["event_time"] >= JUNE - pd.Timedelta(weeks=26))
            ]
            weeks = {each.name: each.values for each in facts.weekly}
            assert sum(weeks["Contacts each week"]) == len(touches)
            talks = touches[~touches["kind"].isin(["mail_sent", "mail_opened"])]
            assert facts.last_touch is not None
            if len(talks):
                assert facts.last_touch.at == talks["event_time"].max()
            invoices = known(company, "invoices", account, JUNE)
            is_paid = invoices["paid_at"] < JUNE
            late = (invoices["due_at"] < JUNE) & ~is_paid & (invoices["amount"] > 0)
            assert facts.payments is not None and facts.payments.overdue == late.sum()
            goals = known(company, "goals", account, JUNE)
            assert facts.goals is not None and facts.goals.met == (goals["met_at"] < JUNE).sum()
            assert facts.people is not None
            contacts = known(company, "contacts", account, JUNE)
            there = contacts[
                contacts["role"].isin(["sponsor", "champion"])
                & (contacts["valid_from"] < JUNE)
                & ~(contacts["valid_to"] < JUNE)
            ]
            assert {each.person for each in facts.people if each.until is None} == {
                *there["person"]
            }


def test_who_uses_it_most_agrees_with_the_raw_table(company: Company) -> None:
    workspace, _ = company.workspace()
    told = 0
    for account in company.published("scores")["account_id"].iloc[:6]:
        users = account_facts(workspace, str(account), JUNE).power_users
        used = known(company, "usage_events", str(account), JUNE)
        used = used[
            (used["event_time"] < JUNE) & (used["event_time"] >= JUNE - pd.Timedelta(days=91))
        ]
        counts = used["user_id"].value_counts()
        shares = (counts / counts.sum()).to_dict()
        assert users is not None and users.people == len(counts)
        assert [part for _, part in users.shares] == pytest.approx(
            sorted(shares.values(), reverse=True)[:3]
        )
        assert all(shares[person] == pytest.approx(part) for person, part in users.shares)
        told += len(users.shares)
    assert told > 6


def test_accounts_asked_together_are_told_what_each_is_told_alone(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, _ = company.workspace()
    accounts = [str(each) for each in company.published("scores")["account_id"].iloc[:5]]
    accounts.insert(1, "nobody we know of")  # no source has a row of it
    monkeypatch.setattr("pipeline.jobs.account_facts.ASKED_AT_ONCE", 2)
    with facts_reader(workspace, accounts, JUNE) as read:
        together = {account: read(account) for account in accounts}
        assert repr(read(accounts[0])) == repr(together[accounts[0]])  # asked again, out of order
    # Their text, since a score that nobody gave is NaN and equal to nothing.
    for account, facts in together.items():
        assert repr(facts) == repr(account_facts(workspace, account, JUNE))
    unknown = together["nobody we know of"]
    assert unknown.use is not None and unknown.use.active_days == 0
    assert unknown.goals is not None and unknown.goals.met == 0
    assert unknown.power_users is not None and unknown.power_users.shares == ()
    assert all(each.rows == 0 and each.newest is None for each in unknown.sources)


def test_use_is_that_of_the_signals(company: Company) -> None:
    workspace, _ = company.workspace()
    features = company.published("features_scored_churn_90d").set_index("account_id")
    for account in features.index[:4]:
        use = account_facts(workspace, account, JUNE).use
        assert use is not None and use.minutes == features.loc[account, "session_minutes_28d"]
        assert use.people == features.loc[account, "active_users_28d"]


def test_every_source_is_listed_and_absent_ones_say_so(
    company: Company, facts: AccountFacts
) -> None:
    workspace, _ = company.workspace()
    assert [each.source for each in facts.sources] == list(workspace.project.sources)
    assert facts.absent == ()
    lines = source_lines(replace(facts, sources=facts.sources[:2], absent=("goals",)))
    assert lines[-1]["newest"] == "no data" and lines[-1]["rows"] is None
    assert len({each.newest for each in facts.sources}) > 1


def test_absent_sources_are_no_zeros(facts: AccountFacts) -> None:
    tiles = {
        tile.name: tile
        for tile in fact_tiles(
            AccountFacts(JUNE, None, None, None, None, facts.sources, facts.absent), None, "USD"
        )
    }
    assert [tile.value for tile in tiles.values()] == ["unknown", *["no data"] * 4]
    assert not any(tile.is_known for tile in tiles.values())


@pytest.mark.parametrize(
    ("changed", "name", "value", "note"),
    [
        (
            {"use": RecentUse(False, 0, 0.0, 0, None)},
            "Active time a day",
            "not known",
            "feed was not there",
        ),
        (
            {"use": RecentUse(True, 0, 0.0, 0, datetime(2025, 3, 1))},
            "Active time a day",
            "0 minutes",
            "last use 1 Mar 2025",
        ),
        (
            {"use": RecentUse(True, 11, None, None, JUNE)},
            "Active days",
            "11 of 28",
            "the length of visits is not recorded",
        ),
        (
            {"use": RecentUse(True, 14, 280.0, 3, JUNE)},
            "Active time a day",
            "10 minutes",
            "14 of 28 days by 3 people",
        ),
        (
            {"pulse": PulseFact("current", 4.0, "CSM 02", JUNE, JUNE)},
            "Pulse",
            "4 of 5",
            "CSM 02, 1 Jun 2025; counts until",
        ),
        ({"pulse": PulseFact("expired", 5.0, None, JUNE, JUNE)}, "Pulse", "expired", "was 5 of 5"),
        (
            {"pulse": PulseFact("never", float("nan"), None, None, None)},
            "Pulse",
            "never rated",
            "neither good nor bad",
        ),
        (
            {"nps": NpsFact(9.0, 100.0, "0-10", JUNE, 2)},
            "NPS",
            "9 of 10",
            "promoter, answered 1 Jun 2025; 2 answers",
        ),
        (
            {"nps": NpsFact(9.0, 100.0, "0-10", datetime(2024, 1, 1), 0)},
            "NPS",
            "no recent answer",
            "last 9 of 10",
        ),
        (
            {"nps": NpsFact(float("nan"), float("nan"), None, None, 0)},
            "NPS",
            "no answer",
            "answered so far",
        ),
        (
            {"tickets": Tickets(None, None, JUNE)},
            "Open tickets",
            "not known",
            "does not say when tickets close",
        ),
        (
            {"tickets": Tickets(2, datetime(2025, 5, 1), JUNE)},
            "Open tickets",
            "2",
            "oldest waits since 1 May 2025",
        ),
        ({"tickets": Tickets(0, None, None)}, "Open tickets", "0", "none opened so far"),
        (
            {"power_users": PowerUsers((("ann", 0.6), ("ben", 0.3)), 4)},
            "Used most by",
            "ann: 60%",
            "then ben: 30%; of 4 people in the last 91 days",
        ),
        (
            {"power_users": PowerUsers((("ann", 1.0),), 1)},
            "Used most by",
            "ann: 100%",
            "of 1 person",
        ),
        ({"power_users": PowerUsers((), 0)}, "Used most by", "nobody", "in the last 91 days"),
    ],
)
def test_tiles_say_what_is_known_and_from_when(
    facts: AccountFacts, changed, name, value, note
) -> None:
    tile = next(
        each for each in fact_tiles(replace(facts, **changed), 1200.0, "USD") if each.name == name
    )
    assert tile.value == value and note in tile.note


def test_the_page_shows_facts_and_sources(company_copy: Company, tenure: Command) -> None:
    account = company_copy.published("scores").dropna(subset=["health"])["account_id"].iloc[0]
    answer = tenure("explain", account, "--page", "--project", company_copy.folder)
    assert answer.code == 0, answer.err
    text = open(answer.out.strip()).read()
    for wanted in (
        "What we knew on 1 Jun 2025",
        "Value per year",
        "Open tickets",
        "Newest row of this account",
        "csm notes",
    ):
        assert wanted in text, wanted
    # Beside the page: the numbers behind its pictures, a row for each mark.
    charts = pd.read_csv(Path(answer.out.strip()).with_suffix(".csv"), parse_dates=["date"])
    points = charts[charts["chart"] == "points"]
    health = company_copy.published("scores").set_index("account_id").at[account, "health"]
    assert points["value"].sum() == health
    assert text.count('class="down"') + text.count('class="up"') == len(points) - 1
    weeks = charts[charts["chart"] == "week by week"]
    assert len(weeks) == text.count("<rect") and weeks["date"].max() == pd.Timestamp("2025-05-31")
    drawn = [int(each) for each in re.findall(r"<title>(?:last week|\d+ weeks ago): (\d+)<", text)]
    assert sum(drawn) == weeks["value"].sum() > 0


def test_an_account_under_notice_is_given_no_chance(company_copy: Company, tenure: Command) -> None:
    scores = company_copy.published("scores").dropna(subset=["health"])
    leaving = scores.loc[scores["state"].isin(["notice", "lapsed"]), "account_id"].iloc[0]
    text = open(
        tenure("explain", leaving, "--page", "--project", company_copy.folder).out.strip()
    ).read()
    assert (
        "There is nothing left to predict" in text
        and "Nothing needs doing now" not in text
        and "What we knew on" in text
    )
