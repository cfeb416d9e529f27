"""Mutated project files: every key of the schema with values it cannot have, and damaged text."""

import random
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import date
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from attack_run import Attacked, Tally, counted, run_command

from pipeline.config.schema import Project

BASE = """\
name = "attacked"
time_zone = "UTC"

[sources.usage_events]
location = "usage.csv"

[[targets]]
name = "quiet"
kind = "inactivity"
horizon_days = 30
"""
# TOML values that no key of that kind can have.
BAD_NUMBERS = (f"{10**30}", "-1e300", "inf", "-inf", "nan", '"many"', "[]", "2024-01-01")
BAD_DATES = ("0001-01-01", "9999-12-31", '"yesterday"', "7", "1e3")
BAD_TEXTS = ("5", "true", "[1, 2]", '"nul\\u0000"', "{ a = 1 }")
BAD_CHOICES = ('"none such"', "1", '"\\u202e"')
BAD_FLAGS = ('"yes"', "1", "inf")


def keys_of(owner: type, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every key of the schema that holds one value, with its type."""
    hints = get_type_hints(owner)
    for field in fields(owner):
        inner = [hints[field.name], *get_args(hints[field.name])]
        tables = [each for each in inner if is_dataclass(each)]
        if tables and isinstance(tables[0], type):
            if get_origin(hints[field.name]) is None:
                yield from keys_of(tables[0], (*path, field.name))
        else:
            yield (*path, field.name), hints[field.name]


def bad_values(type_: Any) -> tuple[str, ...]:
    kinds = {type_, *get_args(type_)}
    if "Literal" in str(type_):
        return BAD_CHOICES
    if "dict" in str(type_) or "tuple" in str(type_):
        return ('"text"', "3")
    if date in kinds:
        return BAD_DATES
    if bool in kinds and str not in kinds:
        return BAD_FLAGS
    if int in kinds or float in kinds:
        return BAD_NUMBERS
    return BAD_TEXTS


def at(path: tuple[str, ...], value: str) -> str:
    """The base file with one more key."""
    *table, key = path
    if not table:
        return re.sub(rf"^{key} = .*\n", "", BASE, flags=re.M).replace(
            "\n[sources", f"{key} = {value}\n\n[sources", 1
        )
    if table[0] == "source":
        return BASE.replace('"usage.csv"\n', f'"usage.csv"\n{key} = {value}\n').replace(
            f'location = "usage.csv"\nlocation = {value}', f"location = {value}"
        )
    if table[0] == "target":
        inner = ".".join(["targets", *table[1:]])
        text = BASE if table[1:] else re.sub(rf"^{key} = .*\n", "", BASE, count=0, flags=re.M)
        if not table[1:] and key == "name":
            text = 'name = "attacked"\n' + text
        return f"{text}[{inner}]\n{key} = {value}\n" if table[1:] else f"{text}{key} = {value}\n"
    return f"{BASE}\n[{'.'.join(table)}]\n{key} = {value}\n"


def mutated_keys() -> dict[str, str]:
    """Name -> project file with one value that its key cannot have."""
    from pipeline.config.schema import Source, Target

    owners = [*keys_of(Project), *(((("source", *p)), t) for p, t in keys_of(Source))]
    owners += [(("target", *p), t) for p, t in keys_of(Target)]
    files = {}
    for path, type_ in owners:
        for value in bad_values(type_):
            files[f"{'.'.join(path)} = {value[:30]}"] = at(path, value)
    return files


def damaged_files(seed: int = 7, count: int = 60) -> dict[str, bytes]:
    """Name -> the file with bytes changed, cut off or put in; some stay good by chance."""
    chance = random.Random(seed)
    original = BASE.encode()
    files = {
        "utf-16": BASE.encode("utf-16"),
        "utf-32": BASE.encode("utf-32"),
        "latin-1": BASE.replace("attacked", "café").encode("latin-1"),
        "nul bytes": original + b"\0\0\0",
        "empty": b"",
        "only a mark": b"\xef\xbb\xbf",
        "deep": b"x = " + b"[" * 5_000,
        "deep tables": b"[" + b".".join([b"a"] * 3_000) + b"]\n",
        "long line": b'name = "' + b"x" * 1_000_000 + b'"\n',
    }
    for number in range(count):
        place = chance.randrange(len(original))
        kind = chance.choice(("cut", "flip", "insert", "repeat"))
        if kind == "cut":
            files[f"cut at {place} ({number})"] = original[:place]
        elif kind == "flip":
            byte = bytes([original[place] ^ (1 << chance.randrange(8))])
            files[f"flipped {place} ({number})"] = original[:place] + byte + original[place + 1 :]
        elif kind == "insert":
            junk = bytes(chance.randrange(256) for _ in range(3))
            files[f"junk at {place} ({number})"] = original[:place] + junk + original[place:]
        else:
            files[f"twice from {place} ({number})"] = original + original[place:]
    return files


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("attacked")


def asked(folder: Path, content: bytes) -> Attacked:
    (folder / "tenure.toml").write_bytes(content)
    return run_command("check", "--project", folder)


def test_values_that_a_key_cannot_have_are_refused_with_their_line(
    folder: Path, tally: Tally
) -> None:
    files = mutated_keys()
    answers = {name: asked(folder, text.encode()) for name, text in files.items()}
    count = counted(answers, naming=r"tenure\.toml(:\d+)?: ")
    tally("values in project files", **count.row())
    assert len(answers) >= 200
    assert not count.bad, dict(list(count.bad.items())[:8])
    for name, answer in answers.items():
        assert all(len(line) < 1_500 for line in answer.err.splitlines()), name


def test_damaged_text_of_a_project_file_never_ends_in_a_traceback(
    folder: Path, tally: Tally
) -> None:
    answers = {name: asked(folder, content) for name, content in damaged_files().items()}
    count = counted(answers)
    tally("damaged project files", **count.row())
    assert not count.bad, dict(list(count.bad.items())[:8])


def test_a_mark_before_the_text_is_read(folder: Path) -> None:
    answer = asked(folder, b"\xef\xbb\xbf" + BASE.encode())
    assert "usage.csv" in answer.err and "TOML" not in answer.err
