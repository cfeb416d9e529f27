"""Signals, chances and intervals in words: fixed templates, every number from the inputs."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from features.definition import Signal
from features.errors import ContractError
from models.health.scale import BANDS_IN_WORDS

_WEEKS = {
    1: "one week",
    2: "two weeks",
    3: "three weeks",
    4: "four weeks",
    5: "five weeks",
    6: "six weeks",
    7: "seven weeks",
    8: "eight weeks",
    9: "nine weeks",
    10: "ten weeks",
    11: "eleven weeks",
    12: "twelve weeks",
    13: "thirteen weeks",
}
# Parts of a whole that people say; rarer chances are "1 in N".
# fmt: off
_FRACTIONS = (
    (1, 10), (1, 9), (1, 8), (1, 7), (1, 6), (1, 5), (1, 4), (3, 10), (1, 3), (2, 5), (9, 20),
    (1, 2), (11, 20), (3, 5), (2, 3), (7, 10), (3, 4), (4, 5), (5, 6), (9, 10), (19, 20),
)
# fmt: on
_MINUTES_PER_HOUR, _MINUTES_PER_DAY = 60, 1440
# Words after the number that end in s without being plurals.
_NOT_PLURAL = {"was", "is", "has", "as", "its", "this", "times"}
# After these a plural stays one: "1 of tickets", "1 per days".
_NO_ADJECTIVE = {"of", "in", "per", "times", "and", "or", "to", "the", "after", "before"}


def format_value(value: float, unit: str, *, currency: str = "") -> str:
    """A signal's value as people say it; the phrase around it carries the noun.

    money: thousands with the currency. share: percent. minutes: minutes, hours or days. change, the
    symmetric `(now - before) / (now + before)` in -1..1: "down 45%". yes: yes or no. Others: a
    number.

    Raises
    ------
    ContractError
        The value is missing or infinite, or a change lies outside -1..1.
    """
    if not math.isfinite(value):
        raise ContractError(
            f"value {value} of unit {unit!r} cannot be said. Missing is None or NaN, never"
            " infinite."
        )
    match unit:
        case "money":
            return f"{currency} {_whole(value)}".strip()
        case "share":
            return _percent(value)
        case "minutes":
            return _duration(value)
        case "change":
            return _change(value)
        case "yes":
            return {1.0: "yes", 0.0: "no"}.get(value) or _percent(value)
        case _:
            return _number(value)


def signal_words(signal: Signal, value: float | None, *, currency: str = "") -> str:
    """What a signal says about an account: `active on 6 of the last 28 days`.

    A missing value (None, NaN) is said to be missing.
    """
    now = _known(value, signal)
    return _missing(signal) if now is None else _filled(signal, now, currency)


def comparison(
    signal: Signal,
    value: float | None,
    before: float | None = None,
    reference: float | None = None,
    *,
    before_days: int | None = None,
    currency: str = "",
) -> str:
    """What the value is compared with: its past, and accounts that stayed; empty without either.

    `was 14 four weeks earlier; accounts that stayed: 18`. A comparison that reads the same is said
    to be so. Clocks (days to renewal, age) are not compared with their past: they move by
    themselves.
    """
    now, past, others = _known(value, signal), _known(before, signal), _known(reference, signal)
    text = None if now is None else format_value(now, signal.unit, currency=currency)
    parts = []
    if past is not None and not signal.is_clock:
        then = format_value(past, signal.unit, currency=currency)
        parts.append(f"{'the same' if then == text else f'was {then}'} {_earlier(before_days)}")
    # What is not spoken of cannot be compared: a date is the same for those that stayed.
    if others is not None and "{value}" in signal.phrase:
        usual = format_value(others, signal.unit, currency=currency)
        parts.append(
            "as among accounts that stayed" if usual == text else f"accounts that stayed: {usual}"
        )
    return "; ".join(parts)


def sentence(said: str, compared: str | None) -> str:
    """What is so now and what it is compared with, in one line."""
    return said if compared is None or compared != compared else f"{said}; {compared}"


def chance_in_words(probability: float, horizon_days: int | None, *, event: str = "leave") -> str:
    """`about 1 in 4 leave within 90 days`; `horizon_days` None: by the next renewal.

    The fraction is the nearest that people say, within an eighth of the chance between 1 in 200 and
    97%.

    Raises
    ------
    ContractError
        The probability is missing or outside 0-1.
    """
    return f"{_odds(_probability(probability))} {event} {_within(horizon_days)}"


def interval_in_words(
    low: float, high: float, horizon_days: int | None, *, event: str = "leave"
) -> str:
    """`of accounts scored like this, 18% to 33% leave within 90 days`: the rate of a group, not of
    one account.
    """
    first, last = _percent(_probability(low)), _percent(_probability(high))
    if low > high:
        raise ContractError(f"interval {low}-{high} is upside down.")
    span = first if first == last else f"{first} to {last}"
    return f"of accounts scored like this, {span} {event} {_within(horizon_days)}"


@dataclass(frozen=True)
class Reason:
    """One published driver: whole points (below 0 pulls the score down) and its words."""

    points: int
    words: str


def paragraph(
    name: str,
    health: int | None,
    band: str,
    probability: float | None,
    horizon_days: int | None,
    reasons: Sequence[Reason],
    *,
    band_reason: str = "",
    event: str = "leave",
    most: int = 3,
    why: str = "",
    advice: str = "",
    interval: tuple[float, float] | None = None,
) -> str:
    """A few sentences about one account, for a mail.

    Accounts without a score (`health` None) get the reason of that instead of a number.

    Parameters
    ----------
    why, advice
        Reasons from the short list (`low use, sponsor lost` or `not explained`), and what to do
        about the first.
    interval
        Ends of the interval of the probability.
    """
    called = BANDS_IN_WORDS.get(band, band)
    if health is None:
        return f"{name} has no score: {called}{f' ({band_reason})' if band_reason else ''}."
    sentences = [f"{name} scores {health} of 100 ({called})."]
    if probability is not None and not math.isnan(probability):
        span = "" if interval is None else f" ({_percent(interval[0])} to {_percent(interval[1])})"
        sentences.append(
            "Of accounts scored like this,"
            f" {chance_in_words(probability, horizon_days, event=event)}{span}."
        )
    if why:
        sentences.append(f"Why: {why}.")
    against = sorted((r for r in reasons if r.points < 0), key=lambda r: r.points)[:most]
    favour = sorted((r for r in reasons if r.points > 0), key=lambda r: -r.points)[:most]
    for title, chosen in (("Pulls the score down", against), ("Holds it up", favour)):
        if chosen:
            sentences.append(
                f"{title}: " + "; ".join(f"{r.words} ({r.points:+d})" for r in chosen) + "."
            )
    if advice:
        sentences.append(f"Next: {advice}")
    return " ".join(sentences)


def rest_words(count: int, dimension: str) -> str:
    """`12 further usage signals together`, for the row that carries what is not listed."""
    return (
        f"1 further {dimension} signal"
        if count == 1
        else f"{count} further {dimension} signals together"
    )


def _filled(signal: Signal, value: float, currency: str) -> str:
    text = format_value(value, signal.unit, currency=currency)
    phrase = signal.phrase
    if signal.unit == "minutes" and value < 0 and "{value} after" in phrase:
        # "paid -2 days after the due date" is said as "paid 2 days before the due date".
        phrase, text = phrase.replace("{value} after", "{value} before"), text.removeprefix("-")
    if signal.unit == "days" and value < 0 and "{value} days before" in phrase:
        # "reached -48 days before they were due" is said as "reached 48 days after they were due".
        phrase, text = (
            phrase.replace("{value} days before", "{value} days after"),
            text.removeprefix("-"),
        )
    if text == "1":
        phrase = phrase.replace("{value} times in", "{value} time in")
        phrase = re.sub(r"\{value\} (\w+)((?: \w+)?)", _singular, phrase, count=1)
    # Names of events and products reach phrases, so braces in them are text, not fields.
    days = "" if signal.window_days is None else str(signal.window_days)
    return phrase.replace("{value}", text).replace("{days}", days)


def _singular(match: re.Match[str]) -> str:
    """`{value} tickets` or `{value} severe tickets` for exactly one."""
    first, second = match.group(1), match.group(2).strip()
    one = _one_of(first)
    if one == first and second and first not in _NO_ADJECTIVE:
        second = _one_of(second)
    return " ".join(word for word in ("{value}", one, second) if word)


def _one_of(word: str) -> str:
    if word == "people":
        return "person"
    if word in _NOT_PLURAL or not word.endswith("s") or word.endswith("ss"):
        return word
    return f"{word[:-3]}y" if word.endswith("ies") else word.removesuffix("s")


def _missing(signal: Signal) -> str:
    meaning = signal.meaning.strip().rstrip(".") or signal.driver.replace("_", " ")
    return signal.missing or f"no record of {meaning}"


def _known(value: float | None, signal: Signal) -> float | None:
    if value is None or math.isnan(value):
        return None
    if math.isinf(value):
        raise ContractError(
            f"signal {signal.column} is {value}. A ratio over zero must be null: check its card."
        )
    return float(value)


def _earlier(days: int | None) -> str:
    if days is None:
        return "at the scoring before"
    if days % 7 == 0 and days // 7 in _WEEKS:
        return f"{_WEEKS[days // 7]} earlier"
    return f"{days} {'day' if days == 1 else 'days'} earlier"


def _within(horizon_days: int | None) -> str:
    if horizon_days is None:
        return "by the next renewal"
    return f"within {horizon_days} {'day' if horizon_days == 1 else 'days'}"


def _odds(p: float) -> str:
    if p < 0.005:
        return "fewer than 1 in 200"
    if p > 0.97:
        return "nearly all"
    if p < 0.095:
        whole = 1 / p
        step = 1 if whole < 20 else 5 if whole < 60 else 10
        return f"about 1 in {int(step * round(whole / step))}"
    part, of = min(_FRACTIONS, key=lambda fraction: abs(fraction[0] / fraction[1] - p))
    return f"about {part} in {of}"


def _probability(p: float) -> float:
    if not 0 <= p <= 1:
        raise ContractError(
            f"probability {p} lies outside 0-1. Accounts without one have no chance in words."
        )
    return p


def _whole(value: float) -> str:
    rounded = round(value)
    # "-0" comes from small negative amounts.
    return f"{rounded:,}" if rounded else "0"


def _number(value: float) -> str:
    if abs(value) >= 10 or value == round(value):
        return _whole(value)
    digits = 1 if abs(value) >= 0.95 else 2
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        return "less than 0.01" if value > 0 else "just below 0"
    return text.rstrip("0").rstrip(".")


def _percent(share: float) -> str:
    percent = 100 * share
    if 0 < percent < 0.95:
        return "less than 0.1%" if percent < 0.05 else f"{percent:.1f}%"
    if 99.5 <= percent < 100:
        return "over 99%"
    return f"{_whole(percent)}%"


def _duration(minutes: float) -> str:
    size, sign = abs(minutes), "-" if minutes < 0 else ""
    if size < 90:
        unit, text = "minute", _whole(size)
    elif size < 2 * _MINUTES_PER_DAY:
        unit, text = "hour", _whole(size / _MINUTES_PER_HOUR)
    else:
        unit, text = "day", _number(round(size / _MINUTES_PER_DAY, 1))
    return f"{sign if text != '0' else ''}{text} {unit}{'' if text == '1' else 's'}"


def _change(value: float) -> str:
    if abs(value) > 1 + 1e-9:
        raise ContractError(
            f"change {value} lies outside -1..1: it must be (now - before) / (now + before)."
        )
    if value >= 1 - 1e-12:
        return "up from nothing"
    if value <= -1 + 1e-12:
        return "down to nothing"
    ratio = (1 + value) / (1 - value) - 1
    percent = f"{abs(round(100 * ratio)):,}%"
    if percent == "0%":
        return "unchanged"
    return (
        f"{'up' if ratio > 0 else 'down'}"
        f" {'over 99%' if percent == '100%' and ratio < 0 else percent}"
    )
