"""Who is told how a night went: a dead man's switch on the network, Prometheus by a file.

Silence is the alarm: a night that never began cannot say so, a switch that was not asked can. A
night that cannot tell anybody goes on all the same, and says so in its log.
"""

import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.errors import ConfigError
from pipeline.edge.faults import said
from pipeline.edge.locations import redacted
from pipeline.jobs.run import Say
from pipeline.ledger import current_run
from pipeline.workspace import Workspace

PING_SECONDS = 10
"""How long a switch may take to answer."""
STARTED, COMPLETED, TROUBLED = "/start", "", "/fail"
_FROM_ENVIRONMENT = "env:"


def ping(workspace: Workspace, say: Say, signal: str, words: str = "") -> None:
    """Tell the dead man's switch, where the project has one; what goes wrong is said and no more.

    Parameters
    ----------
    signal
        `STARTED`, `COMPLETED` or `TROUBLED`.
    words
        Sent along; names no account.
    """
    configured = workspace.project.notify.ping_url
    if configured is None:
        return
    address = configured
    try:
        address = _address(configured)
        request = urllib.request.Request(  # noqa: S310 - _address lets http and https through
            address.rstrip("/") + signal, data=words.encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=PING_SECONDS):  # noqa: S310
            pass
    except (OSError, ValueError, urllib.error.URLError) as error:
        # The path of such an address is its secret.
        why = redacted(said(error), (address, configured))
        say("ping", f"the switch of [notify] ping_url was not told: {why}. The night goes on.")


def _address(configured: str) -> str:
    """The address itself.

    Raises
    ------
    ConfigError
        The environment does not hold it, or it is none of the web.
    """
    address = configured
    if configured.startswith(_FROM_ENVIRONMENT):
        name = configured.removeprefix(_FROM_ENVIRONMENT)
        address = os.environ.get(name, "")
        if not address:
            raise ConfigError(
                f"[notify] ping_url names {configured}, which is not set. Set {name}."
            )
    if not address.startswith(("https://", "http://")):
        raise ConfigError(
            "[notify] ping_url must begin with https:// or http://, or be env:NAME of such an"
            " address."
        )
    return address


def write_metrics(
    workspace: Workspace, say: Say, steps: Sequence[Mapping[str, Any]], exit_code: int
) -> Path | None:
    """Write the file for Prometheus, where the project names one; returns its path."""
    configured = workspace.project.notify.metrics_file
    if configured is None:
        return None
    path = workspace.folder / configured
    aside = path.with_name(f".{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text("".join(_metrics(workspace, steps, exit_code)), encoding="utf-8")
        aside.replace(path)
    # Scores are published by then; a full disk of the monitoring must not undo the night.
    except OSError as error:
        say("metrics", f"{path} could not be written: {said(error)}. The night goes on.")
        return None
    return path


def _metrics(
    workspace: Workspace, steps: Sequence[Mapping[str, Any]], exit_code: int
) -> Iterator[str]:
    """Lines of the text format, a family after the other."""
    yield from _family(
        "tenure_night_exit_code", "0 done, 1 fault, 2 wrong use, 3 refused.", [({}, exit_code)]
    )
    yield from _family(
        "tenure_night_end_timestamp_seconds",
        "When the last night ended.",
        [({}, _epoch(workspace.moment()))],
    )
    timed = [({"target": s["target"], "step": s["step"]}, s) for s in steps]
    yield from _family(
        "tenure_night_step_seconds",
        "How long a step of the last night took.",
        [(labels, step["seconds"]) for labels, step in timed],
    )
    yield from _family(
        "tenure_night_step_peak_mebibytes",
        "The most memory held until the step's end.",
        [(labels, step["peak"]) for labels, step in timed],
    )
    runs = [
        run
        for target in workspace.project.targets
        if (run := current_run(workspace.store, target.name)) is not None
    ]
    yield from _family(
        "tenure_run_as_of_timestamp_seconds",
        "The date of the scores that readers see.",
        [({"target": run.target}, _epoch(run.as_of)) for run in runs],
    )
    yield from _family(
        "tenure_run_published_timestamp_seconds",
        "When they were published.",
        [({"target": run.target}, _epoch(run.published_at)) for run in runs],
    )
    yield from _family(
        "tenure_accounts",
        "Accounts in each band.",
        [
            ({"target": run.target, "band": band}, count)
            for run in runs
            for band, count in run.standings.items()
        ],
    )


def _family(
    name: str, what: str, samples: Sequence[tuple[Mapping[str, str], float]]
) -> Iterator[str]:
    if not samples:
        return
    yield f"# HELP {name} {what}\n# TYPE {name} gauge\n"
    for labels, value in samples:
        inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{name}{{{inside}}} {_number(value)}\n" if inside else f"{name} {_number(value)}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _epoch(moment: datetime) -> float:
    return moment.replace(tzinfo=UTC).timestamp()


def _number(value: float) -> str:
    """A number with all its digits: moments have ten of them before the point."""
    return repr(round(float(value), 6)).removesuffix(".0")
