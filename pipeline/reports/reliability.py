"""How often a probability came true, as a small picture."""

import numpy as np
import pandas as pd

from models.metrics import reliability_table

SMALLEST_BIN = 30
MOST_BINS = 8
_WIDTH, _HEIGHT = 460, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 24, 24, 64
_LABEL_WIDTH = 40
_DRAWN = ["rows", "events", "probability", "rate", "rate_low", "rate_high"]


def reliability_rows(backtest: pd.DataFrame) -> pd.DataFrame:
    """The reliability table of a test in as many groups as a small picture has room for."""
    if backtest.empty:
        return reliability_table(np.zeros(0), np.zeros(0))
    return reliability_table(
        backtest["label"].to_numpy(),
        backtest["probability"].to_numpy(),
        bins=MOST_BINS,
        fewest=SMALLEST_BIN,
    )


def reliability_svg(table: pd.DataFrame, *, event: str = "left") -> str:
    """A self-contained SVG of `reliability_rows`: dots near the diagonal mean that rate and
    probability agree.

    It holds numbers and fixed words only, so it may be put into a page unescaped.
    """
    if table.empty:
        return ""
    top = _nice_top(float(max(table["probability"].max(), table["rate_high"].max())))

    def x(share: float) -> float:
        return _LEFT + share / top * (_WIDTH - _LEFT - _RIGHT)

    def y(share: float) -> float:
        return _HEIGHT - _BOTTOM - share / top * (_HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<svg class="reliability" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="Share that {event} against the chance we gave, in {len(table)} groups">'
    ]
    for tick in np.linspace(0, top, 5):
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"'
            f' class="grid"/><text x="{_LEFT - 8}" y="{y(tick) + 4:.1f}"'
            f' text-anchor="end">{_percent(tick)}</text><text x="{x(tick):.1f}"'
            f' y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{_percent(tick)}</text>'
        )
    parts.append(
        f'<line x1="{x(0):.1f}" y1="{y(0):.1f}" x2="{x(top):.1f}" y2="{y(top):.1f}" class="ideal"/>'
    )
    last_label = 0.0
    for rows, events, said, seen, low, high in table[_DRAWN].to_numpy(dtype=np.float64).tolist():
        title = f"{events:.0f} of {rows:.0f} {event}; we gave {_percent(said)}"
        parts.append(
            f'<line x1="{x(said):.1f}" x2="{x(said):.1f}" y1="{y(low):.1f}" y2="{y(high):.1f}"'
            f' class="whisker"/><circle cx="{x(said):.1f}" cy="{y(seen):.1f}" r="5"'
            f' class="dot"><title>{title}</title></circle>'
        )
        # Groups of low chances crowd together; a count is written where the one before leaves room
        # for it.
        if x(said) - last_label >= _LABEL_WIDTH:
            parts.append(
                f'<text x="{x(said):.1f}" y="{y(high) - 6:.1f}"'
                f' text-anchor="middle">{events:.0f}/{rows:.0f}</text>'
            )
            last_label = x(said)
    parts.append(
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 24}" text-anchor="middle"'
        ' class="axis">chance we gave</text><text transform="translate(13'
        f' {(_TOP + _HEIGHT - _BOTTOM) / 2}) rotate(-90)" text-anchor="middle" class="axis">share'
        f" that {event}</text></svg>"
    )
    return "".join(parts)


def _nice_top(largest: float) -> float:
    return next(
        (top for top in (0.02, 0.04, 0.08, 0.12, 0.2, 0.4, 0.6, 0.8) if largest <= top), 1.0
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}".removesuffix(".0") + "%"
