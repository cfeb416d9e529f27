"""One command in this process, and the class of its answer: clear, unclear, traceback or silent."""

import contextlib
import io
import re
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pipeline.cli import main

Tally = Callable[..., None]
NOT_FORESEEN = "This is not foreseen"


@dataclass(frozen=True)
class Attacked:
    """What a command returned and said."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err


def run_command(*arguments: object) -> Attacked:
    """`tenure ARGUMENTS` in this process; an exception that escapes counts as a traceback."""
    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["tenure", *map(str, arguments)]
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            code = _code_of_main()
    finally:
        sys.argv = before
    return Attacked(code, out.getvalue(), err.getvalue())


def _code_of_main() -> int:
    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def class_of(answer: Attacked, *, must_refuse: bool = True, naming: str = "") -> str:
    """How a bad input was answered.

    clear: refused in words of ours, with what to do. unclear: refused by the net below everything,
    or without a word that helps. traceback: Python's own words. silent: accepted without a word, or
    refused without one; also refused for something else than what stands in `naming`.
    """
    if "Traceback (most recent call last)" in answer.said:
        return "traceback"
    if answer.code != 0 and naming and not re.search(naming, answer.err):
        return "silent"
    if answer.code == 0:
        return "silent" if must_refuse else "clear"
    told = [line for line in answer.err.splitlines() if line.strip()]
    if not told:
        return "silent"
    if NOT_FORESEEN in answer.err or not re.search(
        r"^(tenure: |Error|.*Usage:|│)", answer.err, re.M
    ):
        return "unclear"
    return "clear"


@dataclass(frozen=True)
class Count:
    """Answers by class, and what was answered badly."""

    classes: Mapping[str, int]
    bad: Mapping[str, str]

    def row(self) -> dict[str, int]:
        """Columns of the table of counts."""
        tried = sum(self.classes.values())
        return {"tried": tried} | {name: self.classes.get(name, 0) for name in CLASSES}


CLASSES = ("clear", "unclear", "traceback", "silent")


def counted(
    answers: Mapping[str, Attacked], *, must_refuse: bool = True, naming: str = ""
) -> Count:
    """The table of counts: one row of it."""
    classes = {
        name: class_of(answer, must_refuse=must_refuse, naming=naming)
        for name, answer in answers.items()
    }
    bad = {
        name: f"{kind}: {answers[name].err[-400:] or answers[name].out[-200:]}"
        for name, kind in classes.items()
        if kind != "clear"
    }
    return Count(Counter(classes.values()), bad)


def through(text: str, payloads: tuple[str, ...]) -> Iterator[str]:
    """The payloads that stand in a text as they are."""
    return (payload for payload in payloads if payload in text)
