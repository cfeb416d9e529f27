"""Text of pages: words, numbers and dates as people read them, and the templates' environment.

The pages of a run and the pages of the dashboard share it; it loads no table library.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from jinja2 import BaseLoader, Environment, StrictUndefined
from markupsafe import Markup, escape

from pipeline.edge.text import visible

# Shape and word carry the band too: one man in twelve cannot tell the colours apart.
BAND_SHAPES = {
    "at_risk": "▼",
    "stable": "■",
    "healthy": "●",
    "leaving": "✕",
    "unknown": "?",
    "low": "▽",
    "medium": "■",
    "high": "▲",
}
# Angle brackets become entities: not every renderer honours a backslash before them.
_MARKDOWN_SPECIAL = str.maketrans(
    {c: f"\\{c}" for c in "\\`*_{}[]()#+!|~"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
)


def is_missing(value: Any) -> bool:
    """Whether there is no value: None, NaN, and what tables have in their place."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except TypeError:  # whether pandas' NA equals itself is not known either
        return True


def money(value: Any, currency: str = "") -> str:
    """`USD 1,240,000`; an unknown amount is said to be unknown, never 0."""
    if is_missing(value):
        return "unknown"
    return f"{currency} {value:,.0f}".strip()


def short_money(value: Any, currency: str = "") -> str:
    """`USD 1.24M`, for places where the size matters and not the last digit."""
    if is_missing(value):
        return "unknown"
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * size:
            scaled = value / size
            # Three digits, counted after rounding: 9,996 is 10.0k and not 10.00k.
            text = (
                f"{scaled:,.0f}"
                if abs(scaled) >= 99.95
                else f"{scaled:.1f}"
                if abs(scaled) >= 9.995
                else f"{scaled:.2f}"
            )
            return f"{currency} {text}{letter}".strip()
    return money(value, currency)


def day(moment: Any) -> str:
    """`3 Mar 2025`; empty where there is none."""
    if is_missing(moment):
        return ""
    at = moment if isinstance(moment, date) else date.fromisoformat(str(moment)[:10])
    return f"{at.day} {at:%b %Y}"


def percent(share: Any, digits: int = 0) -> str:
    """`18%`; a share that is not known is `unknown`."""
    if is_missing(share):
        return "unknown"
    return f"{100 * share:.{digits}f}%"


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 account`, `2,310 accounts`, `2 people`."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def text_of(value: object) -> str:
    """The text in a cell of a table; empty where there is none."""
    return value if isinstance(value, str) else ""


def markdown(text: object) -> str:
    """Text in which nothing is markup, on one line."""
    return " ".join(str(text).split()).translate(_MARKDOWN_SPECIAL)


def commands(text: str) -> Markup:
    """Escaped text in which each `command` stands as code."""
    parts = str(escape(visible(text))).split("`")
    if len(parts) % 2 == 0:  # a lone backtick is no command
        return Markup("`".join(parts))  # noqa: S704 - escaped above
    marked = "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))
    return Markup(marked)  # noqa: S704 - escaped above


def _readable(value: object) -> object:
    """What a page prints of a value: nothing that turns the text around or hides in it."""
    if type(value) is str:
        return value if value.isascii() and value.isprintable() else visible(value)
    if isinstance(value, Markup):
        return Markup(visible(value))  # noqa: S704 - as much markup as before
    return visible(value) if isinstance(value, str) else value


class _PageTemplates(Environment):
    """Templates whose `row.name` reads a mapping's value without trying an attribute first, which
    costs more than all else in a long list.
    """

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Value of a mapping, else as Jinja has it."""
        if type(obj) is dict and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


def page_environment(loader: BaseLoader, band_words: Mapping[str, str]) -> Environment:
    """The environment of our templates: names ending in `.html.j2` are escaped for HTML, others
    are not.
    """
    environment = _PageTemplates(
        loader=loader,
        autoescape=lambda name: bool(name) and str(name).endswith(".html.j2"),
        undefined=StrictUndefined,
        finalize=_readable,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "money": money,
        "short_money": short_money,
        "day": day,
        "percent": percent,
        "markdown": markdown,
        "commands": commands,
        "markup": Markup,
        "band_word": lambda band: band_words.get(band, band),
        "band_shape": lambda band: BAND_SHAPES.get(band, "?"),
    }
    return environment
