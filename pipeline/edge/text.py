r"""Words of other people as text that can only be read: no control, no direction, nothing unseen.

A terminal obeys ESC (colours, links, OSC 52 writes the clipboard) and the C1 controls, a browser
and an editor obey bidirectional overrides and isolates, and nobody sees a zero-width space before
`=`. Such characters are written out (`\x1b`, `\u202e`), so that a reader sees that they are there.
"""

import unicodedata

# Text of ours has lines and columns of its own.
_OURS = "\n\t"
# Cc controls, Cf formats (bidi, zero width, soft hyphen, tags), Cs lone surrogates, Zl and Zp
# breaks of lines and paragraphs.
_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
# Joiners inside words of Persian, the Indic scripts and emoji change a letter's shape, and no
# order. Fillers are letters by category, and seen by nobody.
_JOINERS = "\u200c\u200d"
_FILLERS = "\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5"
# Formats that are drawn: signs before a number in Arabic, Syriac and Kaithi.
_DRAWN = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
# Spreadsheets run a cell that starts with one of these; the full-width forms are turned into them
# on entry.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def visible(text: str, *, one_line: bool = False) -> str:
    r"""The text with every character written out that a reader would not see or a screen obey.

    Plain letters of any script stay as they are; running it twice changes nothing more.

    Parameters
    ----------
    one_line
        Breaks of lines and tabs are written out, too: a name cannot begin a line of its own.

    >>> print(visible("\x1b]52;c;AAAA\x07 Jos\u00e9 \u202egpj"))
    \x1b]52;c;AAAA\x07 José \u202egpj
    >>> print(visible("two\nlines", one_line=True))
    two\nlines
    """
    if text.isascii() and text.isprintable():
        return text
    kept = "" if one_line else _OURS
    # A page is long and has few different characters, each of which is looked at once.
    if not any(_is_suspect(letter, kept) for letter in set(text)):
        return text
    return "".join(
        _written_out(letter) if _is_unseen(text, place, kept) else letter
        for place, letter in enumerate(text)
    )


def _is_suspect(letter: str, kept: str) -> bool:
    """Whether nobody sees the character, wherever it stands or, a joiner, in some places."""
    if letter in _FILLERS or "\U000e0100" <= letter <= "\U000e01ef":  # variants carry bytes
        return True
    if letter in kept or letter in _DRAWN:
        return False
    return unicodedata.category(letter) in _UNSEEN


def _is_unseen(text: str, place: int, kept: str) -> bool:
    letter = text[place]
    if not _is_suspect(letter, kept):
        return False
    if letter not in _JOINERS:
        return True
    # A joiner joins: between two characters that are seen.
    around = text[max(0, place - 1) : place] + text[place + 1 : place + 2]
    return len(around) < 2 or any(
        each.isascii() or unicodedata.category(each) in _UNSEEN for each in around
    )


def _written_out(letter: str) -> str:
    short = {"\n": r"\n", "\t": r"\t", "\r": r"\r"}.get(letter)
    code = ord(letter)
    if short is not None:
        return short
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def defused(cell: object) -> object:
    r"""The cell as text that a spreadsheet shows and never runs; numbers and dates as they are.

    Text that would be run as a formula (`=1+1`, `-2`, `@SUM`) starts with an apostrophe, also where
    blanks or characters that nobody sees stand before it.

    >>> defused("=1+1"), defused("\u200b=1+1"), defused(-2)
    ("'=1+1", "'\\u200b=1+1", -2)
    """
    if not isinstance(cell, str):
        return cell
    seen = "".join(
        letter
        for place, letter in enumerate(cell)
        if not letter.isspace() and not _is_unseen(cell, place, "")
    )
    is_run = seen.startswith(_FORMULA_STARTS) or cell.lstrip(" ").startswith(_FORMULA_STARTS)
    return f"'{visible(cell)}" if is_run else visible(cell)
