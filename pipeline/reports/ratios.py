"""What the search for new ratios found, as the terminal shows it, with the lines that declare
them.
"""

from collections.abc import Mapping
from typing import Any

from models.patterns import FALSE_DISCOVERIES
from models.ratios import RatioSearch

MOST_SHOWN = 10


def search_text(searched: RatioSearch) -> str:
    """The ratios found with their gain, or plainly that there is none; how many were tried in
    either case.
    """
    tried, ratios = len(searched.ratios), searched.beyond_chance
    if not tried:
        return (
            "No ratio to try: it takes two amounts (counts, totals, money, days) over the same"
            " window, or both without one, that vary among accounts."
        )
    basis = (
        f"Judged on {searched.rows:,} scores of {searched.accounts:,} accounts,"
        f" {searched.first_as_of:%Y-%m-%d} to {searched.last_as_of:%Y-%m-%d}, by what earlier dates"
        " of other accounts taught; the test is not read."
    )
    if ratios.empty:
        return f"None of {tried} ratios adds anything beyond chance.\n{basis}"
    shown = ratios.head(MOST_SHOWN).to_dict("records")
    lines = [
        (
            f"{len(ratios)} of {tried} ratios {'adds' if len(ratios) == 1 else 'add'} something"
            f" beyond chance (false discovery rate {FALSE_DISCOVERIES:.0%} over all {tried})."
        ),
        "",
        f"{'ratio':<60} {'gain':>6}  {'95% interval':<14} {'months':>8}  event when",
    ]
    lines += [_line(row) for row in shown]
    if len(ratios) > MOST_SHOWN:
        lines.append(f"... and {len(ratios) - MOST_SHOWN} more (--json shows all)")
    return "\n".join(
        [
            *lines,
            "",
            "Gain: log loss per 1,000 scores less than that of a model which knows both amounts.",
            basis,
            "",
            (
                "To use one, add its lines to tenure.toml, then `tenure features` and `tenure"
                " train`. Several may say the same: add the"
            ),
            (
                'first and search again. Set worse = "up" or "down" where a direction makes sense'
                " to you."
            ),
            "",
            "\n\n".join(declaration(row) for row in shown),
        ]
    )


def declaration(row: Mapping[Any, Any]) -> str:
    """The lines of `tenure.toml` that make a signal of a ratio."""
    return "\n".join(
        [
            "[[features.ratios]]",
            *(f'{key} = "{row[key]}"' for key in ("name", "numerator", "divisor")),
        ]
    )


def _line(row: Mapping[Any, Any]) -> str:
    interval = f"{1000 * row['gain_low']:.1f} to {1000 * row['gain_high']:.1f}"
    return (
        f"{row['name']:<60} {1000 * row['gain']:>6.1f}  {interval:<14} {row['periods_up']:>3} of"
        f" {row['periods']}  {'higher' if row['is_more'] else 'lower'}"
    )
