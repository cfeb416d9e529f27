"""What each step of each night did: the table `night_steps`, by which a night goes on where the one
before it was stopped, and by which operators see how the last one went.
"""

import resource
import sys
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa

from pipeline.jobs.run import Say
from pipeline.ledger import current_run, run_rows
from pipeline.storage import Store
from pipeline.workspace import Workspace

NIGHT_STEPS = "night_steps"
SCHEMA = pa.schema(
    [
        ("started_at", pa.timestamp("us")),
        ("target", pa.string()),
        ("as_of", pa.timestamp("us")),
        ("inputs", pa.string()),
        ("run_id", pa.string()),
        ("step", pa.string()),
        ("state", pa.string()),
        ("reason", pa.string()),
        ("rows", pa.int64()),
        ("seconds", pa.float64()),
        ("peak", pa.int64()),
        ("recorded_at", pa.timestamp("us")),
    ]
)
RUNNING, DONE, SKIPPED, REFUSED, FAILED = "running", "done", "skipped", "refused", "failed"
OVER = (DONE, SKIPPED)
"""States that the same inputs need not reach again."""
EVERY_TARGET = ""
"""The target of steps that work for all of them."""
_MEBIBYTE = 1024**2
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def peak_mebibytes() -> int:
    """The most memory that this process has held so far."""
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT / _MEBIBYTE)


@dataclass
class StepRecord:
    """The steps of one target in one night, written down and said as they begin and end.

    Attributes
    ----------
    inputs
        Hash of everything the steps rest on: a night of the same inputs leaves out what is done.
    """

    workspace: Workspace
    say: Say
    target: str
    as_of: date | None = None
    inputs: str | None = None
    run_id: str | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    """How the steps of this night ended."""
    _running: tuple[str, datetime] | None = None

    @property
    def running(self) -> str | None:
        """The step that is at work."""
        return None if self._running is None else self._running[0]

    def begin(self, step: str) -> None:
        """A step begins; one that was at work is done."""
        if self._running is not None:
            self.end()
        self._running = step, self.workspace.moment()
        self.say(step, self._named("now"))
        self._write(self._row(step, RUNNING))

    def end(self, state: str = DONE, *, rows: int | None = None, reason: str | None = None) -> None:
        """The step that is at work ends."""
        assert self._running is not None
        step, began = self._running
        seconds = (self.workspace.moment() - began).total_seconds()
        row = self._row(step, state) | {
            "reason": reason,
            "rows": rows,
            "seconds": seconds,
            "peak": peak_mebibytes(),
        }
        self._running = None
        self._write(row)
        self.rows.append(row)
        counted = "" if rows is None else f", {rows:,} {'row' if rows == 1 else 'rows'}"
        why = "" if reason is None else f": {reason}"
        self.say(step, f"{self._named(state)}{counted}, {seconds:.1f} s, {row['peak']:,} MB{why}")

    def leave_out(self, step: str) -> None:
        """Say of a step that an earlier night of the same inputs has it behind it."""
        if self._running is not None:  # begun before it was known
            self.end()
        self.say(step, self._named("done before, by the same tables, settings and model"))

    def over(self) -> dict[str, str | None]:
        """Steps that an earlier night of the same inputs has behind it, with the run it made."""
        store = self.workspace.store
        if self.inputs is None or not store.exists(NIGHT_STEPS):
            return {}
        mine = store.read(
            NIGHT_STEPS, filters=[("target", "=", self.target), ("inputs", "=", self.inputs)]
        )
        last = mine.sort_values("recorded_at", kind="stable").drop_duplicates("step", keep="last")
        steps = last[last["state"].isin(OVER)]
        return {
            str(step): None if pd.isna(run_id) else str(run_id)
            for step, run_id in zip(steps["step"], steps["run_id"], strict=True)
        }

    def _named(self, text: str) -> str:
        return f"{self.target}: {text}" if self.target else text

    def _row(self, step: str, state: str) -> dict[str, Any]:
        return {
            "started_at": self.workspace.now,
            "target": self.target,
            "as_of": None
            if self.as_of is None
            else datetime.combine(self.as_of, datetime.min.time()),
            "inputs": self.inputs,
            "run_id": self.run_id,
            "step": step,
            "state": state,
            "recorded_at": self.workspace.moment(),
        }

    def _write(self, row: dict[str, Any]) -> None:
        self.workspace.store.write(
            NIGHT_STEPS, pa.Table.from_pylist([row], schema=SCHEMA), append=True
        )


def night_rows(store: Store) -> pd.DataFrame:
    """The last word on every step of every night, oldest first."""
    if not store.exists(NIGHT_STEPS):
        empty: pd.DataFrame = SCHEMA.empty_table().to_pandas()
        return empty
    rows = store.read(NIGHT_STEPS).sort_values("recorded_at", kind="stable")
    last = rows.drop_duplicates(["started_at", "target", "step"], keep="last")
    return last.reset_index(drop=True)


# --- how things stand


@dataclass(frozen=True)
class TargetStatus:
    """How a target stands.

    `state` is `fresh`, `running`, `late`, `refused`, `failed` or `stopped` (killed in a step).
    """

    target: str
    state: str
    since: datetime | None
    as_of: datetime | None
    run_id: str | None
    words: str
    next_step: str

    @property
    def is_fresh(self) -> bool:
        """Whether readers see what they should."""
        return self.state in ("fresh", "running")


def statuses(workspace: Workspace) -> tuple[TargetStatus, ...]:
    """How every target stands that was ever scored, by what was published and by the last night;
    where none was, every target.
    """
    nights, runs = night_rows(workspace.store), run_rows(workspace.store)
    names = [target.name for target in workspace.project.targets]
    begun = {*nights["target"], *runs["target"]}
    wanted = [name for name in names if name in begun] or names
    return tuple(_status(workspace, nights, name) for name in wanted)


def _status(workspace: Workspace, nights: pd.DataFrame, target: str) -> TargetStatus:
    run = current_run(workspace.store, target)
    as_of = None if run is None else run.as_of
    run_id = None if run is None else run.run_id
    published = None if run is None else run.published_at
    mine = nights[nights["target"].isin([target, EVERY_TARGET])]
    last = mine[mine["started_at"] == mine["started_at"].max()]

    def status(state: str, since: datetime | None, words: str, next_step: str) -> TargetStatus:
        return TargetStatus(target, state, since, as_of, run_id, words, next_step)

    troubled = last[last["state"].isin([RUNNING, REFUSED, FAILED])]
    if not troubled.empty:
        row = troubled.iloc[-1]
        since = row["recorded_at"]
        if row["state"] == RUNNING and workspace.store.is_being_written():
            return status("running", since, f"step {row['step']} is at work", "wait for its end")
        if published is None or published <= since:  # else somebody scored since
            return status(_state_of(row), since, *_words_of(row))
    whole = last["recorded_at"].max() if not last.empty else None
    newest = max((each for each in (published, whole) if each is not None), default=None)
    if newest is None or as_of is None:
        first = f"tenure run --target {target}"
        return status("late", None, "nothing was published yet", first)
    hours = (workspace.now - newest) / timedelta(hours=1)
    allowed = workspace.project.night.late_after_hours
    if hours > allowed:
        return status(
            "late",
            newest,
            f"the last night ended {hours:,.1f} hours ago; {allowed:g} are allowed",
            "look why the schedule did not start it, then tenure night",
        )
    return status("fresh", newest, f"scores of {as_of:%Y-%m-%d} are published", "none")


def _state_of(row: "pd.Series[Any]") -> str:
    return "stopped" if row["state"] == RUNNING else str(row["state"])


def _words_of(row: "pd.Series[Any]") -> tuple[str, str]:
    """What happened and the next step, after a night that did not end well."""
    step = row["step"]
    if row["state"] == RUNNING:
        return f"the night was killed in step {step}", f"tenure night; it goes on at {step}"
    mend = "mend what the reason names, then tenure night"
    accept = "; or accept it with tenure score" if row["state"] == REFUSED else ""
    return f"step {step}: {row['reason']}", f"{mend}{accept}"


@dataclass(frozen=True)
class ListedRun:
    """A published run, or a night that published nothing."""

    at: datetime
    """When it was published, taken back, or refused."""
    target: str
    as_of: datetime | None
    run_id: str | None
    state: str
    reason: str | None
    version: str | None
    published_at: datetime | None


def listed_runs(workspace: Workspace) -> list[ListedRun]:
    """Every run with its last state, and every night that was refused or failed; newest first."""
    store = workspace.store
    runs = [
        ListedRun(
            at=row["published_at"],
            target=row["target"],
            as_of=row["as_of"],
            run_id=row["run_id"],
            state=row["state"],
            reason=_text(row["note"]),
            version=_text(row["model_version"]),
            published_at=row["published_at"],
        )
        for row in run_rows(store).to_dict("records")
    ]
    nights = night_rows(store)
    troubled = nights[nights["state"].isin([REFUSED, FAILED])]
    runs += [
        ListedRun(
            at=row["recorded_at"],
            target=row["target"] or "every target",
            as_of=None if pd.isna(row["as_of"]) else row["as_of"],
            run_id=_text(row["run_id"]),
            state=f"{row['state']} at {row['step']}",
            reason=_text(row["reason"]),
            version=None,
            published_at=None,
        )
        for row in troubled.to_dict("records")
    ]
    return sorted(runs, key=lambda run: run.at, reverse=True)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
