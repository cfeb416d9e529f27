"""What commands print: the story of a run, one account's score, JSON."""

import json
import math
import sys
import time
from collections.abc import Mapping
from typing import Any

from models.health.promises import FEWEST_ACCOUNTS
from pipeline.jobs.explain import Explained
from pipeline.jobs.explain_scale import INTERVAL, ScaleExplained


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
    headline = Text.assemble((f"{int(health)} ", "bold"), (explained.unsure_band or band.replace("_", " "), _BAND_COLOUR[band]))
    if isinstance(score["band_reason"], str):
        headline.append(f" ({score['band_reason']})")
    if explained.to_edges:
        headline.append(f"; {explained.to_edges}")
    lines.append(headline)
    if score["basis"] == "calibrated":
        lines.append(Text(f"{score['probability']:.1%}: {chance_in_words(score['probability'], horizon_days, event=verb)}; "
                          + interval_in_words(score["probability_low"], score["probability_high"], horizon_days, event=verb)))
    else:
        lines.append(Text("scorecard: ranks accounts, gives no probability"))
    if explained.scale_sentence:
        lines.append(Text(explained.scale_sentence, style="dim"))
    lines.append(Text("by dimension: " + ", ".join(
        f"{each.dimension} {each.points_displayed:+d}" for each in explained.dimensions.itertuples())))
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


def scale_lines(explained: ScaleExplained, verb: str) -> list[Any]:
    """Rich renderables of `score --explain-scale`: what ten points promise, and what the test saw."""
    from rich.table import Table
    from rich.text import Text

    from models.health import scale_sentence
    from pipeline.reports.scale import NO_TEST, base_words, horizon_words

    scale, within = explained.scale, horizon_words(explained.horizon_days)
    lines: list[Any] = [Text(f"{explained.target}: scores 0-100; {base_words(explained.base_displayed)}", style="bold")]
    if explained.basis != "calibrated":
        return [*lines, Text("scorecard: ranks accounts, gives no probability, so ten points promise nothing in numbers")]
    lines.append(Text(f"a chance of {scale.p_at_risk:.1%} to {verb} {within} stands at the edge "
                      f"{scale.at_risk_until}|{scale.at_risk_until + 1}, {scale.p_healthy:.1%} at "
                      f"{scale.stable_until}|{scale.stable_until + 1}; bands {', '.join(scale.bands).replace('_', ' ')}"))
    if not explained.ranges:
        return [*lines, Text(NO_TEST)]
    table = Table("score", "what it promises, and what the test saw", "accounts", box=None, pad_edge=False)
    for each in explained.ranges:
        table.add_row(f"{each.health_from}-{each.health_until}", scale_sentence(each, within, event=verb), f"{each.accounts:,}")
    note = f"ranges: {INTERVAL}; ranges with fewer than {FEWEST_ACCOUNTS} accounts in the test are joined"
    return [*lines, table, Text(note, style="dim")]
