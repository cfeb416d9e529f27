"""Rows explained per second: SHAP from tables beside LightGBM's `pred_contrib`, shap and woodelf.

    python -m benchmarks.explain --rows 100000 [--json]

150 columns with nulls, 300 trees of depth 8. Ours explains all rows, streamed in batches that are
made and dropped one by one; the others explain a sample and are extrapolated, since a million rows
would take them hours (`reference_rows` says how many). Ours and `pred_contrib` have two threads;
shap's TreeExplainer and woodelf know one, and are left out where they are not installed. On a busy
machine the ratio of processor seconds (`ratio_cpu`) is steadier than that of wall seconds
(`ratio`).
"""

import argparse
import contextlib
import io
import json
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd

from models.methods import BoostingSettings, GradientBoosting

Floats = npt.NDArray[np.float64]
COLUMNS, TREES, DEPTH, LEAVES, THREADS = 150, 300, 8, 31, 2
TRAINING_ROWS, BATCH, REFERENCE_ROWS, WOODELF_ROWS = 40_000, 50_000, 2_000, 20_000
NULLS = 0.1
GIB = 1024**2  # ru_maxrss is in KiB


@dataclass(frozen=True)
class Timed:
    """What a call returned and what it cost."""

    value: Any
    seconds: float
    cpu_seconds: float


def timed(call: Callable[[], Any]) -> Timed:
    """Run `call` once."""
    started, cpu = time.perf_counter(), time.process_time()
    value = call()
    return Timed(value, time.perf_counter() - started, time.process_time() - cpu)


def made_rows(count: int, seed: int) -> Floats:
    """Normal columns, a tenth of the values null."""
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(count, COLUMNS))
    rows[generator.random(rows.shape) < NULLS] = np.nan
    return rows


def trained(leaves: int) -> GradientBoosting:
    """Trees that use many columns: a sum of forty and a product."""
    rows = np.nan_to_num(made_rows(TRAINING_ROWS, 1))
    weights = np.random.default_rng(2).normal(0.0, 0.4, 40)
    margin = rows[:, :40] @ weights + rows[:, 0] * rows[:, 1] - 2.0
    labels = (
        np.random.default_rng(3).random(TRAINING_ROWS) < 1.0 / (1.0 + np.exp(-margin))
    ).astype(np.int8)
    method = GradientBoosting(
        BoostingSettings(trees=TREES, leaves=leaves, depth=DEPTH), threads=THREADS
    )
    return method.fit(pd.DataFrame(made_rows(TRAINING_ROWS, 1)), labels, ())


def batches(rows: int) -> Iterator[Floats]:
    """`rows` rows, at most `BATCH` at a time."""
    for start in range(0, rows, BATCH):
        yield made_rows(min(BATCH, rows - start), 100 + start // BATCH)


def explain_all(method: GradientBoosting, rows: int) -> dict[str, float]:
    """Seconds of explaining all rows, without making them; the first call builds the tables."""
    seconds = cpu = 0.0
    for batch in batches(rows):
        frame = pd.DataFrame(batch)
        done = timed(lambda frame=frame: method.contributions(frame))  # type: ignore[misc]
        seconds, cpu = seconds + done.seconds, cpu + done.cpu_seconds
    return {"seconds": seconds, "cpu_seconds": cpu}


def others(booster: lgb.Booster) -> dict[str, tuple[int, Callable[[Floats], Floats]]]:
    """Name -> rows to try, and contributions of rows."""

    def pred_contrib(rows: Floats) -> Floats:
        return np.asarray(booster.predict(rows, pred_contrib=True, num_threads=THREADS))[:, :-1]

    found: dict[str, tuple[int, Callable[[Floats], Floats]]] = {
        "pred_contrib": (REFERENCE_ROWS, pred_contrib)
    }
    with contextlib.suppress(ImportError):
        from shap import TreeExplainer

        explainer = TreeExplainer(booster)
        found["shap"] = (REFERENCE_ROWS // 2, lambda rows: np.asarray(explainer.shap_values(rows)))
    with contextlib.suppress(ImportError):
        from woodelf import WoodelfExplainer

        def woodelf(rows: Floats) -> Floats:
            frame = pd.DataFrame(rows, columns=booster.feature_name())
            # It prints its own statistics and progress.
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                return np.asarray(WoodelfExplainer(booster).shap_values(frame))

        found["woodelf"] = (WOODELF_ROWS, woodelf)
    return found


def measure(rows: int, leaves: int) -> dict[str, Any]:
    """All figures of one size."""
    method = trained(leaves)
    ours = explain_all(method, rows)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIB
    sample = made_rows(max(REFERENCE_ROWS, WOODELF_ROWS), 99)
    _, our_values = method.contributions(pd.DataFrame(sample))
    result: dict[str, Any] = {
        "rows": rows,
        "leaves": leaves,
        "explained_by": method.explained_by_,
        "seconds": round(ours["seconds"], 1),
        "rows_per_second": round(rows / ours["seconds"]),
        "rows_per_cpu_second": round(rows / ours["cpu_seconds"]),
        "peak_gb": round(peak, 2),
        "others": {},
    }
    for name, (count, explain) in others(method.boosters_[0]).items():
        done = timed(lambda explain=explain, count=count: explain(sample[:count]))  # type: ignore[misc]
        result["others"][name] = {
            "reference_rows": count,
            "rows_per_second": round(count / done.seconds, 1),
            "rows_per_cpu_second": round(count / done.cpu_seconds, 1),
            "ratio": round(rows / ours["seconds"] / (count / done.seconds), 1),
            "ratio_cpu": round(rows / ours["cpu_seconds"] / (count / done.cpu_seconds), 1),
            "largest_difference": float(np.abs(done.value - our_values[:count]).max()),
        }
    reference = result["others"]["pred_contrib"]
    return {key: reference[key] for key in ("ratio", "ratio_cpu", "largest_difference")} | result


def main() -> None:
    """Measure, then print lines or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument(
        "--leaves", type=int, default=LEAVES, help="Leaves per tree, of at most 256 at depth 8."
    )
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.rows, arguments.leaves)
    if arguments.json:
        print(json.dumps(found))
        return
    print(
        f"ours: {found['rows']:,} rows in {found['seconds']} s, {found['rows_per_second']:,}"
        f" rows/s, peak {found['peak_gb']} GiB"
    )
    for name, other in found["others"].items():
        print(
            f"{name}: {other['rows_per_second']:,} rows/s (from {other['reference_rows']:,} rows);"
            f" ours is {other['ratio']} times as fast ({other['ratio_cpu']} by processor seconds);"
            f" largest difference {other['largest_difference']:.1e}"
        )


if __name__ == "__main__":
    main()
