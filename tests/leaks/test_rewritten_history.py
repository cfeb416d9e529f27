"""History rewritten near departures: what `check` finds without a clock, and what it leaves alone."""

import numpy as np
import pandas as pd
import pytest

from benchmarks._rewritten import HONEST, REWRITINGS, company, write
from benchmarks.leaks import NOW
from pipeline.checking import check_sources
from pipeline.checking.rewritten import _are_apart, _Quarter
from pipeline.engine.duckdb import connected
from pipeline.jobs.stage import stage_sources
from pipeline.workspace import open_workspace

FOUND = {
    "attribute enriched for leavers": "filled-apart",
    "total of the whole life on every row": "total-on-every-row",
    "use of leavers deleted": "filled-apart",
    "month totals stamped early": "totals-of-a-month",
}
QUIET = ("nothing rewritten", "use stops 75 days before the end")
COMPANY: list[tuple[dict[str, pd.DataFrame], pd.Series]] = []


def stops(folder, name):
    """Findings that stop, of one company of 300 accounts."""
    if not COMPANY:
        COMPANY.append(company(1, 300))
    tables, gone = COMPANY[0]
    case = next(each for each in (*REWRITINGS, *HONEST) if each.name == name)
    write({**tables, **case.changes(tables, gone, np.random.default_rng(1))}, folder)
    workspace = open_workspace(folder, None, NOW)
    with workspace.store.writing(), connected() as connection:
        stage_sources(workspace, connection)
        return {f.name for f in check_sources(workspace, connection).stops}


@pytest.mark.parametrize("name", FOUND)
def test_rewriting_stops(tmp_path, name):
    assert FOUND[name] in stops(tmp_path, name)


@pytest.mark.parametrize("name", QUIET)
def test_honest_company_is_not_refused(tmp_path, name):
    assert stops(tmp_path, name) <= {"no-labels"}


@pytest.mark.parametrize(
    ("quarters", "are_apart"),
    [
        ([_Quarter(20, 0.9, 30, 0.1), _Quarter(20, 0.8, 30, 0.2)], True),
        ([_Quarter(20, 0.9, 30, 0.1), _Quarter(20, 0.4, 30, 0.2)], False),
        ([_Quarter(20, 0.9, 30, 0.1), _Quarter(20, 0.1, 30, 0.9)], False),
        ([_Quarter(40, 0.9, 60, 0.1)], False),
        ([_Quarter(6, 0.9, 30, 0.1), _Quarter(6, 0.8, 30, 0.2)], False),
    ],
)
def test_a_gap_in_every_quarter_is_needed(quarters, are_apart):
    assert _are_apart(quarters) is are_apart
