"""The scale: anchors, bands, rounding, and the proposal for a portfolio."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import ConfigError, ContractError
from models.health import (
    Scale,
    band_table,
    displayed,
    propose_scale,
    raised_probability,
    scale_from_anchors,
    scale_from_dict,
    scale_problems,
)
from models.health.proposal import FEWEST_CALM

ANCHORS = scale_from_anchors(0.30, 0.10)


def test_anchors_score_at_the_edges_of_the_bands():
    assert ANCHORS.exact([0.30, 0.10]) == pytest.approx([40.5, 70.5], abs=1e-9)


def test_other_bands_move_the_edges_with_them():
    scale = scale_from_anchors(0.30, 0.10, at_risk_until=25, stable_until=60)
    assert scale.exact([0.30, 0.10]) == pytest.approx([25.5, 60.5], abs=1e-9)


@pytest.mark.parametrize(
    ("exact", "shown", "band"),
    [
        (40.0, 40, "at_risk"),
        (40.4999, 40, "at_risk"),
        (40.5, 41, "stable"),
        (41.0, 41, "stable"),
        (70.4999, 70, "stable"),
        (70.5, 71, "healthy"),
        (0.0, 0, "at_risk"),
        (100.0, 100, "healthy"),
        (math.nextafter(0.5, 0), 0, "at_risk"),
    ],
)
def test_band_follows_the_displayed_integer(exact, shown, band):
    assert displayed([exact]).tolist() == [shown]
    assert ANCHORS.band(displayed([exact])).tolist() == [band]


@given(st.floats(0, 100))
def test_band_edges_are_40_and_70_for_every_score(exact):
    shown = int(displayed([exact])[0])
    assert abs(shown - exact) <= 0.5
    wanted = "at_risk" if exact < 40.5 else "stable" if exact < 70.5 else "healthy"
    assert ANCHORS.band(np.array([shown]))[0] == wanted


@given(st.floats(0, 1), st.floats(0, 1))
def test_health_never_rises_with_the_probability(one, other):
    low, high = sorted((one, other))
    assert ANCHORS.exact([low])[0] >= ANCHORS.exact([high])[0]


def test_certain_leavers_score_0_and_certain_stayers_100():
    assert ANCHORS.exact([1.0, 0.0]).tolist() == [0.0, 100.0]


def test_good_events_rise_and_are_called_low_medium_high():
    scale = scale_from_anchors(0.05, 0.20, good_event=True)
    assert scale.exact([0.05, 0.20]) == pytest.approx([40.5, 70.5], abs=1e-9)
    assert scale.band(displayed(scale.exact([0.01, 0.10, 0.40]))).tolist() == [
        "low",
        "medium",
        "high",
    ]


def test_version_changes_with_every_number():
    others = [
        scale_from_anchors(0.31, 0.10),
        scale_from_anchors(0.30, 0.11),
        scale_from_anchors(0.30, 0.10, at_risk_until=39),
        scale_from_anchors(0.30, 0.10, stable_until=71),
    ]
    assert len({ANCHORS.version, *(s.version for s in others)}) == 5
    assert scale_from_anchors(0.30, 0.10).version == ANCHORS.version


def test_scale_survives_json_and_refuses_edited_numbers():
    numbers = ANCHORS.to_dict()
    assert scale_from_dict(numbers) == ANCHORS
    with pytest.raises(ContractError, match="was edited"):
        scale_from_dict({**numbers, "p_healthy": 0.2})


@pytest.mark.parametrize("anchors", [(0.1, 0.3), (0.2, 0.2), (0.0, 0.1), (1.0, 0.1)])
def test_impossible_anchors_are_refused(anchors):
    with pytest.raises(ConfigError):
        scale_from_anchors(*anchors)


def test_missing_scores_are_never_rounded_to_a_healthy_number():
    with pytest.raises(ContractError, match="band unknown"):
        displayed([50.0, float("nan")])
    with pytest.raises(ContractError, match="displayed integer"):
        ANCHORS.band(np.array([50.4]))
    with pytest.raises(ContractError, match="outside 0-1"):
        ANCHORS.exact([1.2])


def portfolio(
    base_rate: float, spread: float, seed: int, n: int = 4000
) -> tuple[np.ndarray, float]:
    """Probabilities with the wanted mean, and the probability where points start (mean
    log-odds).
    """
    noise = np.random.default_rng(seed).normal(0, spread, n)
    low, high = -15.0, 15.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (
            (middle, high)
            if (1 / (1 + np.exp(-middle - noise))).mean() < base_rate
            else (low, middle)
        )
    return 1 / (1 + np.exp(-low - noise)), float(1 / (1 + np.exp(-low - noise.mean())))


@pytest.mark.parametrize("base_rate", [0.02, 0.08, 0.30, 0.65, 0.82])
@pytest.mark.parametrize("spread", [0.7, 1.0, 1.5])
def test_proposal_keeps_its_promises(base_rate, spread):
    p, base = portfolio(base_rate, spread, seed=int(1000 * base_rate))
    proposal = propose_scale(p, base)
    assert proposal.problems == ()
    scale, shown = proposal.scale, displayed(proposal.scale.exact(p))
    bands = scale.band(shown)
    # As many red accounts as are expected to leave, between 6% and 30%, as far as so many have a
    # raised chance.
    wanted = min(max(p.mean(), 0.06), 0.30, (p >= raised_probability(p.mean())).mean())
    assert 0.6 * wanted <= (bands == "at_risk").mean() <= 1.5 * wanted
    assert FEWEST_CALM < (bands == "healthy").mean() < 0.6
    assert ((shown == 0) | (shown == 100)).mean() <= 0.05
    assert 45 <= displayed(scale.exact(base)) <= 90
    assert scale.p_at_risk >= raised_probability(p.mean()) - 1e-9
    assert scale.p_healthy < 0.5 or (p < 0.5).mean() < FEWEST_CALM
    assert proposal.table.accounts.sum() == len(p)
    assert proposal.table.expected.sum() == pytest.approx(p.sum())


@pytest.mark.parametrize("base_rate", [0.03, 0.61])
def test_the_same_business_at_another_size_has_the_same_bands(base_rate):
    p, base = portfolio(base_rate, 1.2, seed=2, n=50_000)
    large = propose_scale(p, base).scale
    for n in (1000, 5000):
        small = propose_scale(p[:n], base).scale
        other = (displayed(small.exact(p)) <= 40) != (displayed(large.exact(p)) <= 40)
        assert other.mean() < 0.03


@pytest.mark.parametrize("rate", [0.03, 0.15])
def test_proposal_for_a_good_event_sizes_the_high_band(rate):
    p, base = portfolio(rate, 1.0, seed=7)
    proposal = propose_scale(p, base, good_event=True)
    share = dict(zip(proposal.table.band, proposal.table.share, strict=True))
    assert proposal.problems == ()
    assert 0 < share["high"] <= 0.2
    assert share["low"] > FEWEST_CALM


def test_declared_anchors_that_paint_everything_green_are_a_problem():
    p, base = portfolio(0.02, 1.2, seed=3)
    problems = " ".join(scale_problems(ANCHORS, p, base))
    assert "exactly 0 or 100" in problems
    assert "they should start between 45 and 90" in problems


def test_ordinary_accounts_are_never_red():
    p, base = portfolio(0.10, 0.15, seed=5)
    proposal = propose_scale(p, base)
    red = displayed(proposal.scale.exact(p)) <= 40
    assert red.mean() < 0.05
    assert "hardly above the average" in " ".join(proposal.notes) + " ".join(proposal.problems)


def test_healthy_means_more_likely_to_stay_than_to_leave():
    p, base = portfolio(0.61, 1.5, seed=4)
    generous = scale_from_anchors(0.9, 0.7)
    assert "more likely to stay than to leave" in " ".join(scale_problems(generous, p, base))
    # Where hardly anybody is, the words say what the band means here.
    most, base = portfolio(0.95, 0.5, seed=4)
    proposal = propose_scale(most, base)
    assert "better than most, not likely to stay" in " ".join(proposal.notes)
    assert "more likely to stay" not in " ".join(proposal.problems)


def test_equal_probabilities_cannot_carry_a_scale():
    with pytest.raises(ContractError, match="no room for two anchors"):
        propose_scale(np.full(50, 1.0), 0.5)
    with pytest.raises(ContractError, match="at least one account"):
        propose_scale([], 0.5)


def test_band_table_by_hand():
    table = band_table(
        Scale(a=50, b=10, p_at_risk=0.721, p_healthy=0.114), [0.9, 0.5, 0.05], [1, 0, 0]
    )
    assert table.accounts.tolist() == [1, 1, 1]
    assert table.expected.tolist() == [0.9, 0.5, 0.05]
    assert table.observed.tolist() == [1, 0, 0]
    assert table.health_until.tolist() == [40, 70, 100]


def test_band_table_of_no_account_says_so():
    """A short test may hold no account that stands where its contract decides."""
    table = band_table(Scale(a=50, b=10, p_at_risk=0.721, p_healthy=0.114), [], [])
    assert table.accounts.tolist() == [0, 0, 0]
    assert table.share.isna().all()


@pytest.mark.parametrize("good_event", [False, True])
def test_probabilities_that_move_with_the_anchors_keep_their_scores(good_event: bool) -> None:
    anchors = (0.05, 0.26) if good_event else (0.26, 0.05)
    scale = scale_from_anchors(*anchors, at_risk_until=35, stable_until=75, good_event=good_event)
    logit = np.linspace(-5, 2, 50)
    moved = scale.moved(-0.4)
    before, after = (
        each.exact(1 / (1 + np.exp(-z))) for each, z in ((scale, logit), (moved, logit - 0.4))
    )
    assert np.allclose(before, after, atol=1e-9) and moved.version != scale.version
    assert (moved.at_risk_until, moved.stable_until) == (35, 75)
