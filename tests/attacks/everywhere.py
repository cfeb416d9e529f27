"""Every file below a folder, read in every way a file can be read, searched for words."""

import gzip
import html
import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow.parquet as pq


def files_with(folder: Path, words: Iterable[str]) -> dict[str, list[str]]:
    """File -> the words it holds: in its name, its bytes, its decoded values, its text with escapes
    undone.
    """
    wanted = {word: _forms(word) for word in words}
    found = {}
    for file in sorted(folder.rglob("*")):
        if not file.is_file():
            continue
        texts = [file.name, *_texts(file)]
        held = [
            word
            for word, forms in wanted.items()
            if any(form in text for form in forms for text in texts)
        ]
        if held:
            found[file.relative_to(folder).as_posix()] = held
    return found


def _forms(word: str) -> set[str]:
    plain = {word, json.dumps(word)[1:-1], json.dumps(word, ensure_ascii=False)[1:-1]}
    return plain | {json.dumps(each)[1:-1] for each in plain} | {word.replace('"', '""')}


def _texts(file: Path) -> Iterator[str]:
    content = file.read_bytes()
    yield content.decode("utf-8", "replace")
    yield html.unescape(content.decode("utf-8", "replace"))
    if content[:2] == b"\x1f\x8b":
        yield gzip.decompress(content).decode("utf-8", "replace")
    if content[:4] == b"PAR1":
        table = pq.ParquetFile(file)
        yield repr(table.metadata.metadata)
        for batch in table.iter_batches():
            for column in batch.columns:
                distinct = column.unique().to_pylist() if _is_plain(column) else column.to_pylist()
                yield "\n".join(map(str, distinct))
    if content[:15] == b"SQLite format 3":
        with sqlite3.connect(file) as database:
            yield "\n".join(database.iterdump())


def _is_plain(column: object) -> bool:
    kind = str(getattr(column, "type", ""))
    return not any(nested in kind for nested in ("struct", "list", "map"))
