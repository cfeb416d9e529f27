"""What a template shows as plain values, which a file keeps as JSON, and back.

A page drawn from what was kept is the page drawn at once: both are drawn from plain values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date
from typing import Any

from markupsafe import Markup

from pipeline.edge.page_text import is_missing

_MARKUP = "markup"
_PLAIN = frozenset((str, int, bool))


def plain(value: Any) -> Any:
    """Dates as ISO text, numbers and records as JSON has them, every missing value None.

    >>> plain({"as_of": date(2025, 6, 1), "health": float("nan"), "moves": ((3, "logins"),)})
    {'as_of': '2025-06-01', 'health': None, 'moves': [[3, 'logins']]}
    """
    if value is None or type(value) in _PLAIN:  # most are
        return value
    if isinstance(value, Markup):
        return {_MARKUP: str(value)}
    if isinstance(value, str | bool | int):
        return value
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, Sequence):
        return [plain(each) for each in value]
    if is_missing(value):
        return None
    if isinstance(value, date):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value


def restored(value: Any) -> Any:
    """Plain values as a template reads them: pictures are markup again."""
    if isinstance(value, dict):
        if value.keys() == {_MARKUP}:
            return Markup(value[_MARKUP])  # noqa: S704 - markup when it was kept
        return {name: restored(each) for name, each in value.items()}
    if isinstance(value, list):
        return [restored(each) for each in value]
    return value
