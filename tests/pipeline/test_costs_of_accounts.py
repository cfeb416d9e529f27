"""Accounts with costs of their own: known as of the date, in savings, profit and worklist, never
signals.
"""

import json
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from small_company import NOW, Command, Company

from models.costs import SAVINGS_FACT
from pipeline.config.schema import Objective
from pipeline.engine.duckdb import connected
from pipeline.engine.facts import NEVER_SIGNALS
from pipeline.jobs.portfolio import acting_costs, row_costs
from pipeline.jobs.prepare import load_training
from pipeline.jobs.report import write_reports
from pipeline.jobs.rollback import published_again
from pipeline.jobs.stage import load_staged
from pipeline.ledger import published_run


@pytest.fixture
def with_costs(company_copy: Company) -> Company:
    """A fifth of what the account is worth is lost with it; a call costs more in each later row."""
    accounts = company_copy.table("accounts")
    later = accounts.groupby("account_id").cumcount().to_numpy()
    company_copy.replace_table(
        "accounts",
        accounts.assign(
            cost_if_missed=(0.2 * accounts["value_per_year"]).round(2),
            cost_of_contact=np.where(later == 0, 40.0, 60.0),
        ),
    )
    company_copy.score(NOW + timedelta(hours=1))
    return company_copy


def test_costs_reach_savings_profit_and_worklist(with_costs: Company, tenure: Command) -> None:
    portfolio = with_costs.published("portfolio")
    known = portfolio["value_per_year"].notna()
    assert known.any()
    assert portfolio.loc[known, "cost_if_missed"].to_numpy() == pytest.approx(
        0.2 * portfolio.loc[known, "value_per_year"].to_numpy(), abs=0.02
    )
    workspace, target = with_costs.workspace()
    rows, _, _ = load_training(workspace, target)
    assert not {"cost_if_missed", "cost_of_contact"} & set(rows.features)
    assert {"cost_if_missed", "cost_of_contact"} <= NEVER_SIGNALS
    with connected() as connection:
        costs = row_costs(connection, load_staged(workspace, connection), rows.test.keys)
    assert costs.index.equals(rows.test.keys.index)

    found = json.loads(tenure("evaluate", "--project", with_costs.folder, "--json").out)
    saved = found["savings"]
    assert saved["rows"] == int(costs.notna().all(axis=1).sum()) > 0
    share = workspace.project.objective.save_share or 1.0
    missed = rows.test.labels * costs["cost_if_missed"].to_numpy() * share
    assert saved["cost_nobody"] == pytest.approx(np.nansum(missed))
    assert saved["cost_everybody"] == pytest.approx(costs["cost_of_contact"].sum())
    run = published_run(workspace.store, target.name)
    write_reports(workspace, target, published_again(workspace, target, run))
    folder = with_costs.folder / "reports" / target.name
    card = (folder / "model_card.html").read_text(encoding="utf-8")
    assert SAVINGS_FACT in card and "with one chance for all rows" in card
    listed = pd.read_csv(folder / "worklist.csv", encoding="utf-8-sig")
    listed = listed[listed["chance"].str.contains("90 days")].merge(
        portfolio[["account_id", "cost_if_missed", "cost_of_contact"]], on="account_id"
    )
    net = listed["probability"] * listed["cost_if_missed"] * share - listed["cost_of_contact"]
    now = np.isclose(net, listed["priority"])
    assert now.mean() > 0.2  # the others' contracts end later, and count less

    bench = json.loads(tenure("bench", "--project", with_costs.folder, "--json").out)
    assert any("costs of each account" in note for note in bench["notes"])
    profit = {each["method"]: each["test"]["profit"]["value"] for each in bench["methods"]}
    assert max(profit.values()) <= saved["cost_nobody"]


def test_costs_of_a_date_are_those_known_then(with_costs: Company) -> None:
    accounts = with_costs.table("accounts").sort_values(["account_id", "valid_from"])
    twice = accounts[accounts.groupby("account_id")["account_id"].transform("size") > 1]
    first, second = twice.iloc[0], twice.iloc[1]
    assert first["account_id"] == second["account_id"]
    keys = pd.DataFrame(
        {
            "account_id": first["account_id"],
            "as_of": [
                pd.Timestamp(second["valid_from"]).normalize(),
                pd.Timestamp(second["valid_from"]).normalize() + pd.Timedelta(days=60),
            ],
        }
    )
    workspace, _ = with_costs.workspace()
    with connected() as connection:
        costs = row_costs(connection, load_staged(workspace, connection), keys)
    assert costs["cost_of_contact"].tolist() == [40.0, 60.0]


def test_what_is_not_known_stays_unknown() -> None:
    costs = pd.DataFrame({"cost_if_missed": [100.0, None], "cost_of_contact": [None, 5.0]})
    both = acting_costs(costs, Objective(save_share=0.5, cost_per_contact=8.0))
    assert both is not None and both["of_contact"].tolist() == [8.0, 5.0]
    assert both["if_missed"].iloc[0] == 50.0 and np.isnan(both["if_missed"].iloc[1])
    alone = acting_costs(costs, Objective())
    assert alone is not None and np.isnan(alone["of_contact"].iloc[0])
    assert acting_costs(costs[["cost_if_missed"]], Objective()) is None
    assert acting_costs(costs[["cost_of_contact"]], Objective(save_share=0.5)) is None
