"""Writing TOML: values escaped as the format wants, tables in the order of the file."""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {
    "\\": "\\\\",
    '"': '\\"',
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\b": "\\b",
    "\f": "\\f",
}

TomlTable = dict[str, Any]
"""A table of a TOML file: keys and values as tomllib reads them."""


def toml_string(text: str) -> str:
    r"""The text as a TOML basic string.

    >>> print(toml_string('a "quoted" \\ path'))
    "a \"quoted\" \\ path"
    """

    def escaped(letter: str) -> str:
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        return f"\\u{ord(letter):04X}" if ord(letter) < 0x20 or ord(letter) == 0x7F else letter

    return '"' + "".join(map(escaped, text)) + '"'


def toml_key(name: str) -> str:
    """A key, bare where TOML allows it.

    >>> toml_key("starts_at"), toml_key("Two year")
    ('starts_at', '"Two year"')
    """
    return name if _BARE.fullmatch(name) else toml_string(name)


def toml_value(value: Any) -> str:
    """A value on one line.

    >>> toml_value({"column": "x", "scale": 0.01, "list": [1, True]})
    '{ column = "x", scale = 0.01, list = [1, true] }'
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{toml_key(k)} = {toml_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return toml_string(str(value))


def table_lines(header: str, values: Mapping[str, Any]) -> Iterator[str]:
    """`[header]` and a line per key; nothing where there are no values."""
    if values:
        yield header
        yield from (f"{toml_key(k)} = {toml_value(v)}" for k, v in values.items())


def comment_lines(text: str) -> list[str]:
    """Comment lines; control characters of names found in data do not break out of them."""
    return ["# " + re.sub(r"[\x00-\x1f\x7f]", " ", line) for line in text.splitlines() or [""]]
