"""The benchmark of the dashboard, run small: its figures are of pages that were served."""

import json

from benchmarks.pages import main


def test_figures_are_of_a_page_file_that_was_built_and_served(capsys, tmp_path):
    asked = ["--accounts", "60", "--weeks", "3", "--readers", "2", "--keep", str(tmp_path)]
    main([*asked, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["accounts"] == 60 and found["weeks"] == 3
    kinds = found["pages"]
    assert {*kinds} == {"account", "list", "search", "first page"}
    for figure in ("median_ms", "worst_ms", "cpu_ms"):
        assert found[figure] == max(kind[figure] for kind in kinds.values()) > 0
    assert all(kind["largest_kb"] > 3 for kind in kinds.values())
    assert 0.01 < found["peak_gb"] < 0.5 and found["p95_ms"] > 0
    assert found["start_seconds"] > 0 and found["build_seconds"] > 0
    (file,) = (tmp_path / "pages_60_3" / "pages" / "churn_90d").glob("*.sqlite")
    assert found["file_mb"] == round(file.stat().st_size / 10**6, 1)
