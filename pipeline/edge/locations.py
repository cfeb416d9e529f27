"""Addresses as they may be printed and stored: where, and never with what password.

It fails closed: of an address that is not understood nothing but the scheme is shown.
"""

import re
from urllib.parse import unquote

HIDDEN = "***"
_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*)://", re.ASCII)
_HOST = re.compile(r"([A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?", re.ASCII)
_PATH = re.compile(r"[A-Za-z0-9_.~/ -]*", re.ASCII)
# `user:password@host` with its scheme forgotten, and libpq's `host=... password=...`.
_CREDENTIALS = re.compile(r"[^\s/@]+:.*@", re.DOTALL)
_SETTING = re.compile(
    r"""(?P<name>\b(?:pass|sig|sslkey)|[\w.-]*(?:password|passwd|passphrase|pwd|secret|token
        |credential|(?:api|access|account|shared|private)[_-]?key)[\w.-]*)
        (?P<sign>\s*=\s*)(?P<value>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\S+)?""",
    re.IGNORECASE | re.VERBOSE,
)
# Addresses of the local machine hold no secret: a path may hold an @ of its own.
_LOCAL = ("file", "sqlite", "duckdb")


# Settings of an address that say how and hold no secret.
_PLAIN_SETTINGS = ("host", "port", "dbname", "sslmode", "connect_timeout", "application_name")


def shown_location(location: str) -> str:
    """A location without user, password and query; paths and `env:NAME` stay as they are.

    >>> shown_location("postgresql://ann:s3cret@db.example.com/crm?password=x")
    'postgresql://db.example.com/crm'
    >>> shown_location("mysql://ann:p@ss/w@rd@db/crm"), shown_location("exports/*.csv")
    ('mysql://db/crm', 'exports/*.csv')
    >>> shown_location("postgresql://ann:s3cret/crm")  # the host is forgotten
    'postgresql://***'
    """
    match = _SCHEME.match(location)
    if match is None:
        if _CREDENTIALS.match(location) or _SETTING.search(location):
            return HIDDEN
        # A scheme behind something else, or misspelt: not a path that anyone has.
        return location if "://" not in location else HIDDEN
    scheme, rest = match[1].lower(), location[match.end() :]
    if scheme in _LOCAL and rest.startswith("/") and not re.search(r"[?#;@]", rest):
        return location
    return f"{scheme}://{_place_of(rest)}"


def _place_of(rest: str) -> str:
    """Host, port and path of what stands behind `scheme://`."""
    place, mark, _ = _cut(rest)
    if mark and "@" in rest[len(place) :]:
        # A password with ? or # in it, or a query with an @: nobody can tell which.
        return HIDDEN
    has_user = "@" in place
    place = place.rpartition("@")[2]
    host, slash, path = place.partition("/")
    match = _HOST.fullmatch(host)
    if match is None or not _PATH.fullmatch(path):
        return HIDDEN
    # Without a user, digits behind a colon may be a password whose host was forgotten.
    return f"{host if has_user else match[1]}{slash}{path}"


def _cut(rest: str) -> tuple[str, str, str]:
    mark = re.search(r"[?#;]", rest)
    if mark is None:
        return rest, "", ""
    return rest[: mark.start()], mark[0], rest[mark.end() :]


def has_secret(location: str) -> bool:
    """Whether a location may hold a password; a user and a socket's folder alone are none.

    >>> has_secret("postgresql://ann@db/crm"), has_secret("postgresql://ann:x@db/crm")
    (False, True)
    """
    match = _SCHEME.match(location)
    if match is None:
        return shown_location(location) == HIDDEN
    rest = re.sub(r"^[A-Za-z0-9_.-]+@", "", location[match.end() :])
    place, mark, settings = _cut(rest)
    names = [each.partition("=")[0] for each in settings.split("&")] if mark == "?" else []
    is_plain = not mark or bool(names) and set(names) <= set(_PLAIN_SETTINGS)
    without_port = re.sub(r":[0-9]{1,5}(?=/|$)", "", place)
    return not is_plain or "@" in rest or _place_of(place) != without_port


def said_of_address(address: str, message: str) -> str:
    """The first line of what a server or its driver said of an address, without a piece of it.

    Drivers quote what they could not parse, which may be half a password: where an address is not
    written as it should be, their words are withheld.
    """
    line = next((each.strip() for each in message.splitlines() if each.strip()), "no reason given")
    match = _SCHEME.match(address)
    if match is None:
        return "the words of the driver are withheld, since they may quote the address"
    user, _, rest = address[match.end() :].rpartition("@")
    place, query, settings = _cut(rest)
    if (
        re.search(r"[@/?#;\s]", user)
        or user.count(":") > 1
        or shown_location(address).endswith(HIDDEN)
    ):
        return (
            "the words of the driver are withheld, since they may quote the password; write special"
            " characters of it percent-encoded"
        )
    secrets = [address, *re.split(r":", user), *re.split(r"[&=]", settings)]
    known = [unquote(each) for each in secrets]
    return redacted(line.rstrip("."), tuple(each for each in (*secrets, *known) if each))


def redacted(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Words of a library in which addresses and passwords may stand, without them.

    Parameters
    ----------
    secrets
        Texts known to be secret, such as the address itself; the longest are taken out first.

    >>> redacted('cannot reach "postgresql://ann:s3cret@db/crm?password=x": no route')
    'cannot reach "postgresql://db/crm": no route'
    >>> redacted("connection to password=s3cret failed")
    'connection to password=*** failed'
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return "\n".join(_SETTING.sub(_hide, _without_addresses(line)) for line in text.split("\n"))


def _hide(match: re.Match[str]) -> str:
    return f"{match['name']}{match['sign']}{HIDDEN}"


# To the last @ of the line, whatever is between: a raw password may hold blanks and quotes.
_WITH_USER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://\S.*@")
# From the ? to the last quotation mark, else to the end: a raw value may hold blanks.
_WITH_QUERY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s\"'`<>()?#;]*)[?#;](?:.*(?=[\"'`])|.*)")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'`<>()]+")


def _without_addresses(line: str) -> str:
    if "://" not in line:
        return line
    shorter = _WITH_QUERY.sub(r"\1", _WITH_USER.sub(r"\1://", line))
    return _ADDRESS.sub(
        lambda match: shown_location(match[0].rstrip(".,:")) + _end(match[0]), shorter
    )


def _end(address: str) -> str:
    return address[len(address.rstrip(".,:")) :]
