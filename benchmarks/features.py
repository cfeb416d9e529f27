"""Seconds and memory of building features beside one GROUP BY account, day over the same event log.

    python -m benchmarks.features --events 20000000 [--accounts N] [--dates N] [--json]
    python -m benchmarks.features --events 20000000 --twice        twice as many dates, and windows
    python -m benchmarks.features --events 100000000 --growth-from 20000000

The log is generated once (`_events_log`): 20,000 accounts, two years, 5% of rows known days late.
Ours is the product's compiler over the file: counts, sums, active days and change of windows of 7,
28, 91, 182 and 364 days and days since the last event, on 13 dates, with the scan that finds where
the feed was silent; then the same with exact users of every window. The reference is one query that
counts and sums per account and day, into a table as ours does, with the same threads and memory.
Every run has a process of its own; runs take turns, and the median counts.

Beside them, at sizes they can do, `_features_pandas` and, in an environment made on demand,
Featuretools (`--no-others` leaves both out). `pandas_ratio` is the smaller of the two: pandas'
seconds over ours, all windows and users.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

from benchmarks._events_log import DAYS, FIRST_DAY, event_log
from features.build import plan_features
from features.definition import (
    Card,
    change,
    count,
    days_since,
    distinct,
    distinct_days,
    total,
)
from features.sources import CONTRACTS, ColumnType
from features.windows import day_of
from pipeline.config.schema import Source
from pipeline.engine.duckdb import Connection, connected
from pipeline.engine.facts import define_times, prepare, run_plan, source_facts
from pipeline.staging.staged import StagedColumn, StagedSource

WINDOWS = (7, 28, 91, 182, 364)
TWICE_WINDOWS = (7, 14, 28, 42, 56, 91, 119, 182, 273, 364)
SMALL = ((200_000, 1_000, 6), (1_000_000, 10_000, 6))
"""Events, accounts and dates at which pandas and Featuretools take part."""
GIB = 1024**2  # ru_maxrss is in KiB
FEATURETOOLS = "featuretools==1.31.0"
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Load:
    """What is to be built from which log."""

    events: int
    accounts: int
    dates: int = 13
    windows: tuple[int, ...] = WINDOWS
    users: bool = False

    @property
    def as_of_days(self) -> list[int]:
        """Dates spread over the log's last year; 13 of them are 28 days apart."""
        step = 364 // self.dates
        return [FIRST_DAY + DAYS - step * number for number in range(self.dates - 1, -1, -1)]


def cards(load: Load) -> tuple[Card, ...]:
    """The measures of the benchmark, as the catalogue would declare them."""

    def card(name: str, measure: Any, days: tuple[int, ...], when_empty: float | None) -> Card:
        return Card(
            name,
            dimension="usage",
            contract="usage_events",
            measure=measure,
            days=days,
            when_empty=when_empty,
            unit="number",
            phrase="{value}",
            meaning=name,
        )

    # A change reads twice its window, and the log is not much longer than the longest.
    found = [
        card("count", count(), load.windows, 0),
        card("sum", total("quantity"), load.windows, 0),
        card("days", distinct_days(), load.windows, 0),
        card("days_since", days_since(), (), None),
        card("change", change(), load.windows[:-1], None),
    ]
    return (
        (*found, card("users", distinct("user_id"), load.windows, 0))
        if load.users
        else tuple(found)
    )


def _staged() -> StagedSource:
    contract = CONTRACTS["usage_events"]
    types: dict[str, ColumnType] = {
        "account_id": "text",
        "event_time": "time",
        "user_id": "text",
        "event_name": "text",
        "quantity": "number",
    }
    columns = {n: StagedColumn(t, is_mapped=True) for n, t in types.items()}
    return StagedSource(
        name="log",
        contract=contract,
        settings=Source(),
        columns=columns,
        rows_read=0,
        rows_left_out={},
        rows_bad={},
        rows_staged=0,
        first_event=None,
        last_event=None,
        newest_known=None,
        has_known_at=True,
        data_until={"": date(2024, 1, 1)},
        notes=(),
        has_versions=False,
    )


def build(connection: Connection, file: Path, load: Load) -> None:
    """The table `features`, from the file, through the product's compiler."""
    staged = _staged()
    prepare(
        connection,
        staged,
        "(select *, known_at as known_from, cast(null as timestamp) as known_until, '' as"
        f" \"partition\" from read_parquet('{file}'))",
    )
    plan = plan_features(
        [source_facts(staged, {})], window_days=load.windows, cards=cards(load), own_dates=False
    )
    define_times(
        connection,
        plan,
        {"log": staged},
        pd.DataFrame({"as_of_day": load.as_of_days, "partition_name": ""}),
    )
    run_plan(connection, plan, "features")


def reference(connection: Connection, file: Path, load: Load) -> None:
    """One GROUP BY account, day."""
    connection.execute(
        "create temp table by_day as select account_id, cast(event_time as date) as day, count(*)"
        f" as n, sum(quantity) as quantity from read_parquet('{file}') group by 1, 2"
    )


RUNS: dict[str, Callable[[Connection, Path, Load], None]] = {"ours": build, "reference": reference}


def run_here(name: str, load: Load, memory: str, keep: str | None = None) -> dict[str, float]:
    """Seconds and peak GiB of one run in this process; the snapshots are given, as to pandas."""
    file = event_log(load.events, load.accounts)
    with connected(threads=2, memory_limit=memory) as connection:
        connection.execute(
            "create temp table snapshots as select a.account_id, d.as_of_day, '' as partition_name"
            f" from (select distinct account_id from read_parquet('{file}')) a, (select"
            f" unnest({load.as_of_days}) as as_of_day) d"
        )
        started, processor = time.monotonic(), time.process_time()
        RUNS[name](connection, file, load)
        found = {
            "seconds": time.monotonic() - started,
            "processor_seconds": time.process_time() - processor,
        }
        if keep:
            connection.execute(f"copy features to '{keep}' (format parquet)")
    return found | {"peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIB}


def run_apart(name: str, load: Load, memory: str) -> dict[str, float]:
    """`run_here` in a process of its own."""
    asked = [
        sys.executable,
        "-m",
        "benchmarks.features",
        "--run",
        name,
        "--events",
        str(load.events),
        "--accounts",
        str(load.accounts),
        "--dates",
        str(load.dates),
        "--windows",
        *map(str, load.windows),
        "--memory",
        memory,
    ]
    done = subprocess.run(
        [*asked, *(["--users"] if load.users else [])], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(
            f"{name} at {load.events} events ended with {done.returncode}: {done.stderr[-2000:]}"
        )
    result: dict[str, float] = json.loads(done.stdout)
    return result


def take_turns(
    loads: Sequence[tuple[str, str, Load]], repeats: int, memory: str
) -> dict[str, dict[str, float]]:
    """Medians of each (key, run, load); one run of each, then again, so that a busy machine hurts
    all alike.
    """
    runs: dict[str, list[dict[str, float]]] = {key: [] for key, _, _ in loads}
    for _ in range(repeats):
        for key, name, load in loads:
            runs[key].append(run_apart(name, load, memory))
    return {
        key: {
            "seconds": round(median(r["seconds"] for r in mine), 3),
            "processor_seconds": round(median(r["processor_seconds"] for r in mine), 3),
            "peak_gb": round(max(r["peak_gb"] for r in mine), 2),
        }
        for key, mine in runs.items()
    }


def _ratio(
    runs: dict[str, dict[str, float]], above: str, below: str, what: str = "seconds"
) -> float:
    return round(runs[above][what] / runs[below][what], 2)


def measure(
    load: Load, repeats: int, memory: str, *, twice: bool, growth_from: int | None
) -> dict[str, Any]:
    """Ours with and without users beside the reference; on demand twice the dates and windows, and
    a smaller log.
    """
    event_log(load.events, load.accounts)
    loads = [
        ("reference", "reference", load),
        ("ours", "ours", load),
        ("ours_users", "ours", replace(load, users=True)),
    ]
    if twice:
        loads += [
            ("twice_dates", "ours", replace(load, dates=2 * load.dates)),
            ("twice_windows", "ours", replace(load, windows=TWICE_WINDOWS)),
        ]
    if growth_from:
        small = replace(load, events=growth_from)
        event_log(growth_from, load.accounts)
        loads += [("small", "ours", small), ("small_users", "ours", replace(small, users=True))]
    runs = take_turns(loads, repeats, memory)
    found: dict[str, Any] = {
        "events": load.events,
        "accounts": load.accounts,
        "dates": load.dates,
        "windows": list(load.windows),
        "ratio": _ratio(runs, "ours", "reference"),
        "ratio_distinct_users": _ratio(runs, "ours_users", "reference"),
        "ratio_processor": _ratio(runs, "ours", "reference", "processor_seconds"),
        "ratio_distinct_users_processor": _ratio(
            runs, "ours_users", "reference", "processor_seconds"
        ),
        "peak_gb": max(runs["ours"]["peak_gb"], runs["ours_users"]["peak_gb"]),
        "runs": runs,
    }
    if twice:
        found |= {key: _ratio(runs, key, "ours") for key in ("twice_dates", "twice_windows")}
    if growth_from:
        larger = load.events / growth_from
        found |= {
            "growth": round(_ratio(runs, "ours", "small") / larger, 2),
            "growth_distinct_users": round(_ratio(runs, "ours_users", "small_users") / larger, 2),
        }
    return found


# --- pandas and Featuretools
# --------------------------------------------------------------------------


def others(repeats: int, memory: str) -> dict[str, Any]:
    """Seconds of pandas and Featuretools over ours, at each of the small sizes."""
    python, why = featuretools_python()
    sizes = [_beside(Load(*size, users=True), python, repeats, memory) for size in SMALL]
    found: dict[str, Any] = {"pandas_ratio": min(s["pandas_ratio"] for s in sizes), "small": sizes}
    return found | ({"featuretools": why} if why else {})


def _beside(load: Load, python: Path | None, repeats: int, memory: str) -> dict[str, Any]:
    file = event_log(load.events, load.accounts)
    ours, pandas = [], []
    for _ in range(repeats):
        ours.append(run_apart("ours", load, memory)["seconds"])
        pandas.append(_seconds(Path(sys.executable), "_features_pandas.py", file, load))
    featuretools = (
        None if python is None else _seconds(python, "_features_featuretools.py", file, load)
    )
    return {
        "events": load.events,
        "snapshots": load.accounts * load.dates,
        "ours_seconds": round(median(ours), 3),
        "pandas_seconds": round(median(pandas), 3),
        "pandas_ratio": round(median(pandas) / median(ours), 2),
        "featuretools_ratio": (
            None if featuretools is None else round(featuretools / median(ours), 1)
        ),
    }


def _seconds(python: Path, script: str, file: Path, load: Load) -> float:
    dates, windows = (
        ",".join(day_of(d).isoformat() for d in load.as_of_days),
        ",".join(map(str, load.windows)),
    )
    asked = [str(python), str(HERE / script), str(file), dates, windows]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{script} ended with {done.returncode}: {done.stderr[-2000:]}")
    return float(done.stdout.splitlines()[-1])


def featuretools_python() -> tuple[Path | None, str]:
    """The interpreter of an environment with Featuretools, made once; else why there is none."""
    folder = Path(tempfile.gettempdir()) / "tenure-benchmarks" / "featuretools"
    python = folder / "bin" / "python"
    ready = folder / "installed"
    if not ready.exists():
        venv.create(folder, with_pip=True, clear=True)
        # Featuretools asks pkg_resources for its version, which newer setuptools no longer bring.
        asked = [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            FEATURETOOLS,
            "pandas<3",
            "pyarrow",
            "setuptools<80",
        ]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        if done.returncode:
            said = done.stderr.strip().splitlines()
            return None, f"not installed: {said[-1] if said else 'pip failed'}"
        ready.touch()
    return python, ""


def main() -> None:
    """Measure, then print a table or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--dates", type=int, default=13)
    parser.add_argument("--windows", type=int, nargs="+", default=list(WINDOWS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--memory", default="3GB", help="DuckDB's limit, for ours and the reference"
    )
    parser.add_argument(
        "--twice", action="store_true", help="also twice as many dates, and windows"
    )
    parser.add_argument(
        "--growth-from", type=int, help="also a log of this size, and how seconds grew from it"
    )
    parser.add_argument("--no-others", action="store_true", help="without pandas and Featuretools")
    parser.add_argument("--run", choices=sorted(RUNS), help=argparse.SUPPRESS)
    parser.add_argument("--users", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--keep", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    load = Load(asked.events, asked.accounts, asked.dates, tuple(asked.windows), asked.users)
    if asked.run:
        print(json.dumps(run_here(asked.run, load, asked.memory, asked.keep)))
        return
    found = measure(
        load, asked.repeats, asked.memory, twice=asked.twice, growth_from=asked.growth_from
    )
    found |= {} if asked.no_others else others(asked.repeats, asked.memory)
    print(json.dumps(found) if asked.json else _table(found))


def _table(found: dict[str, Any]) -> str:
    lines = [
        f"{key:<15} {run['seconds']:>8.2f} s  {run['processor_seconds']:>8.2f} s of processor "
        f" {run['peak_gb']:>5.2f} GiB"
        for key, run in found["runs"].items()
    ]
    lines += [f"{key}: {value}" for key, value in found.items() if key not in ("runs", "small")]
    lines += [", ".join(f"{k} {v}" for k, v in size.items()) for size in found.get("small", [])]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
