"""What acting by chance and cost saves, by hand and beside rules that know less."""

import numpy as np
import pandas as pd
import pytest

from models.costs import savings


def test_savings_by_hand() -> None:
    labels = np.array([1, 1, 0, 0], dtype=np.int8)
    chance = np.array([0.5, 0.1, 0.5, 0.1])
    missed, contact = np.array([100.0, 20.0, 100.0, 100.0]), np.full(4, 20.0)
    told = savings(labels, chance, missed, contact, pd.Series(list("abcd")), constant=0.3)
    # Acted on: a and c (0.5 x 100 > 20). b is missed (20), d is left alone.
    assert (told.rows, told.acted_on) == (4, 2)
    assert told.cost == 20 + 20 + 20
    assert (told.cost_nobody, told.cost_everybody) == (120.0, 80.0)
    assert told.saved.value == pytest.approx(1 - 60 / 80)
    # With 0.3 for all, a, c and d are called and b is missed: nothing is saved.
    assert told.saved_constant == pytest.approx(0.0)
    assert "acting on 2 of 4 rows" in told.words and "25% saved" in told.words


def test_true_chances_save_more_than_one_chance_for_all_and_ignorance_saves_nothing() -> None:
    generator = np.random.default_rng(4)
    rows = 6_000
    chance = generator.beta(0.6, 4.0, rows)
    labels = (generator.random(rows) < chance).astype(np.int8)
    missed, contact = generator.gamma(1.5, 200.0, rows), np.full(rows, 40.0)
    accounts = pd.Series(np.arange(rows))
    constant = float(chance.mean())
    true = savings(labels, chance, missed, contact, accounts, constant=constant)
    shuffled = generator.permutation(chance)
    blind = savings(labels, shuffled, missed, contact, accounts, constant=constant)
    assert true.saved.low > true.saved_constant > blind.saved.value
    assert true.saved.low < true.saved.value < true.saved.high


def test_where_nothing_can_be_lost_nothing_is_claimed() -> None:
    labels = np.array([0, 1], dtype=np.int8)
    zero = np.zeros(2)
    told = savings(labels, np.array([0.2, 0.4]), zero, zero, pd.Series(["a", "b"]), constant=0.5)
    assert np.isnan(told.saved.value) and "nothing can be saved" in told.words
