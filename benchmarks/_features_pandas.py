"""Straightforward pandas, one date after the other: what `benchmarks.features` compares with.

Run by that benchmark in a process of its own; prints seconds.
"""

import sys
import time

import pandas as pd


def build(file: str, dates: list[pd.Timestamp], windows: list[int]) -> pd.DataFrame:
    """Feature rows of all accounts on all dates."""
    log = pd.read_parquet(file)
    log["day"] = log["event_time"].dt.floor("D")
    tables = []
    for as_of in dates:
        known = log[(log["event_time"] < as_of) & (log["known_at"] < as_of)]
        table = pd.DataFrame(index=pd.Index(log["account_id"].unique(), name="account_id"))
        table["days_since"] = (as_of - known.groupby("account_id")["day"].max()).dt.days
        for window in windows:
            inside = known[known["event_time"] >= as_of - pd.Timedelta(days=window)]
            groups = inside.groupby("account_id")
            table[f"count_{window}"] = groups.size()
            table[f"sum_{window}"] = groups["quantity"].sum()
            table[f"days_{window}"] = groups["day"].nunique()
            table[f"users_{window}"] = groups["user_id"].nunique()
            if window == max(windows):
                continue
            first = as_of - pd.Timedelta(days=2 * window)
            before = known[
                (known["event_time"] >= first)
                & (known["event_time"] < as_of - pd.Timedelta(days=window))
            ]
            now, then = table[f"count_{window}"].fillna(0), before.groupby("account_id").size()
            then = then.reindex(table.index).fillna(0)
            table[f"change_{window}"] = (now - then) / (now + then)
        counted = [
            c
            for c in table.columns
            if c.startswith(("count", "sum", "days_", "users")) and c != "days_since"
        ]
        table[counted] = table[counted].fillna(0)
        tables.append(table.assign(as_of=as_of).reset_index())
    return pd.concat(tables, ignore_index=True)


if __name__ == "__main__":
    started = time.monotonic()
    made = build(
        sys.argv[1],
        [pd.Timestamp(d) for d in sys.argv[2].split(",")],
        [int(w) for w in sys.argv[3].split(",")],
    )
    print(time.monotonic() - started)
    if len(sys.argv) > 4:
        made.to_parquet(sys.argv[4])
