"""Exports of many programs, as `python -m benchmarks.exports` judges them."""

from pathlib import Path

import pytest

from benchmarks._export_inputs import INPUTS, ExportInput
from benchmarks.exports import judged

# The other kinds are asked about in test_export_questions.py.
KINDS = ("files", "names", "time", "moments", "lists")
MORE = (
    "braces",
    "spreadsheet-text",
    "no-break-space",
    "prefix",
    "scientific-comma",
    "round-amounts",
    "credits-of-a-bank",
    "thousands-as-letters",
    "zero-for-none",
    "far-day-of-many",
    "french",
    "until-the-period-ends",
)
CHOSEN = [export for export in INPUTS if export.kind in KINDS or export.name in MORE]


@pytest.mark.parametrize("export", CHOSEN, ids=lambda e: f"{e.kind}-{e.name}")
def test_export_is_read_or_asked_about(export: ExportInput, tmp_path: Path) -> None:
    found = judged(export, tmp_path)
    assert found.verdict in export.allowed, found.why
