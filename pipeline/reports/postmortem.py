"""Accounts that left, in lines: one at a time, and a month of them together."""

from collections import Counter
from collections.abc import Sequence
from statistics import median

from models.health.scale import BANDS_IN_WORDS
from pipeline.jobs.postmortem import PostMortem

SHOWN_DATES = 8


def month_lines(lost: Sequence[PostMortem], words: str) -> list[str]:
    """All of a time: how many were warned of, how long before, and what the others would have
    taken; then each in a line.
    """
    if not lost:
        return [f"no account left {words}"]
    warned = [each.warned.days for each in lost if each.warned is not None]
    value = sum(each.value_per_year or 0.0 for each in lost)
    lines = [
        f"{len(lost)} accounts left {words}, worth {lost[0].currency} {value:,.0f} a year;"
        f" {len(warned)} with a warning"
        + (f", {median(warned):.0f} days before (median)" if warned else "")
    ]
    tried = sum(bool(each.tried) for each in lost)
    lines.append(
        f"something was tried with {tried} of them; an alert told of"
        f" {sum(bool(each.told) for each in lost)}"
    )
    missed = Counter(
        each.nearest.rule for each in lost if each.warned is None and each.nearest is not None
    )
    lines += [
        f"of those without a warning {count} came nearest to the rule {rule!r}"
        for rule, count in missed.most_common()
    ]
    return [*lines, *(f"  {short_line(each)}" for each in lost)]


def short_line(one: PostMortem) -> str:
    """One account in a line."""
    return f"{one.left_on}  {one.name} ({one.account_id}): {_warning(one)}; {_nearest(one)}"


def account_lines(one: PostMortem) -> list[str]:
    """One account that left, from its first sign to its end."""
    value = (
        "value unknown"
        if one.value_per_year is None
        else f"{one.currency} {one.value_per_year:,.0f} a year"
    )
    lines = [
        f"{one.name}  ({one.account_id})  left on {one.left_on}; {value}; owner"
        f" {one.owner or 'none'}",
        f"reason on its contract: {one.reason_given or 'none'}",
        f"first warning: {_warning(one)}",
        f"what it would have taken: {_nearest(one)}",
        "path of the score:",
    ]
    shown = one.path[-SHOWN_DATES:]
    for each in shown:
        health = "" if each.health is None else f"{each.health:.0f} "
        marker = f"   <- new {each.marker}" if each.marker else ""
        lines.append(f"  {each.day}  {health}{BANDS_IN_WORDS.get(each.band, each.band)}{marker}")
    if not shown:
        lines.append("  it was never scored")
    lines.append("what was known at its last score:")
    lines += [f"  {each}" for each in one.known] or ["  nothing that argued for leaving"]
    lines.append("who was told:")
    lines += [f"  {day}  {rule}" for rule, day in one.told.items()] or ["  nobody, by an alert"]
    lines.append("what was tried:")
    return lines + ([f"  {day}  {play}" for day, play in one.tried] or ["  nothing"])


def _warning(one: PostMortem) -> str:
    if one.warned is None:
        return "no warning"
    return f"{one.warned.days} days' notice by {one.warned.by} on {one.warned.day}"


def _nearest(one: PostMortem) -> str:
    if one.nearest is None:
        return "it had no score that a rule could read"
    return f"nearest rule {one.nearest.rule!r} on {one.nearest.day}: {one.nearest.words}"
