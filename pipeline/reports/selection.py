"""What each measure is worth, as the terminal shows it."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from models.selection import DIMENSION, MEASURE

MOST_LINES = 40


def selection_text(values: pd.DataFrame) -> str:
    """Measures worth keeping, then how many of each source showed no value."""
    measures, dimensions = (values[values["level"] == level] for level in (MEASURE, DIMENSION))
    kept = measures[measures["is_found"]]
    lines = [f"{'dimension':<44} {'worth':>7}  {'95% interval':<18} {'months':>8} {'filled':>7}"]
    lines += [
        _line(row) + ("" if row["is_found"] else "  not beyond luck")
        for row in dimensions.to_dict("records")
    ]
    lines += [
        "",
        (
            f"{len(kept)} of {len(measures)} single measures carry value beside all others (at"
            " most one in ten of these by luck)."
        ),
    ]
    lines += [f"{_line(row)}  {row['source']}" for row in kept.head(MOST_LINES).to_dict("records")]
    if len(kept) > MOST_LINES:
        lines.append(f"... and {len(kept) - MOST_LINES} more (--json shows all)")
    none = measures[~measures["is_found"]]
    if len(none):
        lines += [
            "",
            (
                "No value of their own seen (several that say the same hide each other; [features]"
                " off leaves some out):"
            ),
        ]
        lines += [
            f"  {source}: {len(rows)} measures, {int(rows['columns'].sum())} columns"
            for source, rows in none.groupby("source", sort=True)
        ]
    lines += [
        "",
        (
            "Worth: log loss per 1,000 scores that is lost when the measure is shuffled among"
            " accounts of the same date,"
        ),
        "on months before the test.",
    ]
    return "\n".join(lines)


def _line(row: Mapping[Any, Any]) -> str:
    interval = f"{1000 * row['value_low']:.1f} to {1000 * row['value_high']:.1f}"
    return (
        f"{row['name'].replace('_', ' ')[:44]:<44} {1000 * row['value']:>7.1f}  {interval:<18} "
        f"{row['periods_up']:>3} of {row['periods']} {row['filled']:>6.0%}"
    )
