"""A store, an MLflow and model files that were damaged: told in words, never taken for nothing."""

import hashlib
import io
import os
import shutil
import sqlite3
import struct
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from attack_run import Attacked, Tally, counted, run_command

from features.errors import StoreError
from models.bundle import LARGEST_MODEL, Bundle, unpack_bundle, write_bundle
from models.calibration import Platt
from models.health import scale_from_anchors
from models.methods import Constant
from models.model import Member, Model
from pipeline import tracking
from pipeline.edge.faults import as_ours, one_line


def _overwrite(pattern: str, content: bytes) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        files = [file for file in folder.glob(pattern) if file.is_file()]
        assert files, pattern
        for file in files:
            file.write_bytes(content)

    return damage


def _half(pattern: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        files = [file for file in folder.glob(pattern) if file.is_file()]
        assert files, pattern
        for file in files:
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    return damage


def _remove(pattern: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        paths = list(folder.glob(pattern))
        assert paths, pattern
        for path in paths:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return damage


EXPLAIN, FORGET, SCORE = ("explain", "a/b"), ("forget", "a/b", "--yes"), ("evaluate",)
DAMAGES: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "ledger gone": (_remove("store/runs"), EXPLAIN),
    "ledger's log gone": (_remove("store/runs/_delta_log"), EXPLAIN),
    "ledger's log is no JSON": (_overwrite("store/runs/_delta_log/*.json", b"{"), EXPLAIN),
    "ledger's log is empty": (_overwrite("store/runs/_delta_log/*.json", b""), EXPLAIN),
    "ledger's rows gone": (_remove("store/runs/*.parquet"), EXPLAIN),
    "ledger's rows are half": (_half("store/runs/*.parquet"), EXPLAIN),
    "scores are half": (_half("store/scores/**/*.parquet"), EXPLAIN),
    "scores are gone": (_remove("store/scores/**/*.parquet"), EXPLAIN),
    "scores are no Parquet": (_overwrite("store/scores/**/*.parquet", b"PAR1PAR1"), EXPLAIN),
    "drivers are empty": (_overwrite("store/drivers/**/*.parquet", b""), EXPLAIN),
    "portfolio is half": (_half("store/portfolio/**/*.parquet"), EXPLAIN),
    "forget on half a table": (_half("store/scores/**/*.parquet"), FORGET),
    "database is no database": (_overwrite("mlruns/mlflow.db", b"x" * 9_000), SCORE),
}


@pytest.fixture(scope="module")
def damaged(hostile_company: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Attacked]:
    """Each damage on a copy, and what a command said of it."""
    answers = {}
    for place, (what, (damage, command)) in enumerate(DAMAGES.items()):
        copy = tmp_path_factory.mktemp("damaged") / str(place)
        for part in ("store", "mlruns", "tenure.toml"):
            source = hostile_company / part
            (shutil.copytree if source.is_dir() else _copy)(source, copy / part)
        os.symlink(hostile_company / "data", copy / "data")
        damage(copy)
        answers[what] = run_command(*command, "--project", copy)
    return answers


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def test_damage_is_told_and_never_taken_for_nothing(
    damaged: dict[str, Attacked], tally: Tally
) -> None:
    count = counted(damaged)
    tally("damages of store and MLflow", **count.row())
    assert not count.bad, count.bad


def test_a_lost_ledger_begins_no_new_history(damaged: dict[str, Attacked]) -> None:
    for what in ("ledger gone", "ledger's log gone"):
        assert "the ledger `runs`" in damaged[what].err, damaged[what].err


def test_a_locked_database_is_waited_for_a_stated_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "WAIT_SECONDS", 0.2)
    holder = sqlite3.connect(tmp_path / "mlflow.db")
    holder.execute("create table t (a)")
    holder.execute("begin exclusive")
    with pytest.raises(StoreError, match="locked by another program; waited for 0.2 seconds"):
        tracking.refuse_damaged(tmp_path)
    holder.rollback()
    tracking.refuse_damaged(tmp_path)
    holder.close()


def test_an_mlflow_that_does_not_answer_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    address = "http://ann:s3cret-word@127.0.0.1:9"
    with pytest.raises(Exception) as caught:
        tracking.alias_version(tracking.client(tmp_path, address), "model", "champion")
    said = one_line(as_ours(caught.value))
    assert "MLflow cannot be used" in said and "s3cret-word" not in said


# --- model files


def packed(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def _encrypted() -> bytes:
    content = bytearray(packed({"bundle.json": b"{}"}))
    for sign, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = bytes(content).index(sign) + offset
        content[place : place + 2] = struct.pack("<H", 1)
    return bytes(content)


def _strangely_packed() -> bytes:
    content = bytearray(packed({"bundle.json": b"{}"}))
    for sign, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        place = bytes(content).index(sign) + offset
        content[place : place + 2] = struct.pack("<H", 99)
    return bytes(content)


def hashed(bundle: bytes, **models: bytes) -> bytes:
    """A packed bundle whose own hash is right, whatever its text is."""
    digest = hashlib.sha256()
    files = {"bundle.json": bundle}
    for name in ("model", "scorecard"):
        content = models.get(name)
        if content is not None:
            files[f"{name}/hashes.json"] = content
    for name in ("bundle.json", "model/hashes.json", "scorecard/hashes.json"):
        digest.update(name.encode() + b"\0" + files.get(name, b""))
    return packed({**files, "bundle.sha256": digest.hexdigest().encode()})


def packed_twice() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("bundle.json", b"{}")
        archive.writestr("bundle.json", b"[]")
    return out.getvalue()


def lying(packed_model: bytes, said: int) -> bytes:
    """The same with `said` as the size of its last file."""
    content = bytearray(packed_model)
    place = packed_model.rindex(b"PK\x01\x02") + 24
    content[place : place + 4] = struct.pack("<I", said)
    return bytes(content)


def bomb() -> bytes:
    """More than a model may hold, of nothing, in a megabyte."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("bundle.json", "w", force_zip64=True) as entry:
            for _ in range(LARGEST_MODEL // 2**20 + 8):
                entry.write(bytes(2**20))
    return out.getvalue()


def stranger() -> bytes:
    """A whole model with one file more."""
    with tempfile.TemporaryDirectory() as aside:
        method = Constant()
        method.rate_, method.signals_ = 0.1, 0
        model = Model((Member(method, 1.0),), (), Platt())
        folder = Path(aside) / "bundle"
        write_bundle(Bundle(model, None, scale_from_anchors(0.3, 0.1), {}), folder)
        (folder / "model" / "more.txt").write_text("x")
        return packed(
            {
                p.relative_to(folder).as_posix(): p.read_bytes()
                for p in folder.rglob("*")
                if p.is_file()
            }
        )


BOMB = bomb()
IMPORTS = {
    "empty": b"",
    "no zip": b"model",
    "half a zip": packed({"bundle.json": b"{}" * 500})[:60],
    "no bundle": packed({"readme.txt": b"hello"}),
    "path above": packed({"../evil.txt": b"x"}),
    "absolute path": packed({"/etc/evil": b"x"}),
    "deep path": packed({"a/b/c/d": b"x"}),
    "encrypted": _encrypted(),
    "strangely packed": _strangely_packed(),
    "wrong hash": packed({"bundle.json": b"{}", "bundle.sha256": b"0" * 64}),
    "hash of bytes": packed({"bundle.json": b"{}", "bundle.sha256": b"\xff\xfe"}),
    "right hash, no JSON": hashed(b"{"),
    "right hash, other JSON": hashed(b"[]"),
    "right hash, null": hashed(b"null"),
    "right hash, nothing in it": hashed(b"{}"),
    "right hash, deep": hashed(b"[" * 50_000),
    "right hash, no text": hashed(b"\xff\xfe\x00"),
    "right hash, no model": hashed(b'{"has_scorecard": false, "scale": {}}'),
    "right hash, hashes are no JSON": hashed(b'{"has_scorecard": false}', model=b"{"),
    "right hash, hashes are a list": hashed(b'{"has_scorecard": false}', model=b"[1]"),
    "right hash, hashes name a path": hashed(
        b'{"has_scorecard": false}', model=b'{"../../etc/passwd": "0"}'
    ),
    "ten thousand files": packed({f"model/{place}": b"" for place in range(10_000)}),
    "the same file twice": packed_twice(),
    "a folder for a file": packed({"bundle.json/": b""}),
    "a bomb": BOMB,
    "a bomb that lies about its size": lying(BOMB, 100),
    "a file that no hash speaks of": stranger(),
    "nul in a name": packed({"bundle.json": b"{}"}).replace(b"bundle.json", b"bundle\0json"),
}


def test_model_files_that_are_none_are_refused_in_words(tmp_path: Path, tally: Tally) -> None:
    answers = {}
    for place, (what, content) in enumerate(IMPORTS.items()):
        file = tmp_path / f"{place}.zip"
        file.write_bytes(content)
        try:
            unpack_bundle(file, tmp_path / f"{place}")
            answers[what] = Attacked(0, "", "")
        except Exception as error:
            ours = as_ours(error)
            answers[what] = Attacked(ours.exit_code, "", one_line(ours))
        assert not (tmp_path / f"{place}").exists(), what
    count = counted(answers)
    tally("model files that are none", **count.row())
    assert not count.bad, count.bad
    assert not (tmp_path.parent / "evil.txt").exists()
