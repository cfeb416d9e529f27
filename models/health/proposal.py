"""Anchors for a first scale, from out-of-time probabilities.

Anchors that fit one business are absurd in another: with 30% and 10% at a base rate of 2% two
thirds of the accounts score 100 and none is red. So the first training proposes them, and prints
what they mean: accounts and expected leavers per band.

They follow from how the business's chances are spread and from nothing else. How many accounts the
team can take on bounds the worklist, never a band: a company that doubles has the same health.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.errors import ContractError
from models.declared import AT_RISK_UNTIL, STABLE_UNTIL
from models.health.scale import BANDS_IN_WORDS, Floats, Scale, displayed, scale_from_anchors

MOST_AT_THE_ENDS = 0.05
"""Largest share of accounts that may show exactly 0 or 100."""
ROOM_BEFORE_THE_ENDS = 5
"""Points before both ends that a proposal leaves to as few."""
BASE_FROM, BASE_UNTIL = 45, 90
ALERT_SHARES = 0.06, 0.30
"""The alert band holds about as many accounts as are expected to have the event, within these."""
CALM_SHARE = 0.36
"""Share of accounts that the calm band is sized for."""
RAISED_RATE, RAISED_ODDS = 1.5, 2.0
"""A red account has at least 1.5 times the base rate; from a base rate of a third on, twice its
odds.
"""
FEWEST_CALM = 0.05
MOST_CALM = 0.97
FEWEST_IN_PORTFOLIO = 50
"""Accounts that show what a scale does; of fewer nothing is asked."""
EVEN_ODDS = 0.5
"""Healthy accounts are more likely to stay than to leave, where enough of them are."""
_GRID = 40
_SAMPLED = 1000
_RETRIED = 30


@dataclass(frozen=True)
class ScaleProposal:
    """A scale, what it does to the accounts, and where it falls short.

    `problems` need an acknowledgement before promotion; `notes` are facts the reader should know.
    """

    scale: Scale
    table: pd.DataFrame
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _ScaleEffects:
    """What a scale does to a set of accounts, as far as it can be right or wrong."""

    alert_share: float
    calm_share: float
    ends: float
    near_ends: float
    base: int
    alert_edge: float
    raised: float
    mean: float
    better_than_even: float
    """Share of accounts that are more likely to be spared the event than not."""


def band_table(
    scale: Scale, probabilities: npt.ArrayLike, outcomes: npt.ArrayLike | None = None
) -> pd.DataFrame:
    """What a scale does to accounts: one row per band, lowest scores first.

    Returns
    -------
    DataFrame
        band; health_from, health_until (displayed, inclusive); probability_from, probability_until
        (nominal edges, 0-1); accounts; share (0-1; null where there are no accounts at all);
        expected (sum of probabilities); observed (events, null without `outcomes`).
    """
    p = _checked(probabilities) if np.size(probabilities) else np.zeros(0)
    events = None if outcomes is None else np.asarray(outcomes, dtype=np.float64)
    if events is not None and events.shape != p.shape:
        raise ContractError(
            f"{p.size} probabilities but {events.size} outcomes. Pass one outcome per probability."
        )
    bands = scale.band(displayed(scale.exact(p)))
    edges = [0, scale.at_risk_until + 1, scale.stable_until + 1, 101]
    rows = []
    for index, band in enumerate(scale.bands):
        inside = bands == band
        # The outermost edges are clipped: everything beyond belongs to the first and last band.
        ends = [1.0, scale.p_at_risk, scale.p_healthy, 0.0]
        if scale.good_event:
            ends[0], ends[3] = 0.0, 1.0
        rows.append(
            {
                "band": band,
                "health_from": edges[index],
                "health_until": edges[index + 1] - 1,
                "probability_from": min(ends[index], ends[index + 1]),
                "probability_until": max(ends[index], ends[index + 1]),
                "accounts": int(inside.sum()),
                "share": float(inside.mean()) if p.size else float("nan"),
                "expected": float(p[inside].sum()),
                "observed": float("nan") if events is None else float(events[inside].sum()),
            }
        )
    return pd.DataFrame(rows)


def raised_probability(base_rate: float) -> float:
    """Smallest probability that counts as raised above `base_rate`.

    1.5 times the base rate. Above a base rate of one third that would leave no room below 1, so
    there twice the odds count: 30% -> 45%, 65% -> 79%.
    """
    if base_rate >= 1.0:
        return 1.0
    odds = RAISED_ODDS * base_rate / (1.0 - base_rate)
    return min(RAISED_RATE * base_rate, odds / (1.0 + odds))


def scale_problems(
    scale: Scale, probabilities: npt.ArrayLike, base_probability: float
) -> tuple[str, ...]:
    """What speaks against a scale, declared or proposed, in words; empty when nothing does.

    Parameters
    ----------
    probabilities
        Out-of-time calibrated probabilities, one per account.
    base_probability
        Calibrated probability at `phi_0`, where every account's points start.
    """
    facts = _facts(scale, _checked(probabilities), base_probability)
    alert, calm = (BANDS_IN_WORDS[band] for band in _alert_and_calm(scale))
    problems = []
    if facts.ends > MOST_AT_THE_ENDS:
        problems.append(
            f"{facts.ends:.1%} of accounts score exactly 0 or 100; it should be at most"
            f" {MOST_AT_THE_ENDS:.0%}."
        )
    if not scale.good_event and not BASE_FROM <= facts.base <= BASE_UNTIL:
        problems.append(
            f"every account's points start at {facts.base}; they should start between {BASE_FROM}"
            f" and {BASE_UNTIL}."
        )
    if facts.alert_edge < facts.raised - 1e-9:
        problems.append(
            f"the {alert} band starts at a chance of {facts.alert_edge:.1%}, which is not clearly"
            f" above the average of {facts.mean:.1%}; {facts.raised:.1%} would be."
        )
    if facts.alert_share == 0:
        problems.append(f"no account is in the {alert} band.")
    # Not more is asked of the calm band than that it is no rarity.
    if facts.calm_share < FEWEST_CALM:
        problems.append(f"only {facts.calm_share:.1%} of accounts are in the {calm} band.")
    if _calls_leavers_healthy(scale) and facts.better_than_even >= FEWEST_CALM:
        problems.append(
            f"the {calm} band goes up to a chance of {scale.p_healthy:.0%}; a healthy account"
            " should be more likely to stay than to leave."
        )
    if facts.calm_share > MOST_CALM:
        problems.append(
            f"{facts.calm_share:.1%} of accounts are in the {calm} band: the score hardly tells"
            " accounts apart."
        )
    return tuple(problems)


def propose_scale(
    probabilities: npt.ArrayLike,
    base_probability: float,
    *,
    at_risk_until: int = AT_RISK_UNTIL,
    stable_until: int = STABLE_UNTIL,
    good_event: bool = False,
) -> ScaleProposal:
    """Scale whose bands are inhabited: about as many accounts in the alert band as are expected to
    have the event (between 6% and 30%), about 36% in the calm one.

    Anchors are tried over a grid of quantiles, rounded so that people can say them. Fewest problems
    (`scale_problems`) win, then the nearest sizes of the alert band, then of the calm band.

    Parameters
    ----------
    probabilities
        Out-of-time calibrated probabilities, one per account, shape (n_accounts,).
    base_probability
        Calibrated probability at `phi_0`.
    good_event
        The event is wanted (expansion): the alert band is then `high`.

    Raises
    ------
    ContractError
        Probabilities are missing or all the same.
    """
    p = _checked(probabilities)
    share = _alert_share(p)
    sample = np.quantile(p, (np.arange(_SAMPLED) + 0.5) / _SAMPLED) if p.size > _SAMPLED else p
    tried = []
    for alert_edge, calm_edge in _candidates(p, share):
        scale = scale_from_anchors(
            *((calm_edge, alert_edge) if good_event else (alert_edge, calm_edge)),
            at_risk_until=at_risk_until,
            stable_until=stable_until,
            good_event=good_event,
        )
        tried.append((_cost(scale, sample, share, base_probability), alert_edge, calm_edge, scale))
    if not tried:
        raise ContractError(
            f"probabilities from {p.min():.4g} to {p.max():.4g} leave no room for two anchors. "
            "Declare p_at_risk and p_healthy under [scale]."
        )
    tried.sort(key=lambda one: one[:3])
    # The search looks at a sample of quantiles; the best few are judged on every account.
    judged = ((scale_problems(one[3], p, base_probability), one[3]) for one in tried[:_RETRIED])
    problems, scale = min(judged, key=lambda one: len(one[0]))
    return ScaleProposal(
        scale=scale,
        table=band_table(scale, p),
        problems=problems,
        notes=_notes(scale, p, base_probability),
    )


def _alert_share(p: Floats) -> float:
    """Share of accounts that the alert band is sized for."""
    return float(np.clip(p.mean(), *ALERT_SHARES))


def _facts(scale: Scale, p: Floats, base_probability: float) -> _ScaleEffects:
    shown = displayed(scale.exact(p))
    first, last = (
        float((shown <= scale.at_risk_until).mean()),
        float((shown > scale.stable_until).mean()),
    )
    mean = float(p.mean())
    return _ScaleEffects(
        alert_share=last if scale.good_event else first,
        calm_share=first if scale.good_event else last,
        ends=float(((shown == 0) | (shown == 100)).mean()),
        near_ends=float(
            ((shown <= ROOM_BEFORE_THE_ENDS) | (shown >= 100 - ROOM_BEFORE_THE_ENDS)).mean()
        ),
        base=int(displayed(scale.exact(base_probability))),
        alert_edge=scale.p_healthy if scale.good_event else scale.p_at_risk,
        raised=raised_probability(mean),
        mean=mean,
        better_than_even=float((p < EVEN_ODDS).mean()),
    )


def _calls_leavers_healthy(scale: Scale) -> bool:
    """Whether the calm band takes in accounts that are more likely to leave than to stay."""
    return not scale.good_event and scale.p_healthy >= EVEN_ODDS


def _alert_and_calm(scale: Scale) -> tuple[str, str]:
    """The band people act on, and the band most accounts should be in."""
    return (
        (scale.bands[2], scale.bands[0]) if scale.good_event else (scale.bands[0], scale.bands[2])
    )


def _candidates(p: Floats, alert_share: float) -> list[tuple[float, float]]:
    """Pairs of probabilities (edge of the alert band, edge of the calm band), easy to say.

    The alert edge is never below the raised probability: the band is filled with accounts that are
    in danger, not with whoever comes next.
    """
    # Edges that would put a tenth up to one and a half times the wished share into the band; never
    # near half of all accounts, of whom an alert says nothing.
    raised = raised_probability(float(p.mean()))
    shares = alert_share * np.geomspace(0.1, 1.5, _GRID)
    alert = {
        _say(max(float(q), raised), floor=raised)
        for q in np.quantile(p, 1 - np.minimum(shares, 0.45))
    }
    calm = {_say(float(q)) for q in np.quantile(p, np.linspace(FEWEST_CALM, 0.95, _GRID))}
    return [(one, other) for one in sorted(alert) for other in sorted(calm) if other < one]


def _say(p: float, floor: float = 0.0) -> float:
    """`p` with two digits counted from the nearer end (0.0341 -> 0.034, 0.9876 -> 0.988), not below
    `floor`.
    """
    # Two significant digits of the smaller side, so that 99.3% is said as finely as 0.7%.
    tail = min(max(min(p, 1.0 - p), 1e-6), 0.5)
    step = 10.0 ** (np.floor(np.log10(tail)) - 1)
    digits = int(round(-np.log10(step)))
    rounded = round(float(np.round(p / step) * step), digits)
    if rounded < floor:
        rounded = round(rounded + float(step), digits)
    return min(max(rounded, 1e-6), 1.0 - 1e-6)


def _cost(
    scale: Scale, p: Floats, alert_share: float, base_probability: float
) -> tuple[int, float, float]:
    """Problems first, then how far the alert band is from its size, then the calm band from its."""
    facts = _facts(scale, p, base_probability)
    problems = scale_problems(scale, p, base_probability)
    # The day's portfolio is not the sample, and the final model is a little bolder than those that
    # made it: a proposal that only just keeps the limit would break it, so room is left before both
    # ends.
    is_close = facts.near_ends > MOST_AT_THE_ENDS
    # Within a tenth of the size all are alike, so that the calm band decides.
    distance = round(abs(float(np.log(max(facts.alert_share, 1e-6) / alert_share))), 1)
    return len(problems) + is_close, distance, abs(facts.calm_share - CALM_SHARE)


def _notes(scale: Scale, p: Floats, base_probability: float) -> tuple[str, ...]:
    alert, calm = (BANDS_IN_WORDS[band] for band in _alert_and_calm(scale))
    facts = _facts(scale, p, base_probability)
    notes = []
    if facts.alert_share < 0.5 * _alert_share(p):
        notes.append(
            f"only {facts.alert_share:.1%} of accounts are in the {alert} band: a wider band would"
            " take in accounts hardly above the average, or leave many at exactly 100."
        )
    if _calls_leavers_healthy(scale):
        notes.append(
            f"the {calm} band goes up to a chance of {scale.p_healthy:.0%}: here it means better"
            " than most, not likely to stay."
        )
    return tuple(notes)


def _checked(probabilities: npt.ArrayLike) -> Floats:
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 1 or p.size == 0:
        raise ContractError(
            f"probabilities of shape {p.shape}: one per account is needed, and at least one"
            " account."
        )
    if not (np.isfinite(p).all() and (p >= 0).all() and (p <= 1).all()):
        raise ContractError(
            "probabilities must be numbers in 0-1 without gaps. Leave out accounts that are"
            " unknown."
        )
    return p
