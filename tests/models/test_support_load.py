"""The load of support: its range holds what comes next."""

import math

import numpy as np
import pytest

from models.support_load import support_load


@pytest.mark.parametrize(("accounts", "mean"), [(40, 0.5), (400, 0.3), (2_000, 2.0)])
def test_the_range_holds_the_next_window_of_accounts_that_differ(accounts, mean):
    draw = np.random.default_rng(5)
    held = []
    for _ in range(400):
        rates = draw.gamma(0.6, mean / 0.6, accounts)
        seen, to_come = draw.poisson(rates), draw.poisson(rates).sum()
        load = support_load(seen)
        held.append(load.low <= to_come <= load.high)
    assert 0.93 <= np.mean(held) <= 1.0


def test_what_is_not_known_is_not_counted_and_one_account_tells_nothing():
    load = support_load([1, np.nan, 3])
    assert (load.accounts, load.tickets) == (2, 4)
    alone = support_load([7.0])
    assert (alone.accounts, alone.tickets) == (1, 7)
    assert math.isnan(alone.low) and math.isnan(alone.high)
    quiet = support_load(np.zeros(30))
    assert quiet.tickets == 0 and quiet.low == 0 and quiet.high > 0
