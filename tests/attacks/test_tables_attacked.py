"""Damaged, odd and hostile tables: each is staged whole, or refused in words of ours."""

import gzip
import io
import json
import random
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from attack_run import Attacked, Tally, counted
from hostile_words import EVENTS, IDS, NAMES

from pipeline.config import read_project
from pipeline.edge.faults import as_ours, one_line
from pipeline.engine.duckdb import connected
from pipeline.staging import stage

PROJECT = """\
name = "attacked"
time_zone = "UTC"

[sources.usage_events]
location = "{file}"

[[targets]]
name = "quiet"
kind = "inactivity"
horizon_days = 30
"""
START = datetime(2024, 1, 1)
ROWS = pd.DataFrame(
    {
        "account_id": [f"A{place % 7}" for place in range(140)],
        "event_time": [START + timedelta(days=place // 7) for place in range(140)],
        "event_name": ["login", "report"] * 70,
        "quantity": range(140),
    }
)
CSV = ROWS.to_csv(index=False).encode()
LINES = CSV.split(b"\n")


def parquet(rows: pd.DataFrame | pa.Table) -> bytes:
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_pandas(rows, preserve_index=False)
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def with_column(name: str, values: object) -> bytes:
    table = pa.Table.from_pandas(ROWS, preserve_index=False)
    column = values if isinstance(values, pa.Array) else pa.array(values)
    place = table.column_names.index(name)
    return parquet(table.set_column(place, name, column))


def with_cell(column: str, cell: str) -> bytes:
    return (
        ROWS.astype(str)
        .replace({column: {ROWS[column].astype(str)[3]: cell}})
        .to_csv(index=False)
        .encode("utf-8", "surrogatepass")
    )


def files() -> dict[str, tuple[str, bytes, bool]]:
    """Name -> file name, bytes, and whether it must be refused."""
    chance = random.Random(11)
    whole = parquet(ROWS)
    made: dict[str, tuple[str, bytes, bool]] = {
        "empty": ("u.csv", b"", True),
        "only a header": ("u.csv", LINES[0] + b"\n", True),
        "no header": ("u.csv", b"\n".join(LINES[1:]), True),
        "the same name twice": (
            "u.csv",
            b"account_id,Account_ID,event_time\n1,2,2024-01-01\n",
            True,
        ),
        "other delimiter": ("u.csv", CSV.replace(b",", b";"), True),
        # Read by its mark at the beginning; without one it is refused as any other odd encoding.
        "utf-16": ("u.csv", CSV.decode().encode("utf-16"), False),
        "utf-16 without a mark": ("u.csv", CSV.decode().encode("utf-16-le"), True),
        "utf-32": ("u.csv", CSV.decode().encode("utf-32"), True),
        "latin-1": ("u.csv", CSV.replace(b"login", "caf\u00e9".encode("latin-1")), True),
        "no gzip": ("u.csv.gz", CSV, True),
        "half a gzip": ("u.csv.gz", gzip.compress(CSV)[:-40], True),
        "a Parquet file as CSV": ("u.csv", whole, True),
        "a CSV file as Parquet": ("u.parquet", CSV, True),
        "a CSV file as DuckDB": ("u.duckdb", CSV, True),
        "a CSV file as JSON": ("u.jsonl", CSV, True),
        "half a JSON": ("u.jsonl", b'{"account_id": "A", "event_ti', True),
        "deep JSON": ("u.jsonl", b'{"account_id": ' + b"[" * 3_000, True),
        "JSON of lists": ("u.jsonl", b"[1, 2, 3]\n[4]\n", True),
        "an unknown ending": ("u.xlsx", CSV, True),
        "no such column": ("u.csv", CSV.replace(b"event_time", b"moment"), True),
        "an open quotation mark": ("u.csv", CSV.replace(b"A3", b'"A3', 1), False),
        "nul bytes": ("u.csv", CSV.replace(b"login", b"lo\0gin"), False),
        "a field of a megabyte": ("u.csv", CSV.replace(b"login", b"x" * 1_000_000, 1), False),
        "a thousand columns": (
            "u.csv",
            b"\n".join(
                line + b"," + b",".join(b"c%d" % i if n == 0 else b"1" for i in range(1_000))
                for n, line in enumerate(LINES[:9])
            )
            + b"\n",
            False,
        ),
        "carriage returns": ("u.csv", CSV.replace(b"\n", b"\r"), False),
        "a mark before the text": ("u.csv", b"\xef\xbb\xbf" + CSV, False),
        "hostile column names": (
            "u.csv",
            b"\n".join(
                line + (b',"x"" from t; --",[/b],\x1b[31m' if n == 0 else b",1,2,3")
                for n, line in enumerate(LINES[:9])
            )
            + b"\n",
            False,
        ),
        "no rows in Parquet": ("u.parquet", parquet(ROWS.head(0)), True),
        "times as lists": ("u.parquet", with_column("event_time", [[1]] * 140), True),
        "times as records": ("u.parquet", with_column("event_time", [{"a": 1}] * 140), True),
        "times as bytes": ("u.parquet", with_column("event_time", [b"\xff"] * 140), True),
        "times as flags": ("u.parquet", with_column("event_time", [True] * 140), True),
        "times as durations": (
            "u.parquet",
            with_column("event_time", pa.array([1] * 140, pa.duration("us"))),
            True,
        ),
        "huge times": ("u.parquet", with_column("event_time", [2**62] * 140), True),
        "ids as lists": ("u.parquet", with_column("account_id", [["a"]] * 140), False),
        "ids as floats": ("u.parquet", with_column("account_id", [1.5] * 140), False),
        "no ids": ("u.parquet", with_column("account_id", [None] * 140), True),
        "endless quantities": ("u.parquet", with_column("quantity", [float("inf")] * 140), True),
        "quantities of 38 digits": (
            "u.parquet",
            with_column("quantity", pa.array([10**37] * 140, pa.decimal128(38, 0))),
            True,
        ),
    }
    for place in (1, 2, 5, 9, 14):
        made[f"cut {place} bytes before the end"] = ("u.csv", CSV[: -8 - place], True)
    for place in (20, 200, 1_000, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        made[f"Parquet cut at {place}"] = ("u.parquet", whole[:place], True)
    for number in range(40):
        place = chance.randrange(4, len(whole))
        byte = bytes([whole[place] ^ (1 << chance.randrange(8))])
        made[f"Parquet flipped at {place} ({number})"] = (
            "u.parquet",
            whole[:place] + byte + whole[place + 1 :],
            False,
        )
    for cell in ("0000-00-00", "9999-12-31", "infinity", "-1", "2024-13-45", "1e400", "{}"):
        made[f"a time of {cell}"] = ("u.csv", with_cell("event_time", cell), False)
    for cell in ("1e400", "nan", "-inf", "0x1F", "１２", "1,5", "9" * 60):
        made[f"a quantity of {cell[:9]}"] = ("u.csv", with_cell("quantity", cell), False)
    for kind, words in (("id", IDS), ("event", EVENTS), ("name", NAMES)):
        for place, word in enumerate(words):
            column = "account_id" if kind == "id" else "event_name"
            made[f"{kind} {place}"] = ("u.csv", with_cell(column, word), False)
    return made


def staged(folder: Path) -> Attacked:
    """The source staged as commands do it; what went wrong in the words of the command line."""
    try:
        with connected() as connection:
            source = stage(read_project(folder), folder, connection)["usage_events"]
    except BaseException as error:
        return Attacked(as_ours(error).exit_code, "", one_line(as_ours(error)))
    assert source.rows_read == (
        sum(source.rows_left_out.values()) + sum(source.rows_bad.values()) + source.rows_staged
    )
    return Attacked(0, json.dumps(source.rows_bad), "")


def attack(folder: Path, name: str, content: bytes) -> Attacked:
    folder.mkdir()
    (folder / name).write_bytes(content)
    (folder / "tenure.toml").write_text(PROJECT.format(file=name))
    return staged(folder)


def test_tables_are_staged_whole_or_refused_in_words(tmp_path: Path, tally: Tally) -> None:
    bad: dict[str, Attacked] = {}
    odd: dict[str, Attacked] = {}
    for place, (what, (name, content, must_refuse)) in enumerate(files().items()):
        answer = attack(tmp_path / str(place), name, content)
        (bad if must_refuse else odd)[what] = answer
    must, may = counted(bad), counted(odd, must_refuse=False)
    tally("tables that are none", **must.row())
    tally("tables that are odd", **may.row())
    assert len(bad) + len(odd) >= 100
    assert not must.bad and not may.bad, {**must.bad, **may.bad}


# --- files that somebody is writing


def project_of(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    (folder / "tenure.toml").write_text(PROJECT.format(file=name))
    return folder / name


def test_a_file_that_is_open_for_writing_is_refused(tmp_path: Path) -> None:
    file = project_of(tmp_path, "u.csv", CSV)
    with file.open("ab"):
        answer = staged(tmp_path)
    if answer.code == 0:
        pytest.skip("this file system does not tell who writes")
    assert "is being written by another program" in answer.err
    assert staged(tmp_path).code == 0


@pytest.mark.parametrize("name", ["u.csv", "u.parquet"])
@pytest.mark.parametrize("how", ["written over", "replaced"])
def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, how: str
) -> None:
    """Changed between the first look at it and the last, at the place where rows are counted."""
    from pipeline.staging import sources

    other = ROWS.assign(account_id="B")
    first, second = (
        (CSV, other.to_csv(index=False).encode())
        if name == "u.csv"
        else (parquet(ROWS), parquet(other))
    )
    file = project_of(tmp_path, name, first)

    def changed(original: Callable[..., object]) -> Callable[..., object]:
        def count(*arguments: object) -> object:
            if how == "written over":
                file.write_bytes(second)
            else:
                aside = file.with_suffix(".new")
                aside.write_bytes(second)
                aside.replace(file)
            return original(*arguments)

        return count

    monkeypatch.setattr(sources._Stager, "_count_rows", changed(sources._Stager._count_rows))
    answer = staged(tmp_path)
    assert answer.code == 1 and "written or replaced while it was read" in answer.err
    monkeypatch.undo()
    assert staged(tmp_path).code == 0


def test_a_writer_in_a_loop_is_never_read_half(tmp_path: Path, tally: Tally) -> None:
    """Rows of one export only: all A, or all B, or a refusal."""
    exports = [ROWS.assign(account_id=each).to_csv(index=False).encode() for each in ("AA", "BB")]
    file = project_of(tmp_path, "u.csv", exports[0])
    stop = threading.Event()

    def write() -> None:
        turn = 0
        while not stop.wait(0.25):
            turn += 1
            with file.open("wb") as handle:
                half = len(exports[turn % 2]) // 2
                handle.write(exports[turn % 2][:half])
                handle.flush()
                handle.write(exports[turn % 2][half:])

    writer = threading.Thread(target=write)
    writer.start()
    mixed, whole = 0, 0
    try:
        for _ in range(12):
            try:
                with connected() as connection:
                    stage(read_project(tmp_path), tmp_path, connection)
                    ids = connection.execute(
                        "select count(*), count(distinct account_id) from staged_usage_events"
                    ).fetchall()
                    whole += 1
                    mixed += ids != [(140, 1)]
            except Exception as error:
                assert as_ours(error) is error, error
    finally:
        stop.set()
        writer.join()
    tally("readings of a file that is rewritten in a loop", tried=12, mixed=mixed)
    assert mixed == 0
