"""Names of columns: derived from declarations, plain snake_case, unique, never typed by hand."""

import hashlib
import re
from collections.abc import Iterable

# Longer names make SQL and charts unreadable; the hash keeps cut names apart.
LONGEST = 60


def slug(text: str) -> str:
    """Lower-case letters, digits and single underscores; `C. Add-on` becomes `c_add_on`."""
    plain = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return plain or "x" + hashlib.sha256(text.encode()).hexdigest()[:6]


def column_name(source: str, contract: str, name: str, window: int | None, taken: Iterable[str] = ()) -> str:
    """`<name>_<days>d`, with `<source>__` before it where the source has a name of its own."""
    base = name if source == contract else f"{slug(source)}__{name}"
    full = base if window is None else f"{base}_{window}d"
    if len(full) <= LONGEST and full not in taken:
        return full
    mark = hashlib.sha256(f"{source}|{name}|{window}".encode()).hexdigest()[:6]
    return f"{full[: LONGEST - 7]}_{mark}"
