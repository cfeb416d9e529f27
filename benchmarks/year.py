"""A year of nights: `python -m benchmarks.year [--accounts N] [--nights N] [--json]`.

A simulated company exports its tables as they are known on each night; `tenure score` reads and
publishes them, and every third month `tenure run` trains as well. Each command is a process of its
own whose clock is set to that night (by `faketime`), so that all that goes by age does. Fewer
nights than 365 are spread evenly over the year; what is kept for days is then kept for fewer
nights.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.sources import CONTRACTS
from pipeline.simulate import WorldOptions, simulate, write_world

LAST, DAYS = date(2025, 6, 1), 365
RETRAIN_DAYS = 91
NIGHT = clock_time(6)
CLOCKS_APART = 1.0
"""Seconds by which the disk's clock may be behind."""
FOLDERS = ("store", "mlruns", "reports")
SETTINGS = """
[store]
replay_days = {replay_days}
keep_runs_days = {keep_runs_days}
"""


@dataclass(frozen=True)
class Night:
    """What one night took and left."""

    day: str
    command: str
    seconds: float
    files: dict[str, int]
    megabytes: dict[str, float]


def nights_of(count: int) -> list[date]:
    """So many dates of one year, the last one included."""
    return [LAST - timedelta(days=round(back)) for back in np.linspace(DAYS - 1, 0, count)]


def export(tables: Path, project: Path, night: date) -> None:
    """Write the tables as an export of that night has them: no row from later."""
    before = pa.scalar(night.isoformat()).cast(pa.timestamp("us"))
    for file in sorted(tables.glob("*.parquet")):
        rows = pq.read_table(file)
        event = CONTRACTS[file.stem].event_time
        for column in {event, "known_at"} & set(rows.column_names):
            rows = rows.filter(pc.less(rows[column], before))
        pq.write_table(rows, project / "data" / file.name)
    settings = project / "tenure.toml"
    settings.write_text(
        re.sub(r"data_until = [\d-]+", f"data_until = {night}", settings.read_text())
    )


def project_of(
    folder: Path, accounts: int, seed: int, *, replay_days: int, keep_runs_days: int
) -> Path:
    """A project whose tables lie aside; training is short, since nights are what is measured."""
    options = WorldOptions(truth_dates=(), truth_replicates=1, yearly_churn=0.35)
    write_world(simulate(accounts, seed, options=options), folder / "project")
    shutil.move(folder / "project" / "data", folder / "tables")
    (folder / "project" / "data").mkdir()
    settings = folder / "project" / "tenure.toml"
    text = re.sub(r"trials = \d+", "trials = 0\nbags = 1\nmax_trees = 30", settings.read_text())
    text = re.sub(r", last = [\d-]+", "", text)
    # A day of a small company may well have half of its usual rows.
    text = text.replace("session_gap_minutes", "check_volume = false\nsession_gap_minutes")
    settings.write_text(
        text + SETTINGS.format(replay_days=replay_days, keep_runs_days=keep_runs_days)
    )
    return folder / "project"


def work(project: Path, night: date, *, trains: bool) -> Night:
    """One night."""
    command = "run" if trains else "score"
    began, started = time.time(), time.perf_counter()
    clock = ["faketime", "-f", f"@{night} {NIGHT:%H:%M:%S}"]
    done = subprocess.run(
        [*clock, sys.executable, "-m", "pipeline.cli", command, "--project", str(project)]
        + ([] if trains else ["--accept-shift", "benchmark"]),
        capture_output=True,
        text=True,
        env={**os.environ, "TZ": "UTC"},
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{night}: tenure {command} failed: {done.stderr[-2000:]}")
    files = {part: [f for f in (project / part).rglob("*") if f.is_file()] for part in FOLDERS}
    _date(files["store"], night, began)
    return Night(
        night.isoformat(),
        command,
        round(seconds, 1),
        {part: len(each) for part, each in files.items()},
        {part: round(sum(f.stat().st_size for f in each) / 1e6, 2) for part, each in files.items()},
    )


def _date(files: Sequence[Path], night: date, began: float) -> None:
    """Give files that a night wrote its own date: the disk stamps them with the true one, by which
    no log of a table would ever be old.
    """
    at = datetime.combine(night, NIGHT, UTC).timestamp()
    for file in files:
        if file.stat().st_mtime >= began - CLOCKS_APART:
            os.utime(file, (at, at))


def summary(nights: Sequence[Night]) -> str:
    """The first night, and means of the nights after each quarter of the year, that scored only."""
    scored = [night for night in nights if night.command == "score"]
    parts = [each for each in np.array_split(np.arange(len(scored)), 4) if len(each)]
    lines = [
        f"{'quarter':<8} {'nights':>6} {'seconds':>8}  files (store, mlruns, reports)  megabytes"
    ]
    for number, places in enumerate(parts, start=1):
        chosen = [scored[place] for place in places]
        last = chosen[-1]
        lines.append(
            f"{number:<8} {len(chosen):>6} {np.mean([n.seconds for n in chosen]):>8.1f}  "
            f"{', '.join(str(last.files[p]) for p in FOLDERS):<30} "
            f" {', '.join(f'{last.megabytes[p]:.1f}' for p in FOLDERS)}"
        )
    return "\n".join(lines)


def main() -> None:
    """Work through the nights and print each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument("--nights", type=int, default=53, help="365: every night")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--replay-days", type=int, default=90)
    parser.add_argument("--keep-runs-days", type=int, default=90)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if shutil.which("faketime") is None:
        raise SystemExit(
            "the clock of a night is set by faketime (Debian: apt-get install faketime)"
        )
    with tempfile.TemporaryDirectory() as folder:
        project = project_of(
            Path(folder),
            options.accounts,
            options.seed,
            replay_days=options.replay_days,
            keep_runs_days=options.keep_runs_days,
        )
        nights: list[Night] = []
        trained: date | None = None
        for night in nights_of(options.nights):
            export(Path(folder) / "tables", project, night)
            trains = trained is None or night - trained >= timedelta(days=RETRAIN_DAYS)
            trained = night if trains else trained
            nights.append(work(project, night, trains=trains))
            print(json.dumps(asdict(nights[-1])), file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps([asdict(night) for night in nights]))
    else:
        print(summary(nights))


if __name__ == "__main__":
    main()
