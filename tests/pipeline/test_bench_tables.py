"""The tables of `tenure bench` in a terminal: no line wider than a hundred letters, nothing lost."""

import io

import pandas as pd
from rich.console import Console

from models.bench import METRICS, BenchResult
from pipeline.reports.bench import HEADINGS, WIDTH, bench_lines

METHODS = ("constant", "four_indicators", "weighted_average", "tuned")


def result() -> BenchResult:
    ends = {f"minus_{other}{end}": -0.0123 for other in ("tuned", "constant") for end in ("", "_low", "_high")}
    figures = [{"method": method, "metric": metric, "value": -3_032.1 if metric == "profit" else 0.7123, "low": -3_253.4,
                "high": -2_777.7, **ends} for method in METHODS for metric in METRICS]
    validation = [{"method": method, "words": f"what {method} does", "log_loss": 0.14, "auc": 0.7, "minus_best": 0.01,
                   "minus_best_low": 0.0, "minus_best_high": 0.02, "is_adequate": method == "tuned", "gives_reasons": True,
                   "seconds": 11.5, "inputs": 404} for method in METHODS]
    test = {"validation_from": "2024-05-12", "validation_until": "2024-09-01", "validation_leaving_accounts": 64,
            "as_of": ["2024-12-22"], "n": 2028, "leaving_accounts": 43, "alarms_per_date": 30.0}
    return BenchResult(pd.DataFrame(figures), pd.DataFrame(validation), "tuned", "it has the smallest log loss", {}, {}, test)


def test_tables_fit_a_hundred_letters_and_hold_every_figure() -> None:
    out = io.StringIO()
    console = Console(file=out, width=400, highlight=False)
    for line in bench_lines(result()):
        console.print(line)
    text = out.getvalue()
    prose = ("methods:", "chosen on", "recommended:")
    tables = [line.rstrip() for line in text.splitlines() if not line.startswith(prose)]
    assert max(map(len, tables)) <= WIDTH
    for heading in (*HEADINGS.values(), "log loss - tuned", "log loss - constant"):
        assert heading in text
    for method in METHODS:
        assert f"{method}: what {method} does" in text
