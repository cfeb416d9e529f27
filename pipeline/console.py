"""What commands print: the story of a run, one account's score, JSON."""

import json
import math
import sys
import time
from collections.abc import Mapping
from typing import Any

from pipeline.jobs.explain import Explained


class Story:
    """Prints a run's lines as `seconds  step  text`; on standard error when standard output is for JSON."""

    def __init__(self, *, quiet: bool) -> None:
        self._started = time.monotonic()
        self._stream = sys.stderr if quiet else sys.stdout

    def __call__(self, step: str, text: str) -> None:
        """Print one line."""
        print(f"{time.monotonic() - self._started:6.1f}s  {step:<9} {text}", file=self._stream, flush=True)


def print_json(value: Mapping[str, Any] | list[Any]) -> None:
    """Print one JSON value: dates as text, what has no value (NaN, NaT) as null."""
    print(json.dumps(_plain(value), indent=1, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "item"):
        value = value.item()
    if value is None or value != value:  # NaN and NaT are the values that differ from themselves
        return None
    if isinstance(value, float) and math.isinf(value):
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value if isinstance(value, str | int | float) else str(value)


_BAND_COLOUR = {"at_risk": "red", "stable": "yellow", "healthy": "green", "low": "yellow", "medium": "yellow",
                "high": "green", "leaving": "magenta", "unknown": "white"}


def explained_text(explained: Explained, horizon_days: int | None, verb: str) -> list[Any]:
    """Rich renderables of one account: headline, chance, and the points as a waterfall."""
    from rich.table import Table
    from rich.text import Text

    from models.drivers import chance_in_words, interval_in_words

    score, account = explained.score, explained.account
    band = str(score["band"])
    lines: list[Any] = [Text(f"{account['name']}  ({score['account_id']})  as of {score['as_of']:%Y-%m-%d}", style="bold")]
    health = score["health"]
    if health is None or (isinstance(health, float) and math.isnan(health)):
        lines.append(Text(f"no score: {band}, {score['band_reason']}", style=_BAND_COLOUR[band]))
        return lines
    headline = Text.assemble((f"{int(health)} ", "bold"), (band.replace("_", " "), _BAND_COLOUR[band]))
    if isinstance(score["band_reason"], str):
        headline.append(f" ({score['band_reason']})")
    lines.append(headline)
    if score["basis"] == "calibrated":
        lines.append(Text(f"{score['probability']:.1%}: {chance_in_words(score['probability'], horizon_days, event=verb)}; "
                          + interval_in_words(score["probability_low"], score["probability_high"], horizon_days, event=verb)))
    else:
        lines.append(Text("scorecard: ranks accounts, gives no probability"))
    table = Table("points", "", "reason", "dimension", box=None, pad_edge=False)
    running = int(score["base_displayed"])
    table.add_row(str(running), "", "a typical account of yours starts here", "", style="dim")
    for row in explained.drivers.to_dict("records"):
        points = int(row["points_displayed"])
        if points:
            bar = Text(("−" if points < 0 else "+") * min(abs(points), 30), style="red" if points < 0 else "green")
            table.add_row(f"{points:+d}", bar, str(row["words"]), str(row["dimension"]))
    table.add_row(str(int(health)), "", "the score: the sum of the lines above", "", style="bold")
    lines.append(table)
    return lines
