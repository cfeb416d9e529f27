"""`benchmarks.batch`: costs per command, and growth beside the smallest size."""

import json

import pytest

from benchmarks import batch
from benchmarks.batch import Cost, cost_of, growth, measure, write_company


def costs(accounts: int, seconds: float) -> dict[str, float]:
    return {
        "accounts": accounts,
        "night_seconds": seconds,
        "night_peak_gb": 1.0,
        "train_seconds": 2 * seconds,
        "train_peak_gb": 1.0,
    }


def test_growth_is_per_account_beside_the_smallest_size():
    small, large = growth([costs(1_000, 10.0), costs(4_000, 60.0)])
    assert set(small["growth"].values()) == {1.0}
    # Four times the accounts in six times the time, and in the same memory.
    assert large["growth"] == {
        "night_seconds": 1.5,
        "night_peak_gb": 0.25,
        "train_seconds": 1.5,
        "train_peak_gb": 0.25,
    }


def test_a_command_is_measured_in_a_process_of_its_own():
    cost = cost_of(["--version"])
    assert cost.code == 0 and cost.printed.strip()
    assert 0 < cost.cpu_seconds and 0 < cost.seconds
    assert 0.01 < cost.peak_gb < 1.0


def test_a_command_that_fails_ends_the_measurement(tmp_path):
    with pytest.raises(SystemExit, match="score"):
        cost_of(["score", "--project", str(tmp_path / "nowhere")])


def test_a_company_is_written_once_with_the_memory_it_may_take(tmp_path):
    rows = write_company(tmp_path, 50, memory_gb=1.5)
    assert rows > 50
    assert "[engine]\nmemory_gb = 1.5\n" in (tmp_path / "tenure.toml").read_text()
    assert not [*(tmp_path / "truth").glob("*.parquet")]


def test_steps_of_a_night_stand_beside_the_commands_of_a_training(tmp_path, monkeypatch):
    asked = []

    def fake(arguments):
        asked.append(arguments[0])
        steps = [{"step": "stage", "seconds": 2.04, "peak": 1000}]
        return Cost(
            3.04, 2.0, 1.5, 3 if arguments[0] == "promote" else 0, json.dumps({"steps": steps})
        )

    monkeypatch.setattr(batch, "cost_of", fake)
    found = measure(50, folder=tmp_path)
    # A candidate that a gate refused is scored by the scorecard, so that the night has something.
    assert asked == ["features", "train", "evaluate", "promote", "promote", "night"]
    assert found["was_refused"]
    assert found["train_seconds"] == pytest.approx(4 * 3.04, abs=0.05)
    assert found["steps"]["night: stage"] == {"seconds": 2.0, "peak_gb": 1.05}
    assert found["steps"]["train"] == {"seconds": 3.0, "cpu_seconds": 2.0, "peak_gb": 1.5}
