"""Renewals by month, forecast a year ahead, beside what simulated companies then did.

    python -m benchmarks.renewals [--companies 60] [--accounts 300] [--json]

Every company is simulated to the end of a year of which its model knows nothing: trained without a
search on dates whose labels were complete before the year began, scored and forecast on its first
day. Printed by month ahead over the companies: the share of them whose realised money lies inside
the stated 95% interval, for what was due and what was renewed, and both sums. Due is every end of a
term that an account reached, at what one such term pays of its money a year; renewed is due where
cover went on within the days of grace. A term cut short for non-payment is no end of a contract,
and one whose next term was signed by the first day is not due any more.
"""

import argparse
import json
import sys
import tempfile
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from features.errors import ContractError
from models.term_dates import MONTHS_OF_YEAR, whole_months
from pipeline.engine.duckdb import connected
from pipeline.jobs.forecast import ALL, Forecast, forecast_target
from pipeline.jobs.prepare import prepare_training
from pipeline.jobs.score import score_target
from pipeline.jobs.stage import stage_sources
from pipeline.jobs.train import train_target
from pipeline.simulate import WorldOptions, simulate, write_world
from pipeline.workspace import open_workspace

AS_OF = pd.Timestamp("2024-06-01")
LAST_LABEL = "2024-02-18"
GRACE = pd.Timedelta(days=14)
_SETTINGS = "trials = 0\nbags = 1\nmax_trees = 60\nthreads = 1"


def measure(seed: int, accounts: int) -> pd.DataFrame:
    """One company: a row per month ahead with forecast and realised money.

    Raises
    ------
    ContractError
        Too few accounts left before the day for a forecast.
    """
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside) / "company"
        options = WorldOptions(truth_dates=(), truth_replicates=1)
        write_world(simulate(accounts, seed, options=options), folder)
        file = folder / "tenure.toml"
        text = file.read_text().replace("trials = 15", _SETTINGS)
        file.write_text(text.replace("last = 2025-02-16", f"last = {LAST_LABEL}"))
        workspace = open_workspace(folder, None, datetime(2025, 6, 1, 6))
        target = workspace.target(None)
        with workspace.store.writing(), connected() as connection:
            stage_sources(workspace, connection)
            prepare_training(workspace, connection, target)
            train_target(workspace, target)
            score_target(workspace, connection, target, AS_OF.date(), use_candidate=True)
            forecast = forecast_target(workspace, connection, target, AS_OF.date())
            people = workspace.store.read("portfolio")
        terms = pd.read_parquet(folder / "data" / "subscriptions.parquet")
    return _beside(forecast, people.set_index("account_id")["value_per_year"], terms).assign(
        seed=seed
    )


def _beside(forecast: Forecast, value: "pd.Series[float]", terms: pd.DataFrame) -> pd.DataFrame:
    """The months of a forecast beside what its accounts did."""
    members = set(forecast.horizons["account_id"])
    ends = realised_ends(terms[terms["account_id"].isin(members)])
    ends["paid"] = ends["account_id"].map(value).to_numpy() * ends["share"]
    ends["month"] = ends["ends_at"].dt.to_period("M").dt.start_time
    table = forecast.monthly[forecast.monthly["segment"] == ALL].set_index("month")
    due = ends.groupby("month")["paid"].sum()
    renewed = ends[ends["is_renewed"]].groupby("month")["paid"].sum()
    return table.assign(
        ahead=np.arange(1, len(table) + 1),
        realised_due=due.reindex(table.index).fillna(0.0),
        realised_renewed=renewed.reindex(table.index).fillna(0.0),
    ).reset_index()


def realised_ends(terms: pd.DataFrame) -> pd.DataFrame:
    """Ends of whole-month terms after the date that nobody had signed beyond by then: account_id,
    ends_at, share (of a year's money), is_renewed. Seats added in mid-term end with their term and
    are one with it.
    """
    paid = terms[~terms["is_trial"].fillna(False).astype(bool)]
    # Change of plan or seats cuts a row in two: the term began where the first version says so.
    last = paid.groupby(["account_id", "ends_at"])["starts_at"].min().reset_index()
    # As it came out: an end that was moved later in the term never came.
    newest = paid.sort_values("known_at", kind="stable").drop_duplicates("row_key", keep="last")
    came = pd.MultiIndex.from_frame(newest.loc[~newest["is_deleted"], ["account_id", "ends_at"]])
    last = last[pd.MultiIndex.from_frame(last[["account_id", "ends_at"]]).isin(came)]
    begin, end = (
        (last[name].dt.normalize() - pd.Timestamp(0)).dt.days.to_numpy(dtype=np.float64)
        for name in ("starts_at", "ends_at")
    )
    months, _ = whole_months(begin, end)
    last["share"] = np.minimum(months / MONTHS_OF_YEAR, 1.0)
    ends = last[(last["ends_at"] >= AS_OF) & ~np.isnan(months)]
    covers = ends.merge(paid[["account_id", "starts_at", "ends_at", "known_at"]], on="account_id")
    goes_on = covers["starts_at_y"].le(covers["ends_at_x"] + GRACE) & (
        covers["ends_at_y"].isna() | (covers["ends_at_y"] > covers["ends_at_x"])
    )
    keys = pd.MultiIndex.from_frame(ends[["account_id", "ends_at"]])
    renewed, signed = (
        keys.isin(pd.MultiIndex.from_frame(rows[["account_id", "ends_at_x"]]))
        for rows in (covers[goes_on], covers[goes_on & (covers["known_at"] < AS_OF)])
    )
    return ends.assign(is_renewed=renewed)[~signed]


def covered(months: pd.DataFrame) -> pd.DataFrame:
    """By month ahead: companies, shares inside the interval, and forecast over realised sums."""
    inside = months.assign(
        due_inside=months["realised_due"].between(
            months["value_due_low"], months["value_due_high"]
        ),
        renewed_inside=months["realised_renewed"].between(
            months["renewed_low"], months["renewed_high"]
        ),
    )
    by_month = inside.groupby("ahead")
    return pd.DataFrame(
        {
            "companies": by_month.size(),
            "due_inside": by_month["due_inside"].mean(),
            "renewed_inside": by_month["renewed_inside"].mean(),
            "due_over_realised": by_month["value_due"].sum() / by_month["realised_due"].sum(),
            "renewed_over_realised": by_month["renewed"].sum() / by_month["realised_renewed"].sum(),
        }
    )


def main() -> None:
    """Measure companies and print coverage by month ahead."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--companies", type=int, default=60)
    parser.add_argument("--accounts", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    parts = []
    for seed in range(1, options.companies + 1):
        try:
            parts.append(measure(seed, options.accounts))
        except ContractError as refused:
            print(f"company {seed} is left out: {refused}", file=sys.stderr)
        if not options.json:
            print(f"company {seed} of {options.companies}", flush=True)
    table = covered(pd.concat(parts, ignore_index=True))
    if options.json:
        print(json.dumps(table.reset_index().to_dict("records"), indent=1))
        return
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()
