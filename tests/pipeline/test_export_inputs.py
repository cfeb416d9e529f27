"""Exports of many programs, as `python -m benchmarks.exports` judges them."""

from pathlib import Path

import pytest

from benchmarks._export_inputs import INPUTS, ExportInput
from benchmarks.exports import judged


@pytest.mark.parametrize("export", INPUTS, ids=lambda e: f"{e.kind}-{e.name}")
def test_export_is_read_or_asked_about(export: ExportInput, tmp_path: Path) -> None:
    found = judged(export, tmp_path)
    assert found.verdict in export.allowed, found.why
