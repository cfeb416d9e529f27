"""Templates to text: everything escaped, one file, no outside hosts."""

import base64
import hashlib
from datetime import date
from functools import cache
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from models.health.scale import BANDS_IN_WORDS
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


NO_SCRIPT = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""Policy of a page that runs nothing and asks nobody."""


def render(template: str, **view: Any) -> str:
    """Text of a template; names ending in `.html.j2` are escaped for HTML, others are not."""
    return _environment().get_template(template).render(**view)


def script_and_policy(name: str) -> tuple[Markup, str]:
    """An inline script of ours, and the policy that lets the page run this text and nothing
    else.
    """
    text = _source(name)
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    policy = f"{NO_SCRIPT}; script-src 'sha256-{digest}'"
    return Markup(text), policy  # noqa: S704 - our own file, no input in it


def style() -> Markup:
    """The style sheet, for the head of a page."""
    return Markup(_source("style.css"))  # noqa: S704 - our own file, no input in it


def money(value: float | None, currency: str = "") -> str:
    """`USD 1,240,000`; an unknown amount is said to be unknown, never 0."""
    if value is None or pd.isna(value):
        return "unknown"
    return f"{currency} {value:,.0f}".strip()


def short_money(value: float | None, currency: str = "") -> str:
    """`USD 1.24M`, for places where the size matters and not the last digit."""
    if value is None or pd.isna(value):
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


def day(moment: date | None) -> str:
    """`3 Mar 2025`; empty where there is none."""
    if moment is None or pd.isna(moment):
        return ""
    at = pd.Timestamp(moment)
    return f"{at.day} {at:%b %Y}"


def percent(share: float | None, digits: int = 0) -> str:
    """`18%`; a share that is not known is `unknown`."""
    if share is None or pd.isna(share):
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
    if isinstance(value, Markup):
        return Markup(visible(value))  # noqa: S704 - as much markup as before
    return visible(value) if isinstance(value, str) else value


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pipeline.reports"),
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
        "band_word": lambda band: BANDS_IN_WORDS.get(band, band),
        "band_shape": lambda band: BAND_SHAPES.get(band, "?"),
    }
    return environment


def _source(name: str) -> str:
    environment = _environment()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]
