"""Quality on flat sets with a churn label: `python -m benchmarks.tables [--json] [--sets NAME ...]
[--trials N]`.

Five folds of accounts, every choice made inside the other four; log loss and AUC are means over
folds. The sets have no dates, so nothing here is out of time. `readme` is the figure that comes
with each set: one untuned LightGBM without calibration, its own five folds.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from models.plan import TrainingPlan
from models.table import TableOptions
from models.table_folds import MethodByFolds, folds_at_random, judge_by_folds

DATA = Path(
    os.environ.get("TENURE_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)
PARTS = 5
METHODS = ("ours", "lightgbm", "logistic", "constant")


@dataclass(frozen=True)
class FlatSet:
    """A table, what its columns are, and the figures it is known by."""

    read: Callable[[], pd.DataFrame]
    options: TableOptions
    readme: Mapping[str, float]


def _bank() -> pd.DataFrame:
    table = pd.read_parquet(DATA / "bank_churners" / "bank_churners.parquet")
    return table.drop(columns=[name for name in table.columns if name.startswith("Naive_Bayes")])


def _iranian() -> pd.DataFrame:
    return pd.read_parquet(DATA / "iranian_churn" / "iranian_churn.parquet").drop_duplicates()


def _telco() -> pd.DataFrame:
    return pd.read_parquet(DATA / "telco" / "telco_customer_churn.parquet")


def _telco_v11() -> pd.DataFrame:
    """Services, demographics and location; of the status table the outcome only."""
    parts = {
        name: pd.read_parquet(DATA / "telco" / f"ibm_v11_{name}.parquet")
        for name in ("services", "demographics", "location", "status")
    }
    outcome = parts.pop("status")[["Customer ID", "Churn Value"]]
    table = outcome
    for part in parts.values():
        table = table.merge(part.drop(columns=["Count"]), on="Customer ID", validate="one_to_one")
    return table


def _saas() -> pd.DataFrame:
    """Without `months_active`, the duration that belongs to the outcome."""
    return pd.read_parquet(DATA / "pysurvival_saas_churn" / "churn.parquet").drop(
        columns="months_active"
    )


SETS: dict[str, FlatSet] = {
    "bank_churners": FlatSet(
        _bank,
        TableOptions("Attrition_Flag", positive="Attrited Customer", account="CLIENTNUM"),
        {"log_loss": 0.078, "auc": 0.994},
    ),
    "iranian_churn": FlatSet(_iranian, TableOptions("Churn"), {"log_loss": 0.098, "auc": 0.989}),
    "telco_classic": FlatSet(
        _telco,
        TableOptions("Churn", positive="Yes", account="customerID"),
        {"log_loss": 0.417, "auc": 0.845},
    ),
    "telco_v11": FlatSet(
        _telco_v11,
        TableOptions("Churn Value", account="Customer ID"),
        {"log_loss": 0.329, "auc": 0.910},
    ),
    "pysurvival_saas": FlatSet(_saas, TableOptions("churned"), {"log_loss": 0.354, "auc": 0.917}),
}


def measure(name: str, plan: TrainingPlan) -> dict[str, Any]:
    """Return the figures of one set beside those it is known by."""
    started = time.monotonic()
    known = SETS[name]
    cut = folds_at_random(known.read(), known.options, parts=PARTS, repeats=1)
    found = judge_by_folds(cut, plan)
    return {
        "set": name,
        "rows": found.rows,
        "accounts": found.accounts,
        "events": found.events,
        "signals": found.signals,
        "folds": PARTS,
        "trials": found.trials,
        "is_out_of_time": False,
        "notes": list(found.notes),
        "methods": {method: _figures(part) for method, part in found.methods.items()},
        "readme": dict(known.readme),
        "seconds": round(time.monotonic() - started, 1),
    }


def _figures(part: MethodByFolds) -> dict[str, float]:
    figures = {
        f"{name}{end}": values[name]
        for name in ("log_loss", "auc")
        for end, values in (("", part.mean), ("_sd", part.sd))
    }
    if part.difference is None:
        return figures
    value, low, high = part.difference.value, part.difference.low, part.difference.high
    return {**figures, "difference": value, "difference_low": low, "difference_high": high}


def lines(found: Mapping[str, Any]) -> list[str]:
    """Return the figures of a set as lines of text."""
    head = (
        f"{found['set']}: {found['rows']:,} rows, {found['events']:,} with the event,"
        f" {found['signals']} signals, {found['trials']} trials, {found['seconds']:.0f} s"
    )
    rows = [head, f"  {'':<10} {'log loss':>16} {'AUC':>16}   ours minus theirs, log loss (95%)"]
    for name in METHODS:
        part = found["methods"][name]
        beside = (
            ""
            if "difference" not in part
            else (
                f"   {part['difference']:+.4f} ({part['difference_low']:+.4f} to"
                f" {part['difference_high']:+.4f})"
            )
        )
        rows.append(
            f"  {name:<10} {part['log_loss']:.4f} +-{part['log_loss_sd']:.4f} {part['auc']:.4f} "
            f"+-{part['auc_sd']:.4f}{beside}"
        )
    return [
        *rows,
        f"  {'readme':<10} {found['readme']['log_loss']:>8.3f} {found['readme']['auc']:>15.3f}",
    ]


def main() -> None:
    """Measure the sets asked for and print them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--trials", type=int, default=20, help="trials of the search in every fold")
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    plan = TrainingPlan(trials=chosen.trials, threads=chosen.threads)
    results = []
    for name in chosen.sets:
        results.append(measure(name, plan))
        print(
            "\n".join(lines(results[-1])),
            file=sys.stderr if chosen.json else sys.stdout,
            flush=True,
        )
    if chosen.json:
        print(json.dumps({"sets": results, "is_out_of_time": False}, indent=1))


if __name__ == "__main__":
    main()
