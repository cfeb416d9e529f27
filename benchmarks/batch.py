"""What a night and a training cost at several sizes, apart from each other, and how they grow.

    python -m benchmarks.batch --accounts 5000 20000 [--memory-gb 4] [--json]

A company is simulated once; then every command runs in a process of its own, from tables to pages:
`features`, `train`, `evaluate` and `promote` (the training), and `tenure night` (tables, features,
score with reasons, publish, outlook, worklist, pages). Seconds are by the clock, so a busy machine
shows; memory is each process's largest. Rows a minute are all rows of the tables over the night's
seconds. Growth compares each size with the smallest, per account: 1.0 is linear.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline.simulate import WorldOptions, simulate, write_world

KIB_PER_GB = 10**9 / 1024
"""`ru_maxrss` is in KiB."""
TRAINING_COMMANDS = ("features", "train", "evaluate", "promote")
REFUSED_CODE = 3


@dataclass(frozen=True)
class Cost:
    """A command in a process of its own: by the clock, processor time, and the most memory held."""

    seconds: float
    cpu_seconds: float
    peak_gb: float
    code: int
    printed: str


_LAUNCHER = """
import json, os, subprocess, sys, time
started = time.monotonic()
process = subprocess.Popen(sys.argv[2:])
_, status, used = os.wait4(process.pid, 0)
code = process.returncode = os.waitstatus_to_exitcode(status)
measured = code, time.monotonic() - started, used.ru_utime + used.ru_stime, used.ru_maxrss
with open(sys.argv[1], "w") as file:
    json.dump(measured, file)
"""
"""A process begins with the peak of the one that started it, so a small one has to."""


def cost_of(arguments: Sequence[str]) -> Cost:
    """Run `tenure` with these arguments and measure it, as `cost_of_process` does."""
    return cost_of_process([sys.executable, "-m", "pipeline.cli", *arguments])


def cost_of_process(command: Sequence[str]) -> Cost:
    """Run a command in a process of its own and measure it.

    Raises
    ------
    SystemExit
        When it ends with a fault or wrong use; a gate may refuse.
    """
    with tempfile.TemporaryDirectory() as folder:
        out, errors, used = (Path(folder) / name for name in ("out", "errors", "used"))
        launch = [sys.executable, "-c", _LAUNCHER, str(used), *command]
        with out.open("wb") as told, errors.open("wb") as complaints:
            subprocess.run(launch, stdout=told, stderr=complaints, check=True)
        code, seconds, cpu_seconds, peak_kib = json.loads(used.read_text())
        printed, said = out.read_text(), errors.read_text()
    if code not in (0, REFUSED_CODE):
        raise SystemExit(f"{' '.join(command)} ended with {code}: {said[-2000:]}")
    return Cost(seconds, cpu_seconds, peak_kib / KIB_PER_GB, code, printed)


def write_company(
    project: Path, accounts: int, seed: int = 1, memory_gb: float | None = None
) -> int:
    """Simulate a company into a project's folder, without its truth; returns rows of its tables."""
    options = WorldOptions(truth_dates=(), truth_replicates=1)
    write_world(simulate(accounts, seed, options=options), project)
    if memory_gb is not None:
        file = project / "tenure.toml"
        file.write_text(f"{file.read_text()}\n[engine]\nmemory_gb = {memory_gb:g}\n")
    return sum(
        pq.ParquetFile(table).metadata.num_rows for table in (project / "data").glob("*.parquet")
    )


def measure(
    accounts: int, seed: int = 1, memory_gb: float | None = None, folder: Path | None = None
) -> dict[str, Any]:
    """Costs of a training and a night of one size.

    Parameters
    ----------
    folder
        Where the company stays; default: a folder that goes.
    """
    with tempfile.TemporaryDirectory() as aside:
        project = (folder or Path(aside)) / f"company_{accounts}"
        rows = write_company(project, accounts, seed, memory_gb)
        place = ["--project", str(project)]
        training = {name: cost_of([name, *place]) for name in TRAINING_COMMANDS}
        if training["promote"].code:
            cost_of(["promote", "--scorecard", *place])
        night = cost_of(["night", "--json", *place])
    steps = {name: _told(cost) for name, cost in training.items()}
    steps |= {
        f"night: {row['step']}": {
            "seconds": round(row["seconds"], 1),
            "peak_gb": round(row["peak"] * 2**20 / 10**9, 2),
        }
        for row in json.loads(night.printed)["steps"]
    }
    return {
        "accounts": accounts,
        "rows": rows,
        "memory_gb": memory_gb,
        "night_seconds": round(night.seconds, 1),
        "night_cpu_seconds": round(night.cpu_seconds, 1),
        "night_rows_per_minute": round(60 * rows / night.seconds),
        "night_peak_gb": round(night.peak_gb, 2),
        "train_seconds": round(sum(cost.seconds for cost in training.values()), 1),
        "train_cpu_seconds": round(sum(cost.cpu_seconds for cost in training.values()), 1),
        "train_peak_gb": round(max(cost.peak_gb for cost in training.values()), 2),
        "was_refused": bool(training["promote"].code),
        "steps": steps,
    }


def _told(cost: Cost) -> dict[str, float]:
    return {
        "seconds": round(cost.seconds, 1),
        "cpu_seconds": round(cost.cpu_seconds, 1),
        "peak_gb": round(cost.peak_gb, 2),
    }


def growth(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each result with its costs per account relative to the smallest size."""
    first = results[0]
    return [
        {
            **one,
            "growth": {
                name: round((one[name] / first[name]) / (one["accounts"] / first["accounts"]), 3)
                for name in ("night_seconds", "night_peak_gb", "train_seconds", "train_peak_gb")
            },
        }
        for one in results
    ]


def main() -> None:
    """Measure, then print a table or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accounts", type=int, nargs="+", default=[500, 5000])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--memory-gb", type=float, help="[engine] memory_gb of the projects")
    parser.add_argument("--keep", type=Path, help="folder in which the companies stay")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = growth(
        [
            measure(accounts, options.seed, options.memory_gb, options.keep)
            for accounts in sorted(options.accounts)
        ]
    )
    if options.json:
        print(json.dumps({"sizes": results}, indent=1))
        return
    for one in results:
        print(
            f"{one['accounts']:>9,} accounts, {one['rows']:,} rows: night"
            f" {one['night_seconds']:.0f} s, {one['night_rows_per_minute']:,} rows a minute,"
            f" {one['night_peak_gb']:.2f} GB; training {one['train_seconds']:.0f} s,"
            f" {one['train_peak_gb']:.2f} GB; seconds of the night per account"
            f" {one['growth']['night_seconds']:.2f} times the smallest's"
        )
        for name, cost in one["steps"].items():
            print(f"{'':>9} {name:<20} {cost['seconds']:>8.1f} s {cost['peak_gb']:>6.2f} GB")


if __name__ == "__main__":
    main()
