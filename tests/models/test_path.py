"""The cheapest combination, against trying all of them."""

import itertools

import numpy as np
import pytest

from models.path import cheapest_path, combinations, effort_of


def test_combinations_come_cheapest_first_and_all_of_them() -> None:
    every = combinations([2.0, 1.5, 4.0], [2, 3, 1])
    efforts = [effort_of(steps, [2.0, 1.5, 4.0]) for steps in every]
    assert efforts == sorted(efforts)
    assert set(every) == set(itertools.product(range(3), range(4), range(2))) - {(0, 0, 0)}


@pytest.mark.parametrize("seed", range(60))
def test_none_is_cheaper(seed: int) -> None:
    """Healths that rise and fall as they like; batches of several sizes."""
    generator = np.random.default_rng(seed)
    most = generator.integers(0, 4, 3).tolist()
    if not any(most):
        most[0] = 1
    efforts = generator.uniform(0.5, 3.0, 3).round(2).tolist()
    healths = {
        steps: int(generator.integers(20, 80))
        for steps in itertools.product(*(range(each + 1) for each in most))
    }
    edge = int(generator.integers(40, 90))
    asked: list[tuple[int, ...]] = []

    def health_of(batch: object) -> list[int]:
        asked.extend(batch)  # type: ignore[arg-type]
        return [healths[steps] for steps in batch]  # type: ignore[attr-defined]

    found = cheapest_path(efforts, most, health_of, lambda h: h >= edge, 1 + seed % 7)
    del healths[(0, 0, 0)]
    reaching = {s: effort_of(s, efforts) for s, health in healths.items() if health >= edge}
    if reaching:
        assert found.steps is not None and found.effort == min(reaching.values())
        assert healths[found.steps] == found.health >= edge
        assert found.tried <= len(asked) <= len(healths)
    else:
        assert found.steps is None and np.isnan(found.effort) and found.tried == len(healths)
        assert found.health == max(healths.values()) == healths[found.best]


def test_without_a_step_there_is_nothing_to_try() -> None:
    with pytest.raises(ValueError, match="no lever has a step"):
        cheapest_path([1.0], [0], lambda _: [], lambda _: True, 8)
