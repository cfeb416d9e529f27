"""Numbers as people write them: currency signs, brackets and minus signs, marks of thousands.

One reader for sources and for tables of `train --table`: the patterns hold for DuckDB's regular
expressions and for Python's.
"""

# Named one by one: INV123 is no amount.
CURRENCY = (
    r"(?:US\$|A\$|C\$|R\$|[$€£¥₹₽₺₩]|kr\.?|zł|Fr\.?|USD|EUR|GBP|CHF|SEK|NOK|DKK|PLN|CZK|HUF|JPY"
    r"|AUD|CAD|NZD|INR|BRL|MXN|ZAR|SGD|HKD|CNY|TRY|ILS|KRW)"
)
SPACE = "[ \t\u00a0\u2009\u202f]"
MINUS = "[-−–]"
DASH = "[-−–—]"
_GROUPED = {
    # Three digits between marks; in India two, before the last three.
    ".": rf"(?:\d{{1,3}}(?:[,'’]\d{{3}}|{SPACE}\d{{3}})+|\d{{1,2}}(?:,\d{{2}})+,\d{{3}})",
    ",": rf"\d{{1,3}}(?:[.'’]\d{{3}}|{SPACE}\d{{3}})+",
}
SIGN_LETTERS = (("S", "H"), ("DR", "CR"))
"""Pairs of letters that accountants write behind amounts: debit and credit."""
LETTERED = r"(?i)([0-9)])\s*(S|H|DR|CR)\s*$"
"""A number that ends in such a letter; its first group is the number's last sign."""
SCIENTIFIC = r"^[+-]?\d([.,]\d+)?[eE]\+?\d+$"
"""A long number as a spreadsheet shows it: 4.5E+11."""
OTHER_MARK = {".": ",", ",": "."}
NEGATIVE = rf"^[^0-9]*(?:{MINUS}|\()|[^.,\-−–—]{MINUS}{SPACE}*$"
"""A minus before or behind, or an opening bracket; 80.- and 80,-- are round amounts."""


def written_number(mark: str) -> str:
    """Pattern of a whole text that is a number with `mark` before its decimals.

    >>> import re
    >>> point, comma = re.compile(written_number(".")), re.compile(written_number(","))
    >>> [bool(point.match(t)) for t in ("($1,080.50)", "80.00-", "EUR 12", "12 %", "1.080,50")]
    [True, True, True, True, False]
    >>> [bool(comma.match(t)) for t in ("1.080,50 €", "-1'080", "1.029", "1.02", "1.080,-")]
    [True, True, True, False, True]
    """
    core = rf"(?:\d+|{_GROUPED[mark]})?(?:[{mark}](?:\d*|{DASH}{{1,2}}))?"
    sign, space = rf"(?:{MINUS}|\+)?", rf"{SPACE}*"
    return (
        rf"^{space}{sign}{space}\(?{space}{sign}{space}{CURRENCY}?{space}{sign}{space}{core}{space}"
        rf"(?:{CURRENCY}|%)?{space}\)?{space}{MINUS}?{space}$"
    )


def grouped_whole(mark: str) -> str:
    """Pattern of a number in which `mark` may group thousands and may begin decimals: 1.029, but
    not 0.350.
    """
    return rf"^[^0-9]*[1-9]\d{{0,2}}(?:[{mark}]\d{{3}})+[^0-9]*$"
