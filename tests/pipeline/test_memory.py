"""What `[engine] memory_gb` allows is shared out, said, and refused where it is too little."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_company import Command, Company

from features.errors import ConfigError
from models.plan import LEAST
from models.training import train
from pipeline.engine import memory
from pipeline.engine.duckdb import connected, row
from pipeline.jobs.prepare import load_training
from pipeline.jobs.scoring_rows import BYTES_OF_AN_ACCOUNT, ROWS_READ_AT_ONCE
from pipeline.jobs.train import plan_in_memory, plan_of


@pytest.fixture(autouse=True)
def nothing_declared() -> Iterator[None]:
    yield
    memory.allow(None)


def declare(project: Path, memory_gb: float) -> None:
    file = project / "tenure.toml"
    file.write_text(f"{file.read_text()}\n[engine]\nmemory_gb = {memory_gb}\n")


def test_half_of_the_machine_or_container_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text("6000000000\n")
    monkeypatch.setattr(memory, "_CGROUP_LIMIT", limit)
    memory.allow(None)
    assert memory.allowed_gb() == pytest.approx(min(6.0, memory.machine_gb()) / 2)
    limit.write_text("900000000\n")
    assert memory.allowed_gb() == memory.LEAST_GB
    limit.write_text("max\n")
    assert memory.machine_gb() > 0.9


def test_the_database_spills_beyond_its_share() -> None:
    memory.allow(2.0)
    with connected() as connection:
        (limit,) = row(connection, "select current_setting('memory_limit')")
    assert limit == "953.6 MiB"  # two thirds of what the libraries leave of 2 GB


def test_fewer_accounts_are_scored_at_a_time_where_fewer_fit() -> None:
    memory.allow(2.0)
    few = memory.rows_at_once(BYTES_OF_AN_ACCOUNT, ROWS_READ_AT_ONCE)
    memory.allow(64.0)
    assert few < memory.rows_at_once(BYTES_OF_AN_ACCOUNT, ROWS_READ_AT_ONCE) == ROWS_READ_AT_ONCE


def test_a_model_learns_from_a_sample_that_is_said_where_not_all_rows_fit(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, target = company.workspace()
    rows, _, _ = load_training(workspace, target)
    plan = plan_of(workspace, target)
    assert plan_in_memory(plan, rows) == (plan, ())
    taught = int((~rows.keys["is_test"]).sum())
    table = 8 * len(rows.signals) / memory.GIGABYTE
    fit = LEAST["max_rows"] + 200
    assert fit < taught
    enough = memory.LIBRARIES_GB + table * (len(rows) + memory.LEARNING_COPIES * (fit + 0.5))
    monkeypatch.setattr(memory, "LEAST_GB", 0.0)
    memory.allow(enough)
    lighter, notes = plan_in_memory(plan, rows)
    assert lighter == replace(plan, max_rows=fit, search_rows=fit)
    assert f"{fit:,} of {taught:,} rows" in notes[0] and "memory_gb" in notes[0]
    learned = train(rows, replace(lighter, trials=0))
    assert learned.model.training.rows == fit
    memory.allow(memory.LIBRARIES_GB + table * len(rows))
    with pytest.raises(ConfigError, match=r"takes .* GB with a sample of 1,000, and \[engine\]"):
        plan_in_memory(plan, rows)


def test_half_a_gigabyte_is_refused_with_what_is_needed(
    company_copy: Company, tenure: Command
) -> None:
    declare(company_copy.folder, 0.5)
    answer = tenure("evaluate", "--project", company_copy.folder)
    assert answer.code == 2 and answer.out == ""
    assert "memory_gb = 0.5 is too little" in answer.err and "needs 1 GB" in answer.err


def test_a_long_command_ends_with_the_most_memory_it_held(
    company_copy: Company, tenure: Command
) -> None:
    declare(company_copy.folder, 4)
    answer = tenure("evaluate", "--project", company_copy.folder)
    last = answer.out.strip().splitlines()[-1]
    assert "memory" in last and last.endswith("[engine] memory_gb allows 4.00")
    held = float(last.split(" GB at most")[0].split()[-1])
    assert 0.1 < held < 64 and np.isfinite(held)


def test_a_store_on_an_object_store_is_refused_in_one_line(
    company_copy: Company, tenure: Command
) -> None:
    file = company_copy.folder / "tenure.toml"
    kept = [line for line in file.read_text().splitlines() if not line.startswith("[store]")]
    file.write_text("\n".join(kept) + '\n[store]\nuri = "s3://bucket/store"\n')
    answer = tenure("evaluate", "--project", company_copy.folder)
    assert answer.code == 2 and "object stores cannot hold the store yet" in answer.err
    assert not (company_copy.folder / "s3:").exists()
