"""Featuretools with cutoff times: what `benchmarks.features` compares with, in an environment of
its own.

Run by that benchmark; prints seconds. Both clocks cannot be told to Featuretools: rows become known
with `known_at`, windows count back from there.
"""

import sys
import time

import featuretools as ft
import pandas as pd


def build(file: str, dates: list[pd.Timestamp], windows: list[int]) -> pd.DataFrame:
    """Feature rows of all accounts on all dates."""
    log = pd.read_parquet(file)
    log["event_id"] = range(len(log))
    log["day"] = log["event_time"].dt.strftime("%Y-%m-%d")
    entities = ft.EntitySet("log")
    entities.add_dataframe(
        log,
        "events",
        index="event_id",
        time_index="known_at",
        logical_types={"user_id": "Categorical", "day": "Categorical", "event_name": "Categorical"},
    )
    entities.normalize_dataframe("events", "accounts", "account_id", make_time_index=False)
    cutoffs = pd.concat(
        [pd.DataFrame({"account_id": log["account_id"].unique(), "time": as_of}) for as_of in dates]
    )
    tables = [
        ft.dfs(
            entityset=entities,
            target_dataframe_name="accounts",
            cutoff_time=cutoffs,
            training_window=f"{window} days",
            agg_primitives=["count", "sum", "num_unique", "time_since_last"],
            trans_primitives=[],
            max_depth=1,
        )[0]
        for window in windows
    ]
    return pd.concat(tables, axis=1)


if __name__ == "__main__":
    started = time.monotonic()
    build(
        sys.argv[1],
        [pd.Timestamp(d) for d in sys.argv[2].split(",")],
        [int(w) for w in sys.argv[3].split(",")],
    )
    print(time.monotonic() - started)
