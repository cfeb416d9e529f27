"""Tables are replaced whole or not at all; one writer at a time; equal content has one hash."""

import errno
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pipeline.storage
from features.errors import NotFound, StoreError
from pipeline.edge.locks import PATIENCE
from pipeline.storage import Store, content_hash

ROWS = pd.DataFrame({"target": ["a", "b"], "n": [1, 2]})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_write_replaces_the_whole_table_and_its_columns(store: Store) -> None:
    store.write("t", ROWS)
    store.write("t", pd.DataFrame({"other": [1.5]}))
    assert store.read("t").to_dict("list") == {"other": [1.5]}


def test_replace_touches_only_rows_of_the_predicate(store: Store) -> None:
    store.write("t", ROWS, replace="target = 'a'", partition_by=["target"])
    store.write(
        "t",
        pd.DataFrame({"target": ["a"], "n": [9]}),
        replace="target = 'a'",
        partition_by=["target"],
    )
    assert sorted(store.read("t").itertuples(index=False, name=None)) == [("a", 9), ("b", 2)]


def test_append_keeps_what_was_there(store: Store) -> None:
    store.write("t", ROWS, append=True)
    store.write("t", ROWS, append=True)
    assert len(store.read("t")) == 4


def test_no_table_names_the_command_that_writes_it(store: Store) -> None:
    with pytest.raises(NotFound, match=r"no table `scores`.*tenure run"):
        store.read("scores")


def test_full_disk_leaves_the_old_table(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write("t", ROWS)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pipeline.storage, "write_deltalake", full)
    with pytest.raises(StoreError, match=r"is full; nothing was published. Free space"):
        store.write("t", ROWS.iloc[:1])
    monkeypatch.undo()
    assert len(store.read("t")) == 2


def test_write_that_breaks_off_in_the_file_leaves_the_old_table(store: Store) -> None:
    """A real failure below Delta: the process may write files of at most 100 kB."""
    store.write("t", ROWS)
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ,"
        " signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\nimport"
        " numpy as np, pandas as pd\nfrom pathlib import Path\nfrom features.errors import"
        " StoreError\nfrom pipeline.storage import Store\ntry:\n   "
        " Store(Path(sys.argv[1])).write('t', pd.DataFrame({'n':"
        " np.random.default_rng(0).random(200_000)}))\nexcept StoreError as error:\n   "
        " print('StoreError', error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(store.folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert done.stdout.startswith("StoreError"), done.stderr
    assert "Nothing was published" in done.stdout
    pd.testing.assert_frame_equal(store.read("t"), ROWS, check_dtype=False)


def test_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"), Store(tmp_path / "file" / "store").writing():
        pass


def _hold(
    folder: str,
    ready: "multiprocessing.synchronize.Event",
    end: "multiprocessing.synchronize.Event",
) -> None:
    with Store(Path(folder)).writing():
        ready.set()
        end.wait(60)


def test_second_writer_is_told_who_holds_the_store(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    ready, end = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(str(store.folder), ready, end))
    other.start()
    try:
        assert ready.wait(60)
        with (
            pytest.raises(
                StoreError, match=rf"in use by process {other.pid}.*readers are not affected"
            ),
            store.writing(),
        ):
            pass
        store.write("t", ROWS)  # what is held is the command, not the reading
        assert len(store.read("t")) == 2
    finally:
        other.kill()  # a killed holder lets go by itself
        other.join()
    with store.writing():
        pass


def test_second_writer_waits_as_long_as_it_was_told(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    context = multiprocessing.get_context("spawn")
    ready, end = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(str(store.folder), ready, end))
    other.start()
    patience = PATIENCE.set(0.5)
    try:
        assert ready.wait(60)
        with pytest.raises(StoreError, match="let this one wait: `tenure --wait"), store.writing():
            pass
        assert f"waiting up to 0.5 s for process {other.pid}" in capsys.readouterr().err
        PATIENCE.set(60.0)
        threading.Timer(0.5, end.set).start()
        with store.writing():
            assert end.is_set()
    finally:
        PATIENCE.reset(patience)
        other.kill()
        other.join()


@given(st.permutations(range(5)))
def test_content_hash_ignores_order_of_rows_and_columns(order: list[int]) -> None:
    table = pd.DataFrame(
        {
            "k": list("abcde"),
            "x": [0.1, np.nan, -0.0, 3.0, 1e300],
            "s": ["p", None, "", "q", "é"],
            "t": pd.to_datetime(["2024-01-01"] * 4 + [None]),
        }
    )
    other = table.iloc[order][["t", "s", "x", "k"]]
    assert content_hash(table, ["k"]) == content_hash(other, ["k"])


@pytest.mark.parametrize(("column", "value"), [("x", 0.30000000000000004), ("s", None), ("k", "z")])
def test_content_hash_sees_every_value(column: str, value: object) -> None:
    table = pd.DataFrame({"k": ["a", "b"], "x": [0.3, 1.0], "s": ["", "q"]})
    changed = table.copy()
    changed[column] = changed[column].astype(object)
    changed.loc[0, column] = value
    assert content_hash(table, ["k"]) != content_hash(changed.infer_objects(), ["k"])
    assert content_hash(table, ["k"], without=[column]) == content_hash(
        changed, ["k"] if column != "k" else [], without=[column]
    )


def test_content_hash_is_the_same_after_a_round_trip(store: Store) -> None:
    table = pd.DataFrame(
        {
            "k": ["a", "b"],
            "n": pd.array([1, None], dtype="Int64"),
            "t": pd.to_datetime(["2024-01-01", None]),
        }
    )
    store.write("t", pa.Table.from_pandas(table, preserve_index=False))
    assert content_hash(store.read("t"), ["k"]) == content_hash(table, ["k"])


def test_a_table_written_every_night_does_not_grow(store: Store) -> None:
    """Sixty nights: replaced whole, appended to, and a partition a night that is written twice."""
    for night in range(60):
        store.write("replaced", pd.DataFrame({"n": [night]}))
        store.write("appended", pd.DataFrame({"n": [night]}), append=True)
        for _ in range(2):
            store.write(
                "nightly",
                pd.DataFrame({"n": [night], "night": [str(night)]}),
                replace=f"night = '{night}'",
                partition_by=["night"],
            )
        for table in ("replaced", "appended", "nightly"):
            store.keep_versions(table, 0)
    files = {
        table: len(list(store.path(table).rglob("*.parquet")))
        for table in ("replaced", "appended", "nightly")
    }
    assert files["replaced"] <= 4 and files["appended"] <= 23 and files["nightly"] <= 64, files
    for table in files:
        assert len(list((store.path(table) / "_delta_log").glob("*.json"))) <= 26, table
    assert sorted(store.read("appended")["n"]) == list(range(60))
    assert len(store.read("nightly")) == 60 and list(store.read("replaced")["n"]) == [59]


def test_files_that_a_killed_writer_left_go_after_the_kept_days(store: Store) -> None:
    store.write("t", pd.DataFrame({"n": [1]}))
    left, fresh = (store.path("t") / f"part-{name}.parquet" for name in ("left", "fresh"))
    for file in (left, fresh):
        file.write_bytes(b"half")
    long_ago = time.time() - 10 * 86_400
    os.utime(left, (long_ago, long_ago))
    store.keep_versions("t", 9)
    assert not left.exists() and fresh.exists() and list(store.read("t")["n"]) == [1]


def test_a_store_may_lie_in_a_folder_with_a_blank(tmp_path: Path) -> None:
    store = Store(tmp_path / "my store ü")
    store.write("rows", pd.DataFrame({"a": [1]}))
    (file,) = store.files("rows")
    assert Path(file).exists()
    pinned = Store(tmp_path / "aside", pinned={"rows": (store.path("rows"), 0)})
    assert list(pinned.read("rows")["a"]) == [1]
