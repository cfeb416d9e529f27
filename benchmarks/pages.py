"""What the dashboard's page file and its pages cost at a size: time to build, and to be read.

    python -m benchmarks.pages --accounts 100000 [--weeks 52] [--readers 20] [--json]

The published tables are made up, not learned: a year of weekly scores that wander around a level of
each account's own, 24 drivers of each that add up to it, and small tables of use, tickets, contacts
and notes, written by the writers that `tenure score` uses. The page file is built from them in a
process of its own; `tenure dashboard` then serves it in another. `cpu_ms` is the processor time of
the server for a page of the dearest kind, `median_ms` and `worst_ms` are what one reader waits,
`p95_ms` what one of all readers does who ask without a pause, `peak_gb` is the most memory that the
server held.
"""

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.batch import Cost, cost_of_process
from models.drivers import REST, account_reasons
from models.health import band_table, propose_scale
from models.target_words import TARGET_WORDS
from pipeline.actions.worklist import largest_reasons
from pipeline.chain import TABLES
from pipeline.dashboard.schema import current_file, pages_folder
from pipeline.engine.duckdb import connected
from pipeline.jobs.driver_rows import DRIVERS, read_drivers
from pipeline.jobs.page_file import write_page_file
from pipeline.jobs.score import SCORES, published_table
from pipeline.jobs.stage import stage_sources
from pipeline.ledger import RunRow, append_run, open_ledger, published_hashes, published_run
from pipeline.reports.portfolio import PortfolioInputs, portfolio_page
from pipeline.workspace import Workspace, open_workspace

Floats = NDArray[np.float64]
AS_OF, NOW = date(2025, 6, 1), datetime(2025, 6, 2, 6)
ACCOUNTS_PER_OWNER, DRIVERS_EACH = 150, 24
USED_WEEKS = 26
REQUESTS_OF_A_KIND = 60
START_SECONDS = 60
_PROJECT = """name = "pages"
currency = "USD"
time_zone = "UTC"

[sources.accounts]
location = "data/accounts.parquet"
data_until = {until}

[sources.subscriptions]
location = "data/subscriptions.parquet"
convention = "fixed_term"
data_until = {until}

[sources.usage_events]
location = "data/usage_events.parquet"
data_until = {until}

[sources.support_tickets]
location = "data/support_tickets.parquet"
data_until = {until}

[sources.contacts]
location = "data/contacts.parquet"
data_until = {until}

[sources.csm_notes]
location = "data/csm_notes.parquet"
data_until = {until}

[[targets]]
name = "churn_90d"
kind = "churn"
horizon_days = 90
population = {{ kind = "customers" }}
dates = {{ every_days = 28, first = 2024-06-02, last = 2025-06-01 }}

[objective]
purpose = "Call the accounts most likely to leave, before they decide"
capacity = 30
"""
_WORDS = ("Harbour", "Northwind", "Cedar", "Quarry", "Lantern", "Meadow", "Copper", "Summit")
_TRADES = ("Logistics", "Dental Group", "Foods", "Analytics", "Insurance", "Schools", "Studio")
_SEGMENTS = ("Enterprise", "Mid-market", "Small business")
_TOLD = (
    ("usage", "active_days", "low_use", "active on {} of the last 28 days"),
    ("usage", "active_users", "losing_users", "{} people used it in the last four weeks"),
    ("usage", "sessions", "low_use", "{} visits in the last three months"),
    ("adoption", "seats_used", "poor_fit", "{}% of paid seats in use"),
    ("adoption", "key_features", "poor_fit", "{} key features in use"),
    ("support", "open_tickets", "bug_trouble", "{} open tickets"),
    ("support", "first_reply", "slow_support", "first reply after {} hours"),
    ("support", "severe_tickets", "bug_trouble", "{} severe tickets in the last three months"),
    ("relationship", "meetings", "low_engagement", "{} meetings in the last three months"),
    ("relationship", "sponsor", "sponsor_lost", "no sponsor for {} days"),
    ("financial", "payment_delay", "payment", "pays {} days after the due date"),
    ("financial", "price_change", "price", "the price rose by {}%"),
    ("outcomes", "nps", "unhappy", "rated us {} of 10"),
    ("adoption", "steps_done", "slow_start", "{} onboarding steps done"),
)


def write_company(folder: Path, accounts: int, seed: int) -> Workspace:
    """Tables of a company, staged."""
    (folder / "data").mkdir(parents=True)
    (folder / "tenure.toml").write_text(_PROJECT.format(until=AS_OF), encoding="utf-8")
    for name, rows in _sources(accounts, np.random.default_rng(seed)):
        rows.to_parquet(folder / "data" / f"{name}.parquet", index=False)
    workspace = open_workspace(folder, None, NOW)
    with workspace.store.writing(), connected() as connection:
        stage_sources(workspace, connection)
    return workspace


def _ids(accounts: int) -> "pd.Series[str]":
    return pd.Series([f"A-{number:06}" for number in range(accounts)], dtype="str")


def _sources(accounts: int, draw: np.random.Generator) -> Iterator[tuple[str, pd.DataFrame]]:
    ids = _ids(accounts)
    since = pd.Timestamp("2024-01-01") + pd.to_timedelta(draw.integers(0, 150, accounts), "D")
    yield (
        "accounts",
        _people(accounts, draw).assign(created_at=since)[
            ["account_id", "created_at", "name", "owner", "segment", "value_per_year", "currency"]
        ],
    )
    yield (
        "subscriptions",
        pd.DataFrame(
            {
                "account_id": ids,
                "subscription_id": ids,
                "starts_at": since,
                "ends_at": pd.Timestamp(AS_OF)
                + pd.to_timedelta(draw.integers(5, 720, accounts), "D"),
                "amount_per_month": draw.lognormal(6, 1, accounts).round(2),
                "currency": "USD",
            }
        ),
    )

    def scattered(mean: float, days: int) -> tuple["pd.Series[str]", pd.DatetimeIndex]:
        mine = ids.repeat(draw.poisson(mean, accounts)).reset_index(drop=True)
        back = draw.uniform(0, days, len(mine))
        return mine, pd.DatetimeIndex(pd.Timestamp(AS_OF) - pd.to_timedelta(back, "D")).floor("s")

    mine, at = scattered(USED_WEEKS, USED_WEEKS * 7)
    people = pd.Series(draw.integers(0, 9, len(mine))).astype("str")
    yield (
        "usage_events",
        pd.DataFrame(
            {"account_id": mine, "event_time": at, "user_id": people, "event_name": "report_made"}
        ),
    )
    mine, at = scattered(2.0, 300)
    closed = at + pd.to_timedelta(draw.uniform(1, 20, len(mine)), "D")
    yield (
        "support_tickets",
        pd.DataFrame(
            {
                "account_id": mine,
                "ticket_id": [f"T{n}" for n in range(len(mine))],
                "opened_at": at,
                "closed_at": pd.Series(closed).where(closed < pd.Timestamp(AS_OF)),
            }
        ),
    )
    yield (
        "contacts",
        pd.DataFrame(
            {
                "account_id": ids,
                "person": "Person " + ids,
                "role": "champion",
                "valid_from": since,
                "valid_to": pd.NaT,
            }
        ),
    )
    mine, at = scattered(0.5, 120)
    yield (
        "csm_notes",
        pd.DataFrame(
            {
                "account_id": mine,
                "author": "CSM",
                "noted_at": at,
                "pulse": draw.integers(1, 6, len(mine)),
                "text": "Spoke about the next year.",
            }
        ),
    )


def _people(accounts: int, draw: np.random.Generator) -> pd.DataFrame:
    number = np.arange(accounts)
    names = [f"{_WORDS[n % 8]} {_TRADES[n // 8 % 7]} {n // 56 + 1}" for n in number]
    owners = max(1, accounts // ACCOUNTS_PER_OWNER)
    ends = pd.Timestamp(AS_OF) + pd.to_timedelta(draw.integers(5, 720, accounts), "D")
    return pd.DataFrame(
        {
            "account_id": _ids(accounts),
            "name": names,
            "owner": [f"CSM {n % owners:04}" for n in number],
            "segment": draw.choice(_SEGMENTS, accounts),
            "value_per_year": draw.lognormal(8.5, 1, accounts).round(2),
            "currency": "USD",
            "renewal_date": ends,
        }
    )


def write_runs(workspace: Workspace, accounts: int, weeks: int, seed: int) -> None:
    """A run a week, the last one of `AS_OF`; drivers of the weeks before are those of the last one
    but for their date, since nothing on a page tells them.
    """
    draw = np.random.default_rng([seed, 1])
    target, store = workspace.target(None), workspace.store
    people, level = _people(accounts, draw), draw.beta(5, 2.2, accounts) * 100
    off = np.zeros(accounts)
    drivers: pa.Table | None = None
    open_ledger(store)
    for back in range(weeks - 1, -1, -1):
        day = AS_OF - timedelta(weeks=back)
        off = 0.8 * off + draw.normal(0, 4, accounts)
        health = np.clip(level + off, 0, 100).round().astype(int)
        common: dict[str, Any] = {
            "as_of": pd.Timestamp(day),
            "target": target.name,
            "horizon_days": target.horizon_days,
            "run_id": f"{seed:04x}{day:%Y%m%d}0000",
        }
        part = {"replace": f"run_id = '{common['run_id']}'", "partition_by": ["target", "as_of"]}
        if back < 2:
            drivers = _drivers(health, common, draw)
        elif drivers is None:
            drivers = _drivers(health, common, np.random.default_rng(seed))
        store.write("drivers", _dated(drivers, common), **part)
        scores = _scores(health, people, common)
        store.write("scores", published_table(scores, SCORES), **part)
        if back < 2:
            store.write(
                "portfolio",
                people.assign(as_of=common["as_of"], run_id=common["run_id"]),
                replace=part["replace"],
                partition_by=["run_id"],
            )
        counts = {str(band): int(n) for band, n in scores["band"].value_counts().items()}
        append_run(
            store,
            RunRow.of(
                {
                    **common,
                    "state": "published",
                    "basis": "calibrated",
                    "model_version": "m1",
                    "calibrator_version": "c1",
                    "scale_version": "s1",
                    "config_hash": "made up",
                    "input_fingerprints": "{}",
                    "counts": json.dumps(counts),
                    "note": None,
                    "started_at": datetime.combine(day, NOW.time()),
                    "published_at": datetime.combine(day, NOW.time()),
                    TABLES: None if back else published_hashes(store, common["run_id"]),
                }
            ),
        )


def _scores(health: NDArray[Any], people: pd.DataFrame, common: Mapping[str, Any]) -> pd.DataFrame:
    chance = 0.3 * np.exp(-health / 22.0)
    band = np.select([health <= 40, health <= 70], ["at_risk", "stable"], "healthy").astype(object)
    gone = np.arange(len(health)) % 97 == 5
    return pd.DataFrame(
        {
            "account_id": people["account_id"],
            **common,
            "basis": "calibrated",
            "probability": chance,
            "probability_low": chance * 0.7,
            "probability_high": chance * 1.3,
            "health": health,
            "health_exact": health.astype(float),
            "health_low": np.clip(health - 6.0, 0, 100),
            "health_high": np.clip(health + 6.0, 0, 100),
            "band": np.where(gone, "leaving", band),
            "band_reason": np.where(gone, "notice", None),
            "base_points": 65.0,
            "base_displayed": 65,
            "model_version": "m1",
            "calibrator_version": "c1",
            "scale_version": "s1",
            "scored_at": NOW,
        }
    )


def _drivers(
    health: NDArray[Any], common: Mapping[str, Any], draw: np.random.Generator
) -> pa.Table:
    """`DRIVERS_EACH` drivers of each account, the last one what is left to the score."""
    n = len(health)
    points = np.round(draw.normal(0, 3, (n, DRIVERS_EACH)) + (health[:, None] - 65) / 26)
    points[:, -1] = health - 65 - points[:, :-1].sum(axis=1)
    told = [_TOLD[each % len(_TOLD)] for each in range(DRIVERS_EACH - 1)]
    number = draw.integers(0, 60, (n, DRIVERS_EACH))
    sentences = [
        np.array([words.format(value) for value in range(60)], dtype=object) for *_, words in told
    ]
    said = np.column_stack(
        [*(each[number[:, at]] for at, each in enumerate(sentences)), np.full(n, "the rest")]
    )
    names = [f"{name}_{at}" for at, (_, name, _, _) in enumerate(told)]
    frame = pd.DataFrame(
        {
            "account_id": _ids(n).repeat(DRIVERS_EACH).reset_index(drop=True),
            "dimension": [*(each[0] for each in told), "usage"] * n,
            "driver": [*names, REST] * n,
            "signal": [*names, None] * n,
            "reason": [*(each[2] for each in told), None] * n,
            "nature": [*("leading" for _ in told), None] * n,
            "points": points.ravel(),
            "points_displayed": points.ravel().astype(int),
            "value": number.ravel().astype(float),
            "said": said.ravel(),
            "compared": [*("customers who stay: 12" for _ in told), None] * n,
        }
    )
    return published_table(frame.assign(**common), DRIVERS)


def _dated(drivers: pa.Table, common: Mapping[str, Any]) -> pa.Table:
    """The same drivers as of another run."""
    for name in ("as_of", "run_id"):
        at = drivers.schema.get_field_index(name)
        kind = drivers.schema.field(name).type
        same = pa.repeat(pa.scalar(common[name], kind), drivers.num_rows)
        drivers = drivers.set_column(at, drivers.schema.field(name), same)
    return drivers


def build(folder: Path) -> None:
    """Write the page file, as the last step of a publication does."""
    workspace = open_workspace(folder, None, NOW)
    target = workspace.target(None)
    run = published_run(workspace.store, target.name)
    mine = [("run_id", "=", run.run_id)]
    scores = workspace.store.read("scores", filters=mine)
    drivers = read_drivers(workspace.store, mine)
    chance = scores["probability"].to_numpy()
    draw = np.random.default_rng(0)
    scale = propose_scale(chance, 0.05).scale
    inputs = PortfolioInputs(
        scores=scores,
        drivers=largest_reasons(drivers, good_event=False).drop(columns="place"),
        why=account_reasons(drivers),
        portfolio=workspace.store.read("portfolio", filters=mine),
        run=run,
        backtest=pd.DataFrame(
            columns=["account_id", "as_of", "label", "probability", "health", "band", "left_at"]
        ),
        test=None,
        band_table=band_table(scale, chance, draw.random(len(chance)) < chance),
        source_freshness=pd.DataFrame(columns=["source", "newest_known", "rows", "share", "note"]),
        previous_counts=None,
        objective=replace(workspace.project.objective, capacity=30),
        now=NOW,
        project=workspace.project.name,
        target_words=f"Will it {TARGET_WORDS[target.kind].verb} within 90 days?",
    )
    pages_folder(folder, target.name).mkdir(parents=True, exist_ok=True)
    write_page_file(workspace, target, inputs, portfolio_page(inputs), "<main></main>")


@dataclass(frozen=True)
class Served:
    """The server as a process of its own."""

    process: subprocess.Popen[bytes]
    port: int
    start_seconds: float

    @property
    def cpu_seconds(self) -> float:
        """Processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def peak_gb(self) -> float:
        """The most memory that it held."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 10**9


def serve(folder: Path) -> Served:
    """Start the dashboard; returns once it answers.

    Raises
    ------
    SystemExit
        It does not within `START_SECONDS`.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["-m", "pipeline.cli", "dashboard", "--project", str(folder), "--port", str(port)]
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
    while time.monotonic() - started < START_SECONDS and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), 0.05):
                return Served(process, port, time.monotonic() - started)
        except OSError:
            time.sleep(0.01)
    process.kill()
    raise SystemExit(f"the dashboard did not answer within {START_SECONDS} s.")


class Browser:
    """One reader with one connection."""

    def __init__(self, port: int) -> None:
        self._line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def read(self, address: str) -> tuple[float, int]:
        """Seconds until a page was there, and its bytes.

        Raises
        ------
        SystemExit
            It was no page.
        """
        started = time.monotonic()
        self._line.request("GET", address)
        answer = self._line.getresponse()
        page = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{address} answered {answer.status}.")
        return time.monotonic() - started, len(page)


def addresses(accounts: int, seed: int) -> dict[str, Iterator[str]]:
    """What readers open, by kind, without end."""
    draw = np.random.default_rng([seed, 2])
    some = [f"A-{n:06}" for n in draw.integers(0, accounts, 500)]
    pages = max(1, accounts // 50)
    lists = [
        "/accounts",
        "/accounts?sort=value&down=1",
        "/accounts?band=at_risk&sort=stake&down=1",
        "/accounts?segment=Enterprise",
        "/accounts?owner=CSM%200000",
        "/accounts?only=calls",
        *(f"/accounts?page={n + 1}" for n in draw.integers(0, pages, 6)),
    ]
    words = ["Quarry", "Dental Group 1", "Foods", some[0], some[1][-4:], "Harbour Studio", "north"]
    return {
        "account": cycle(f"/account?id={each}" for each in some),
        "list": cycle(lists),
        "search": cycle(f"/accounts?find={quote(each)}" for each in words),
        "first page": cycle(["/"]),
    }


def read_alone(served: Served, accounts: int, seed: int) -> dict[str, dict[str, float]]:
    """What each kind of page costs one reader, in milliseconds, and the server."""
    browser, found = Browser(served.port), {}
    for kind, mine in addresses(accounts, seed).items():
        before = served.cpu_seconds
        reads = [browser.read(each) for each in islice(mine, REQUESTS_OF_A_KIND)]
        cpu = (served.cpu_seconds - before) / REQUESTS_OF_A_KIND
        waits = 1000 * np.array([seconds for seconds, _ in reads])
        found[kind] = {
            "median_ms": round(float(np.median(waits)), 2),
            "worst_ms": round(float(waits.max()), 2),
            "cpu_ms": round(1000 * cpu, 2),
            "largest_kb": round(max(size for _, size in reads) / 1000, 1),
        }
    return found


def read_together(served: Served, accounts: int, readers: int) -> float:
    """Milliseconds that 95 of 100 pages take at most while all read without a pause."""
    waits: list[float] = []

    def read(seed: int) -> None:
        browser, kinds = Browser(served.port), addresses(accounts, seed)
        for kind in islice(cycle(("account", "list", "account", "search")), REQUESTS_OF_A_KIND):
            waits.append(browser.read(next(kinds[kind]))[0])

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return round(1000 * float(np.quantile(waits, 0.95)), 1)


def measure(accounts: int, weeks: int, readers: int, seed: int, folder: Path) -> dict[str, Any]:
    """Make the tables unless they are there, build the page file, and read its pages."""
    project = folder / f"pages_{accounts}_{weeks}"
    if not (project / "tenure.toml").exists():
        write_runs(write_company(project, accounts, seed), accounts, weeks, seed)
    built: Cost = cost_of_process(
        [sys.executable, "-m", "benchmarks.pages", "--build", str(project)]
    )
    file = current_file(pages_folder(project, "churn_90d"))
    assert file is not None
    served = serve(project)
    try:
        kinds = read_alone(served, accounts, seed)
        together = read_together(served, accounts, readers)
        peak_gb = served.peak_gb
    finally:
        served.process.terminate()
        served.process.wait()
    return {
        "accounts": accounts,
        "weeks": weeks,
        "median_ms": max(kind["median_ms"] for kind in kinds.values()),
        "worst_ms": max(kind["worst_ms"] for kind in kinds.values()),
        "cpu_ms": max(kind["cpu_ms"] for kind in kinds.values()),
        "peak_gb": round(peak_gb, 3),
        "readers": readers,
        "p95_ms": together,
        "start_seconds": round(served.start_seconds, 2),
        "build_seconds": round(built.seconds, 1),
        "build_cpu_seconds": round(built.cpu_seconds, 1),
        "build_peak_gb": round(built.peak_gb, 2),
        "file_mb": round(file.stat().st_size / 10**6, 1),
        "pages": kinds,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, then print figures or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--weeks", type=int, default=52)
    parser.add_argument("--readers", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder in which the tables stay")
    parser.add_argument("--build", type=Path, help="only write the page file of such a folder")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if options.build is not None:
        build(options.build)
        return
    with tempfile.TemporaryDirectory() as aside:
        found = measure(
            options.accounts,
            options.weeks,
            options.readers,
            options.seed,
            options.keep or Path(aside),
        )
    if options.json:
        print(json.dumps(found, indent=1))
        return
    for name, value in found.items():
        if name != "pages":
            print(f"{name:<20} {value:,}")
    for kind, costs in found["pages"].items():
        print(f"{kind:<20} " + ", ".join(f"{name} {value}" for name, value in costs.items()))


if __name__ == "__main__":
    main()
