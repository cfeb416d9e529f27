"""What a growing amount grew by, and which growth a target counts."""

from dataclasses import replace
from typing import Any

import pytest
from test_labels import Row, label_table, staged, term

from features.snapshots import PopulationRule
from models.labels import change_causes, labels
from models.targets import CAUSES, CUSTOMERS_OWN, Cause, TargetRule
from pipeline.config.schema import Objective, Project, Target
from pipeline.engine.duckdb import connected
from pipeline.engine.facts import source_facts
from pipeline.workspace import purpose_of, target_rule

PAID: dict[str, Any] = {"amount_per_month": 10_000, "seats": 10, "plan": "team"}


def changed(**later: Any) -> list[Row]:
    """A term of 100.00 for 10 seats until 1 May, and what follows it."""
    return [
        term("2024-01-01", "05-01", **PAID),
        term("05-01", known="05-01", **{**PAID, **later}),
    ]


# What changed, the cause, and whether the customer chose it.
CASES: tuple[tuple[str, list[Row], Cause, bool], ...] = (
    ("the list price rose", changed(amount_per_month=11_000), "price", False),
    ("seats were bought", changed(amount_per_month=12_000, seats=12), "seats", True),
    ("a larger plan", changed(amount_per_month=15_000, plan="business"), "plan", True),
    (
        "a product beside it",
        [*changed(), term("04-20", amount_per_month=3_000, plan="team")],
        "product",
        True,
    ),
    (
        "a discount ran out",
        [
            term("2024-01-01", "05-01", discount_share=20, **PAID),
            term("05-01", **{**PAID, "amount_per_month": 12_000, "discount_share": 0}),
        ],
        "discount",
        False,
    ),
    # A tenth of a seat's worth beside a price rise of a fifth is the price rise.
    (
        "a price rise with a seat too few to make the change",
        [
            term("2024-01-01", "05-01", **{**PAID, "seats": 100}),
            term("05-01", **{**PAID, "amount_per_month": 12_120, "seats": 101}),
        ],
        "price",
        False,
    ),
)


def rule(causes: tuple[Cause, ...]) -> TargetRule:
    return TargetRule("growth", "expansion", 90, change_share=0.05, causes=causes)


@pytest.mark.parametrize(
    ("rows", "cause", "is_own"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_growth_counts_by_what_the_customer_chose(
    rows: list[Row], cause: Cause, is_own: bool
) -> None:
    with connected(threads=1) as connection:
        label = {
            name: label_table(connection, "subscriptions", rows, rule(causes))["label"].iloc[0]
            for name, causes in (("all", ()), ("own", CUSTOMERS_OWN), ("its", (cause,)))
        }
        facts = source_facts(staged("subscriptions", rows, "fixed_term"), {})
        told = connection.execute(change_causes(rule(CUSTOMERS_OWN), facts)).fetchall()
    assert (label["all"], label["own"], label["its"]) == (1, int(is_own), 1)
    assert [row[2] for row in told] == [cause]


def test_a_contraction_is_told_apart_the_same_way() -> None:
    fewer = changed(amount_per_month=8_000, seats=8)
    with connected(threads=1) as connection:
        target = TargetRule("loss", "contraction", 90, causes=("price",))
        assert label_table(connection, "subscriptions", fewer, target)["label"].iloc[0] == 0
        target = TargetRule("loss", "contraction", 90, causes=("seats",))
        assert label_table(connection, "subscriptions", fewer, target)["label"].iloc[0] == 1


def test_without_seats_and_plans_every_change_counts() -> None:
    facts = source_facts(staged("subscriptions", CASES[0][1], "fixed_term"), {})
    blind = replace(facts, mapped=facts.mapped - {"seats", "plan"})
    population = PopulationRule("customers")
    every = labels(rule(()), blind, population)
    assert labels(rule(CUSTOMERS_OWN), blind, population) == every
    assert labels(rule(CUSTOMERS_OWN), facts, population) != every


def test_the_purpose_on_a_page_is_that_of_its_target() -> None:
    leaving = Target(name="l", kind="churn", horizon_days=90)
    growth = Target(name="g", kind="expansion", horizon_days=90)
    named = Target(name="n", kind="expansion", horizon_days=90, purpose="offer seats")
    project = Project(name="p", objective=Objective(purpose="call those who may leave"))
    purposes = [purpose_of(project, target) for target in (leaving, growth, named)]
    assert purposes == ["call those who may leave", "", "offer seats"]
    grows = Project(name="p", objective=Objective(purpose="offer seats"), targets=(growth,))
    assert purpose_of(grows, growth) == "offer seats"
    both = Project(name="p", objective=Objective(purpose="call"), targets=(growth, leaving))
    assert purpose_of(both, growth) == ""


def test_by_default_growth_is_what_the_customer_chose() -> None:
    growth = Target(name="g", kind="expansion", horizon_days=90)
    assert target_rule(growth).causes == ("seats", "plan", "product") == CUSTOMERS_OWN
    loss = Target(name="l", kind="contraction", horizon_days=90)
    assert target_rule(loss).causes == ()
    every = Target(name="g", kind="expansion", horizon_days=90, causes=CAUSES)
    assert target_rule(every).causes == CAUSES
