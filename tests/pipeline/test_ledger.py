"""Which run readers see: by date, then by when it was published; a rollback takes back what came
after.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from features.errors import GateRefused, NotFound
from pipeline.ledger import RunRow, append_run, current_run, refuse_taken_back, roll_back, run_rows
from pipeline.storage import Store

START = datetime(2025, 6, 1, 6)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def publish(
    store: Store,
    run_id: str,
    as_of_day: int = 1,
    hour: int = 0,
    target: str = "churn",
    state: str = "published",
) -> None:
    append_run(
        store,
        RunRow.of(
            {
                "run_id": run_id,
                "as_of": datetime(2025, 6, as_of_day),
                "target": target,
                "state": state,
                "published_at": START + timedelta(hours=hour),
            }
        ),
    )


def current(store: Store, target: str = "churn") -> Any:
    run = current_run(store, target)
    return None if run is None else run.run_id


def later(hours: int) -> datetime:
    return START + timedelta(hours=hours)


def test_nothing_published_is_no_run(store: Store) -> None:
    assert current(store) is None and run_rows(store).empty


def test_unknown_run_is_answered_with_whole_ids_and_an_unclear_one_with_its_own(
    store: Store,
) -> None:
    for number in range(3):
        publish(store, f"3f9c0a{number:010}", as_of_day=number + 1, hour=number)
    publish(store, "aa00000000000001", hour=9)
    with pytest.raises(
        NotFound,
        match=r"no run with id 'zz'. Newest runs:\n  aa00000000000001  as of 2025-06-01  churn  "
        r"published\n  3f9c0a0000000002  as of 2025-06-03",
    ):
        roll_back(store, "zz", later(10))
    with pytest.raises(
        NotFound, match="3 runs with id '3f9c'. They are:\n  3f9c0a0000000002"
    ) as caught:
        roll_back(store, "3f9c", later(10))
    assert "aa0000" not in str(caught.value)


def test_newest_date_wins_then_newest_publication(store: Store) -> None:
    publish(store, "b1", as_of_day=2, hour=1)
    publish(store, "a2", as_of_day=1, hour=2)
    assert current(store) == "b1"
    publish(store, "b2", as_of_day=2, hour=3)
    assert current(store) == "b2"


def test_targets_do_not_see_each_other(store: Store) -> None:
    publish(store, "a")
    publish(store, "b", target="expansion", hour=1)
    assert (current(store), current(store, "expansion")) == ("a", "b")


def test_failed_run_is_never_current(store: Store) -> None:
    publish(store, "a")
    publish(store, "b", hour=1, state="failed")
    assert current(store) == "a"
    with pytest.raises(NotFound, match="b failed"):
        roll_back(store, "b", later(2))


@pytest.mark.parametrize("second_day", [1, 2], ids=["same date", "next date"])
def test_rollback_there_and_back(store: Store, second_day: int) -> None:
    publish(store, "a")
    publish(store, "b", as_of_day=second_day, hour=1)
    assert roll_back(store, "a", later(2)) == ["b"]
    assert current(store) == "a"
    roll_back(store, "b", later(3))
    assert current(store) == "b"
    roll_back(store, "a", later(4))
    assert current(store) == "a"


def test_rollback_over_several_runs(store: Store) -> None:
    for hour, run_id in enumerate("abcd"):
        publish(store, run_id, as_of_day=hour + 1, hour=hour)
    assert set(roll_back(store, "b", later(9))) == {"c", "d"}
    assert current(store) == "b"
    assert roll_back(store, "b", later(10)) == []


def test_rollback_leaves_other_targets_alone(store: Store) -> None:
    publish(store, "a")
    publish(store, "b", hour=1)
    publish(store, "x", target="expansion", hour=2)
    roll_back(store, "a", later(3))
    assert current(store, "expansion") == "x"


def test_a_run_taken_back_stays_back_unless_it_is_named(store: Store) -> None:
    """The same inputs give the same run_id, which then was superseded."""
    publish(store, "a")
    publish(store, "b", as_of_day=2, hour=1)
    refuse_taken_back(store, "b")
    roll_back(store, "a", later(2))
    with pytest.raises(GateRefused, match="run b of 2025-06-02 was taken back .*rolled back to a"):
        refuse_taken_back(store, "b")
    refuse_taken_back(store, "c")  # other inputs are another run
    roll_back(store, "b", later(3))
    refuse_taken_back(store, "b")
    assert current(store) == "b"


def test_naming_one_run_leaves_others_back(store: Store) -> None:
    for hour, run_id in enumerate("abc"):
        publish(store, run_id, as_of_day=hour + 1, hour=hour)
    roll_back(store, "a", later(4))
    roll_back(store, "c", later(5))
    assert current(store) == "c"
    with pytest.raises(GateRefused):
        refuse_taken_back(store, "b")


def test_start_of_an_id_is_enough_unless_it_fits_several(store: Store) -> None:
    publish(store, "abc1")
    publish(store, "abc2", hour=1)
    with pytest.raises(NotFound, match=r"2 runs with id 'abc'. They are:\n  abc2 .*\n  abc1 "):
        roll_back(store, "abc", later(2))
    roll_back(store, "abc1", later(2))
    assert current(store) == "abc1"


@pytest.mark.parametrize("run_id", ["zzz", ""])
def test_unknown_run_lists_the_newest(store: Store, run_id: str) -> None:
    publish(store, "a")
    with pytest.raises(NotFound, match="Newest runs:\n  a  as of 2025-06-01  churn  published"):
        roll_back(store, run_id, later(1))
