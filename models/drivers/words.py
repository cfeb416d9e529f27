"""Signals, chances and intervals in words: fixed templates, every number from the inputs."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from features.definition import Signal
from features.errors import ContractError
from features.naming import capital
from models.health.scale import BANDS_IN_WORDS
from models.health.words import AT_DECISION, horizon_words

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
_DAYS_PER_MONTH, _DAYS_PER_YEAR = 30.4, 365.25
# "77 days" and "15 months" say more than "2.5 months" and "1.3 years".
_DAYS_UNTIL, _MONTHS_UNTIL = 91, 730
_WINDOWS = {
    7: "week",
    14: "two weeks",
    28: "four weeks",
    30: "month",
    56: "eight weeks",
    60: "two months",
    84: "twelve weeks",
    90: "three months",
    91: "three months",
    180: "six months",
    182: "six months",
    364: "year",
    365: "year",
    728: "two years",
}
AS_USUAL = "as usual"
OTHERS = "customers who stay"
"""Whose median a value is compared with."""
OTHER_CUSTOMERS = "other customers"
"""The same where the event is one we want."""
_SAME = 1e-9
_WHOLE_TIMES = 3
_PARTS_OF_A_WHOLE = ("share", "change", "times", "tone")
# Tone of a text, -1 to 1: at least so far from 0 is positive or negative, and very much so.
_TONE, _STRONG_TONE = 0.05, 0.5
# Words after the number that end in s without being plurals.
_NOT_PLURAL = {"was", "is", "has", "as", "its", "this", "times"}
# After these a plural stays one: "1 of tickets", "1 per days".
_NO_ADJECTIVE = {"of", "in", "per", "times", "and", "or", "to", "the", "after", "before"}


def format_value(value: float, unit: str, *, currency: str = "") -> str:
    """A signal's value as people say it; the phrase around it carries the noun.

    money: thousands with the currency. share: percent. minutes: minutes, hours or days. change, the
    symmetric `(now - before) / (now + before)` in -1..1: "down 45%". yes: yes or no. tone:
    "negative". tenths: a tenth of it, as an answer of 0 to 10 that is kept as 0 to 100. Others: a
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
        case "tone":
            return _tone(value)
        case "tenths":
            return _number(value / 10)
        case "yes":
            return {1.0: "yes", 0.0: "no"}.get(value) or _percent(value)
        case _:
            return _number(value)


def spoken_value(signal: Signal, value: float, *, currency: str = "") -> str:
    """The value as it stands in the signal's phrase and in comparisons: `4 months`, `12`, `46%`."""
    if _is_duration(signal):
        return _days(value)
    return format_value(value, signal.unit, currency=currency)


def signal_words(
    signal: Signal, value: float | None, *, currency: str = "", limit: str = ""
) -> str:
    """What a signal says about an account: `Active on 6 of the last 28 days`.

    A missing value (None, NaN) is said to be missing.

    Parameters
    ----------
    limit
        `at least {value}`, `{value} or more`: the sentence is then of a limit, not of a value.
    """
    now = _known(value, signal)
    return capital(_missing(signal) if now is None else _filled(signal, now, currency, limit))


def comparison(
    signal: Signal,
    value: float | None,
    before: float | None = None,
    reference: float | None = None,
    *,
    pulls_down: bool,
    before_days: int | None = None,
    currency: str = "",
    others: str = OTHERS,
) -> str:
    """What the value is compared with, where that argues for its points; empty where nothing does.

    `down from 14 four weeks ago; customers who stay: 18`. What pulls a score down must be worse
    than before or than others, what holds it up better; a signal without a bad direction argues for
    nothing.

    Parameters
    ----------
    pulls_down
        Whether its points are below 0.
    others
        Whose median the reference is.
    """
    now, past, usual = _known(value, signal), _known(before, signal), _known(reference, signal)
    if now is None or signal.bad_direction is None or signal.unit == "yes":
        return ""
    is_bad_up = signal.bad_direction == "up"

    def argues(other: float) -> bool:
        is_worse = (now > other) == is_bad_up
        return now != other and is_worse == pulls_down and _is_alike(signal, now, other)

    # Below 0 it is said from the other side: "2 days before", not "-2 days after".
    sign = -1.0 if signal.below and now < 0 else 1.0
    text = spoken_value(signal, sign * now, currency=currency)
    parts = []
    if past is not None and argues(past) and has_past(signal):
        then = spoken_value(signal, sign * past, currency=currency)
        if then != text:
            parts.append(_from(signal, sign * now, sign * past, then, _ago(before_days)))
    if usual is not None and argues(usual) and _has_others(signal, now, usual):
        theirs = spoken_value(signal, sign * usual, currency=currency)
        if theirs != text:
            parts.append(f"{others}: {_times(signal, theirs)}")
    return "; ".join(parts)


def change_words(
    signal: Signal, value: float | None, before: float | None, *, days: int | None, currency: str
) -> str:
    """What a value was before, whatever it argues for: `up from 4 four weeks ago`; empty where it
    reads the same.
    """
    now, past = _known(value, signal), _known(before, signal)
    if past is None:
        return ""
    then = spoken_value(signal, past, currency=currency)
    if now is None:
        return f"{_ago(days)}: {then}"
    if then == spoken_value(signal, now, currency=currency):
        return ""
    return _from(signal, now, past, then, _ago(days))


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
    return f"{_odds(_probability(probability))} {event} {horizon_words(horizon_days)}"


def account_chance(
    probability: float,
    horizon_days: int | None,
    at_decision: float | None = None,
    *,
    is_later: bool = False,
    event: str = "leave",
) -> str:
    """The chance that says most of an account: `about 1 in 4 leave within 90 days`, and where its
    contract ends only later `about 1 in 4 leave when their contract comes up`; empty without one.

    Parameters
    ----------
    probability, at_decision
        Within the horizon, and when the contract comes up (0-1); NaN on a scorecard.
    is_later
        Whether the contract ends after the horizon (`models.health.words.is_decided_later`).
    """
    if math.isnan(probability):
        return ""
    if is_later and at_decision is not None:
        return f"{_odds(_probability(at_decision))} {event} {AT_DECISION}"
    return chance_in_words(probability, horizon_days, event=event)


def interval_in_words(low: float, high: float) -> str:
    """`18% to 33% of accounts like this one`: the rate of a group, not of one account."""
    first, last = _percent(_probability(low)), _percent(_probability(high))
    if low > high:
        raise ContractError(f"interval {low}-{high} is upside down.")
    return f"{first if first == last else f'{first} to {last}'} of accounts like this one"


@dataclass(frozen=True)
class Reason:
    """One published driver: whole points (below 0 pulls the score down) and its words."""

    points: int
    words: str


def paragraph(
    name: str,
    health: int | None,
    band: str,
    chance: str,
    reasons: Sequence[Reason],
    *,
    band_reason: str = "",
    most: int = 3,
    why: str = "",
    advice: str = "",
    interval: tuple[float, float] | None = None,
    timing: str = "",
) -> str:
    """A few sentences about one account, for a mail.

    Accounts without a score (`health` None) get the reason of that instead of a number.

    Parameters
    ----------
    chance
        What accounts like this do (`account_chance`); empty without probabilities.
    why, advice
        Reasons from the short list (`low use, sponsor lost` or `not explained`), and what to do
        about the first.
    interval
        Ends of the interval of the chance.
    timing
        When the contract decides (`models.health.words.timing_words`).
    """
    called = BANDS_IN_WORDS.get(band, band)
    if health is None:
        return f"{name} has no score: {called}{f' ({band_reason})' if band_reason else ''}."
    sentences = [f"{name} scores {health} of 100 ({called})."]
    if chance:
        span = "" if interval is None else f" ({_percent(interval[0])} to {_percent(interval[1])})"
        sentences.append(f"Of accounts like this, {chance}{span}.")
    if timing:
        sentences.append(f"{timing[0].upper()}{timing[1:]}.")
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


def _filled(signal: Signal, value: float, currency: str, limit: str = "") -> str:
    """The phrase of a value, with its own words where the card has some."""
    text = spoken_value(signal, value, currency=currency)
    phrase = "" if limit else _own_words(signal, value, text)
    if not phrase and signal.inverse and 0 < value < 1:
        times = 1 / value if 1 / value < _WHOLE_TIMES else round(1 / value)
        phrase, text = signal.inverse, spoken_value(signal, times, currency=currency)
    if not phrase and signal.below and value < 0:
        phrase, text = signal.below, spoken_value(signal, -value, currency=currency)
    phrase = phrase or signal.phrase
    if _is_duration(signal):
        phrase = phrase.replace("{value} days", "{value}")
    elif text == "0" and not limit and phrase.startswith("{value} "):
        text = "No"
    elif text == "1":
        phrase = phrase.replace("{value} times in", "{value} time in")
        phrase = re.sub(r"\{value\} (\w+)((?: \w+)?)", _singular, phrase, count=1)
    # Names of events and products reach phrases, so braces in them are text, not fields.
    days = "" if signal.window_days is None else str(signal.window_days)
    window = "" if signal.window_days is None else window_words(signal.window_days)
    text = limit.replace("{value}", text) if limit else text
    return phrase.replace("{value}", text).replace("{days}", days).replace("{window}", window)


def _own_words(signal: Signal, value: float, text: str) -> str:
    """What the card says at this very value; a ratio that reads 1 is as good as 1."""
    for place, words in signal.said_at.items():
        reads_so = signal.unit == "times" and text == place and value > 0
        if reads_so or abs(value - float(place)) < _SAME:
            return words
    return ""


def _is_duration(signal: Signal) -> bool:
    """Whether the value is a length of time, not a number of days among others."""
    return signal.unit == "days" and "{value} days" in signal.phrase


def _is_alike(signal: Signal, value: float, other: float) -> bool:
    """Whether both would be said in the same words: "2 days before" is not compared with "after",
    and "7 times faster" not with "as long".
    """
    if signal.below and (value < 0) != (other < 0):
        return False
    return not signal.inverse or min(value, other) >= 1


def has_past(signal: Signal) -> bool:
    """Whether it is compared with its past: clocks and lengths of time move by themselves, and the
    change of a change says nothing.
    """
    return not (signal.is_clock or _is_duration(signal) or signal.unit == "change")


def _has_others(signal: Signal, value: float, others: float) -> bool:
    """Whether it is compared with others."""
    # What is not spoken of cannot be compared: a date is the same for those that stayed.
    if "{value}" not in signal.phrase:
        return False
    # How long ago something bad happened: those it never happened to have no number.
    if signal.missing and signal.bad_direction == "down" and _is_duration(signal):
        return False
    if others == 0 and _is_duration(signal):
        return False
    # "No champion" says it all, where others have one.
    return not (value == 0 and others == 1 and signal.unit not in _PARTS_OF_A_WHOLE)


def _from(signal: Signal, now: float, past: float, then: str, ago: str) -> str:
    """`up from 4 four weeks ago`; what is no number is not up or down."""
    if signal.unit in ("change", "tone", "yes"):
        return f"{ago}: {then}"
    then = _times(signal, then)
    if then == AS_USUAL:
        return f"{then} {ago}"
    return f"{'up' if now > past else 'down'} from {then} {ago}"


def _times(signal: Signal, text: str) -> str:
    """A ratio beside another: `1.2 times`, and not "1" where it is as usual."""
    if signal.unit != "times":
        return text
    return AS_USUAL if text == "1" else f"{text} times"


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
    return signal.missing or f"Not known: {meaning}"


def _known(value: float | None, signal: Signal) -> float | None:
    if value is None or math.isnan(value):
        return None
    if math.isinf(value):
        raise ContractError(
            f"signal {signal.column} is {value}. A ratio over zero must be null: check its card."
        )
    return float(value)


def window_words(days: int) -> str:
    """A window as people say it: `week`, `four weeks`, `three months`, `year`; else `45 days`."""
    return _WINDOWS.get(days) or f"{days} {'day' if days == 1 else 'days'}"


def _ago(days: int | None) -> str:
    if days is None:
        return "at the scoring before"
    if days % 7 == 0 and days // 7 in _WEEKS:
        return f"{_WEEKS[days // 7]} ago"
    return f"{days} {'day' if days == 1 else 'days'} ago"


def _days(value: float) -> str:
    """A length of time from days: days up to three months, then months, from two years years."""
    size, sign = abs(value), "-" if value < 0 else ""
    if size < _DAYS_UNTIL:
        unit, text = "day", _number(size)
    elif size < _MONTHS_UNTIL:
        unit, text = "month", _whole(size / _DAYS_PER_MONTH)
    else:
        unit, text = "year", _number(round(size / _DAYS_PER_YEAR, 1))
    return f"{sign if text != '0' else ''}{text} {unit}{'' if text == '1' else 's'}"


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


def _tone(value: float) -> str:
    if abs(value) < _TONE:
        return "neutral"
    side = "positive" if value > 0 else "negative"
    return side if abs(value) < _STRONG_TONE else f"very {side}"


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
