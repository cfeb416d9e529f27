"""Exports of many programs, read as a new user would: right, asked, refused, or wrong, by kind.

    python -m benchmarks.exports [--kind KIND] [--name PART] [--keep FOLDER] [--json]

Each input of `_export_inputs.py` is a small folder in the shape of a vendor's export, with what is
true of it. `init` proposes a project, its sources are staged, and each true figure is compared:

    right    staged without a question, all figures are true
    asked    a question names column, values and the key; answered, all figures are true
    refused  nothing is read, and the message says why
    wrong    a figure is not true, and nobody said so

The exit code is 1 if any is wrong.
"""

import argparse
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks._export_inputs import INPUTS, ExportInput
from features.errors import ChurnError
from pipeline.config import read_project
from pipeline.engine.duckdb import Connection, connected, rows
from pipeline.proposing import propose
from pipeline.staging import StagedSource, stage
from pipeline.staging.asking import questions_between
from pipeline.staging.asking.question import Unanswered

VERDICTS = ("right", "asked", "refused", "wrong")


@dataclass(frozen=True)
class Verdict:
    """How an input was read; `why` lists questions, the refusal, or what is not true."""

    kind: str
    name: str
    verdict: str
    why: tuple[str, ...] = field(default=())


def judged(export: ExportInput, folder: Path) -> Verdict:
    """Propose, stage and compare one input."""
    export.write(folder)

    def verdict(word: str, *why: str) -> Verdict:
        is_allowed = word in export.allowed
        return Verdict(export.kind, export.name, word if is_allowed else "wrong", why)

    try:
        toml = propose(folder, folder, account=export.account).toml
    except ChurnError as error:
        return verdict("refused", str(error))
    toml = toml.replace("\n# time_zone", "\ntime_zone", 1)
    asked = _asked(toml)
    for line in export.answers:
        if f"\n# {line}" not in toml:
            return Verdict(export.kind, export.name, "wrong", (f"no line {line}", *asked))
        toml = toml.replace(f"\n# {line}", f"\n{line}", 1)
    (folder / "tenure.toml").write_text(toml, encoding="utf-8")
    with connected() as connection:
        try:
            staged = stage(read_project(folder), folder, connection)
        except Unanswered as error:
            return verdict("asked", str(error))
        except ChurnError as error:
            return verdict("refused", str(error))
        open_ = _open(connection, staged)
        if open_:
            # Every question must be one that the input raises, and name what to do.
            strange = [name for name in open_ if name not in export.asks]
            return verdict("asked" if not strange else "wrong", *open_)
        untrue = [
            f"{query}: {found}, not {expected}"
            for query, expected in export.truth.items()
            if (found := _found(connection, query)) != expected
        ]
    if untrue:
        return Verdict(export.kind, export.name, "wrong", tuple(untrue))
    return verdict("asked" if asked else "right", *asked)


def _found(connection: Connection, query: str) -> Any:
    try:
        return rows(connection, query)
    except Exception as error:  # a table or column that was not proposed
        return str(error).splitlines()[0]


def _asked(toml: str) -> list[str]:
    return re.findall(r"ASKED \(([a-z-]+)\)", toml)


def _open(connection: Connection, staged: dict[str, StagedSource]) -> list[str]:
    asked = [question for source in staged.values() for question in source.questions]
    lists = next((n for n, s in staged.items() if s.contract.table == "accounts"), None)
    asked += questions_between(connection, {n: f"staged_{n}" for n in staged}, lists)
    return [question.name for question in asked]


def measured(exports: Sequence[ExportInput], keep: Path | None) -> list[Verdict]:
    """Every input judged, in a folder of its own."""
    found = []
    for export in exports:
        with tempfile.TemporaryDirectory(prefix="tenure-exports-") as place:
            folder = Path(place) if keep is None else keep / export.kind / export.name
            folder.mkdir(parents=True, exist_ok=True)
            found.append(judged(export, folder))
            v = found[-1]
            print(
                f"{v.verdict:<8} {v.kind}/{v.name}: {'; '.join(v.why)}",
                file=sys.stderr,
                flush=True,
            )
    return found


def counted(verdicts: Sequence[Verdict]) -> dict[str, dict[str, int]]:
    """Verdicts by kind."""
    kinds = list(dict.fromkeys(v.kind for v in verdicts))
    return {
        kind: {
            word: Counter(v.verdict for v in verdicts if v.kind == kind)[word] for word in VERDICTS
        }
        for kind in kinds
    }


def main() -> None:
    """Judge the inputs and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", default="", help="only this kind")
    parser.add_argument("--name", default="", help="only inputs whose name holds this")
    parser.add_argument("--keep", type=Path, help="folder in which the inputs stay")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    chosen = [e for e in INPUTS if given.kind in ("", e.kind) and given.name in e.name]
    verdicts = measured(chosen, given.keep)
    table = counted(verdicts)
    if given.json:
        print(json.dumps({"counts": table, "inputs": [vars(v) for v in verdicts]}))
    else:
        print(f"{'kind':<10}" + "".join(f"{word:>9}" for word in VERDICTS))
        for kind, counts in table.items():
            print(f"{kind:<10}" + "".join(f"{counts[word]:>9}" for word in VERDICTS))
    sys.exit(1 if any(v.verdict == "wrong" for v in verdicts) else 0)


if __name__ == "__main__":
    main()
