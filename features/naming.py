"""Names of columns: derived from declarations, plain snake_case, unique, never typed by hand."""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable

# Longer names make SQL and charts unreadable; the hash keeps cut names apart.
LONGEST = 60
ROW_NAMES = re.compile(
    r"|unnamed[: _]*\d+|index|level_0|row_?(names?|index|num|number|no)|\.\.\.\d+", re.IGNORECASE
)
"""What programs call the column of row names that they write beside a table: pandas, R, readr."""


def slug(text: str) -> str:
    """Lower-case letters, digits and single underscores; `C. Add-on` becomes `c_add_on`."""
    plain = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return plain or "x" + _mark(text)


def spelled_slug(text: str) -> str:
    """As `slug`, with the letters of every script: `Größe (m²)` becomes `größe_m2`.

    For names that no SQL ever sees; where nothing of the text is a letter or a digit, it stays as
    it is.

    >>> [spelled_slug(text) for text in ("Größe (m²)", "Тариф", "会社 名", "€")]
    ['größe_m2', 'тариф', '会社_名', '€']
    """
    plain = unicodedata.normalize("NFKC", text).lower()
    # Marks belong to the letter before them: most scripts of India write vowels so.
    kept = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in plain)
    return "_".join(kept.split()) or text.strip() or "unnamed"


def facts_table(source: str) -> str:
    """Name of a source's prepared table: times as microseconds and `_day` numbers."""
    return f"facts_{slug(source)}"


def capital(text: str) -> str:
    """The text with its first letter large: `view dashboard` becomes `View dashboard`."""
    return text[:1].upper() + text[1:]


def distinct_slugs(texts: Iterable[str], slug_of: Callable[[str], str] = slug) -> dict[str, str]:
    """A slug for each text; the later of two that would read alike (`Add-on`, `add on`) gets a
    hash.
    """
    slugs: dict[str, str] = {}
    for text in texts:
        plain = slug_of(text)
        slugs[text] = plain if plain not in slugs.values() else f"{plain}_{_mark(text)}"
    return slugs


def _mark(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def column_name(
    source: str, contract: str, name: str, window: int | None, taken: Iterable[str] = ()
) -> str:
    """`<name>_<days>d`, with `<source>__` before it where the source has a name of its own."""
    base = name if source == contract else f"{slug(source)}__{name}"
    full = base if window is None else f"{base}_{window}d"
    if len(full) <= LONGEST and full not in taken:
        return full
    return f"{full[: LONGEST - 7]}_{_mark(f'{source}|{name}|{window}')}"
