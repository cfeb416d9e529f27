"""The numbers behind every chart and table of the first page, as tidy tables."""

from dataclasses import asdict

import pandas as pd

from pipeline.actions.account_rows import list_length
from pipeline.reports.account_list import table_of
from pipeline.reports.hindsight import look_back
from pipeline.reports.portfolio import (
    PortfolioInputs,
    band_tiles,
    dated_backtest,
    list_rows,
    owner_lists,
)
from pipeline.reports.reliability import reliability_rows


def portfolio_tables(inputs: PortfolioInputs) -> dict[str, pd.DataFrame]:
    """Name -> table; only those with rows."""
    rows = list_rows(inputs)
    owners = owner_lists(rows, list_length(rows, inputs.objective.capacity))
    tables = {
        "accounts": table_of(inputs),
        "bands": pd.DataFrame(
            [
                asdict(tile)
                for tile in band_tiles(inputs.scores, inputs.portfolio, inputs.previous_counts)
            ]
        ),
        "owners": pd.DataFrame(
            [{k: v for k, v in vars(each).items() if k != "rows"} for each in owners]
        ),
        "what_a_band_means": inputs.band_table,
        "chances_and_outcomes": reliability_rows(inputs.backtest),
        "sources": inputs.source_freshness,
        **_looking_back(inputs),
        "earlier_runs": _earlier_runs(inputs),
    }
    return {name: table for name, table in tables.items() if len(table)}


def _looking_back(inputs: PortfolioInputs) -> dict[str, pd.DataFrame]:
    if inputs.backtest.empty:
        return {}
    seen = look_back(dated_backtest(inputs))
    leavers = [
        {
            "account_id": leaver.account_id,
            "left_at": leaver.left_at,
            "lead_days": look.lead_days,
            "days_before": look.days_before,
            "health": look.health,
            "band": look.band,
        }
        for leaver in seen.leavers
        for look in leaver.looks
    ]
    return {
        "past_leavers": pd.DataFrame(leavers),
        "past_false_alarms": pd.DataFrame([asdict(alarm) for alarm in seen.unconfirmed]),
    }


def _earlier_runs(inputs: PortfolioInputs) -> pd.DataFrame:
    judged = () if inputs.earlier is None else inputs.earlier.judged
    return pd.DataFrame([{"as_of": each.run.as_of, **asdict(each.record.total)} for each in judged])
