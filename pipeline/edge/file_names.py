"""Names of files made of words: any word gives one, and no two words give the same."""

import hashlib
from urllib.parse import quote

# File systems allow 255 bytes; the ending and the mark of a file written aside come on top.
LONGEST_NAME = 150
# Windows opens devices under these names, whatever the ending.
_DEVICES = frozenset(
    ("con", "prn", "aux", "nul", *(f"{stem}{n}" for stem in ("com", "lpt") for n in range(10)))
)


def file_name(words: str, ending: str) -> str:
    """The name of a file about something: its words percent-encoded, shortened where they must be.

    Only letters, digits, blanks and `-_.~%+` are in it, so it stays in its folder and is not
    hidden. A `+` stands only before the hash of words that cannot be a name as they are, so what
    was shortened equals nothing else.

    >>> file_name("A-17", ".html"), file_name("a/b", ".html")
    ('A-17.html', 'a%2Fb.html')
    >>> file_name("..", ".html")
    '+5ec1f7e700f37c3d0b2981d04855fc34.html'
    """
    encoded = quote(words, safe=" ", errors="surrogatepass")
    stem = encoded.split(".", 1)[0].strip().lower()
    is_name = (
        0 < len(encoded) <= LONGEST_NAME and encoded.strip(" .") == encoded and stem not in _DEVICES
    )
    if is_name:
        return f"{encoded}{ending}"
    mark = hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    start = encoded[:60].strip(" .") if stem not in _DEVICES else ""
    return f"{start}+{mark}{ending}"
