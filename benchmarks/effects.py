"""What plays do: is the interval honest, is the rest refused, and what does knowing it cost?

    python -m benchmarks.effects [--worlds 1000] [--observed-worlds 50] [--data DIR] [--json]
    python -m benchmarks.effects --only lot real

- `lot`: light worlds of a year (a score, a hidden reason, hazards, values, a worklist with the lot
  near its line). Per size: how often the interval covers the truth of the accounts drawn, half its
  width beside what was promised beforehand, the naive figure (called less not called), and the
  value given up by the lot as a share of the value saved without one.
- `observed`: light worlds in which managers choose. Four ways of choosing: mostly by what has
  nothing to do with leaving, by risk, by risk and as much by a hidden reason, by a hidden reason
  alone. Per way: how often it is an effect, an association, refused; of the effects how many cover
  the truth, and how many would if nothing were refused.
- `worklist`: a year of worklists under hours with two plays, in simulated money: by saved value, by
  expected loss, by risk, the last two with the short play only and with the play that saves most;
  and the largest shortfall against brute force on small cases.
- `simulated`: the full simulator once, without usage: what `tenure effects` says of its randomised
  pilot beside the truth, and of the plays that people chose by what no table holds; whether each
  interval that is shown covers the truth, the naive figure beside it.
- `owners`: firms in which all owners are alike, and firms with one who loses twice as many:
  how many are flagged wrongly, how often the one is found.
- `real`: the experiments `hillstrom_email` and `cookie_cats_ab`, where `--data` holds them.
"""

import argparse
import itertools
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.peers import compare_peers
from models.plays import (
    MeasuredEffect,
    choose_plays,
    comes_back,
    draw_lot,
    half_width,
    observed_effect,
    randomised_effect,
    saved_value,
)
from pipeline.engine.duckdb import connected
from pipeline.jobs.effects import effects_report
from pipeline.jobs.prepare import prepare_training
from pipeline.jobs.stage import stage_sources
from pipeline.simulate import WorldOptions, parameters, simulate
from pipeline.workspace import open_workspace

Floats = NDArray[np.float64]
SIZES = (1_000, 10_000, 100_000)
MONTHS, HORIZON = 12, 3
CAPACITY = 0.085
"""Share of the accounts on the list of a month."""
COST, SAVE_SHARE = 120.0, 0.2
"""Of a call, and the prior by which the list is ranked."""
BASE, BY_SIGNAL, BY_HIDDEN = -4.35, 0.9, 0.5
"""Log-odds of leaving in a month."""
CALL = -0.6
"""What a call does to them for `HORIZON` months."""
OBSERVED_ACCOUNTS = 2_500
WAYS = {
    "by_nothing_that_matters": (0.15, 0.0),
    "by_risk": (1.0, 0.0),
    "by_risk_and_hidden": (0.6, 0.6),
    "by_hidden": (0.1, 0.8),
}
"""Weights of the signal and of the hidden reason in the managers' choice."""
GROUPS = {"use": (0,), "support": (1,), "payment": (2,)}
TWO_MINUTES, TWO_COSTS = np.array([45, 120]), np.array([120.0, 300.0])
TWO_EFFECTS = np.array([-0.5, -1.4])
OWNERS, OWNER_MINUTES = 50, 480
ORDERS = ("saved", "loss", "risk", "loss_best_play", "risk_best_play")
OWNER_WORSE = 2.0
"""How many times as many leave one owner as would leave others."""


@dataclass(frozen=True, eq=False)
class World:
    """Paths of all accounts: shape (months + horizon, accounts)."""

    signal: Floats
    hidden: Floats
    value: Floats
    luck: Floats

    def monthly(self, effect: float) -> Floats:
        """Chance of leaving in each month under an effect that never ends."""
        logit = BASE + BY_SIGNAL * self.signal + BY_HIDDEN * self.hidden + effect
        return np.asarray(1 / (1 + np.exp(-logit)))

    def within_horizon(self, effect: float) -> Floats:
        """Chance of leaving within the horizon from each month, shape (months, accounts)."""
        stays = 1 - self.monthly(effect)
        return np.asarray(
            1 - np.prod([stays[ahead : MONTHS + ahead] for ahead in range(HORIZON)], axis=0)
        )

    def score(self) -> Floats:
        """The calibrated chance that a model gives who sees the signal alone, now."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(9)
        ahead = self.signal[:MONTHS]
        chance = np.zeros_like(ahead)
        for node, weight in zip(nodes, weights / weights.sum(), strict=True):
            logit = BASE + BY_SIGNAL * ahead + BY_HIDDEN * node
            chance += weight * (1 - (1 - 1 / (1 + np.exp(-logit))) ** HORIZON)
        return chance


def light_world(accounts: int, seed: int) -> World:
    """Signals and hidden reasons that last for months, values of a long tail."""
    generator = np.random.default_rng(seed)
    shape = (MONTHS + HORIZON, accounts)

    def lasting() -> Floats:
        path = generator.normal(size=shape)
        for month in range(1, shape[0]):
            path[month] = 0.9 * path[month - 1] + np.sqrt(1 - 0.9**2) * path[month]
        return path

    return World(
        signal=lasting(),
        hidden=lasting(),
        value=generator.lognormal(9.0, 0.8, accounts),
        luck=generator.random(shape),
    )


def year_of_lists(world: World, share: float, key: str) -> tuple[pd.DataFrame, float]:
    """Accounts drawn in a year with what became of them, and the money that all calls saved.

    Who was called is left alone until the horizon is over; who was drawn and not called, too,
    unless it comes back.
    """
    accounts = len(world.value)
    capacity = round(CAPACITY * accounts)
    score, plain, called = world.score(), world.within_horizon(0.0), world.within_horizon(CALL)
    names = np.array([f"{number:06d}" for number in range(accounts)])
    called_until, held_until = np.zeros((2, accounts), dtype=np.int64)
    is_treated = np.zeros(world.luck.shape, dtype=np.bool_)
    would_return = np.zeros(world.luck.shape, dtype=np.bool_)
    draws, saved_money = [], 0.0
    for month in range(MONTHS):
        saved = saved_value(score[month], world.value, np.array([SAVE_SHARE]), np.array([COST]))
        saved = saved[:, 0]
        free = (called_until <= month) & (held_until <= month)
        line = float(np.sort(saved[free])[-capacity])
        would_return[month] = comes_back(saved, line)
        returns = (held_until > month) & would_return[month]
        order = np.flatnonzero(free | returns)
        order = order[np.argsort(-saved[order], kind="stable")]
        lot = draw_lot(
            names[order].tolist(),
            capacity,
            key=f"{key}/{month}",
            share=share,
            may_draw=~returns[order],
        )
        chosen, drawn = order[lot.on_list], order[lot.drawn]
        gain = plain[month, chosen] - called[month, chosen]
        saved_money += float((world.value[chosen] * gain - COST).sum())
        called_until[chosen] = month + HORIZON
        held_until[chosen] = 0
        held_until[order[lot.drawn & ~lot.on_list]] = month + HORIZON
        is_treated[month : month + HORIZON, chosen] = True
        draws.append((month, drawn, lot.on_list[lot.drawn]))
    parts = []
    hazards = np.where(is_treated, world.monthly(CALL), world.monthly(0.0))
    left_alone = world.monthly(0.0), world.monthly(CALL)
    for month, drawn, assigned in draws:
        window = slice(month, month + HORIZON)
        # Without the call an account is left alone until it comes back, if it does.
        returned = np.logical_or.accumulate(would_return[window][1:, drawn], axis=0)
        returned = np.vstack([np.zeros(len(drawn), dtype=np.bool_), returned])
        otherwise = np.where(
            returned, left_alone[1][window][:, drawn], left_alone[0][window][:, drawn]
        )
        parts.append(
            pd.DataFrame(
                {
                    "account": drawn,
                    "month": month,
                    "assigned": assigned,
                    "outcome": (world.luck[window][:, drawn] < hazards[window][:, drawn]).any(0),
                    "truth": called[month, drawn] - 1 + (1 - otherwise).prod(axis=0),
                    "full": called[month, drawn] - plain[month, drawn],
                    "score": score[month, drawn],
                }
            )
        )
    return pd.concat(parts, ignore_index=True).assign(propensity=0.5), saved_money


def measure_lot(worlds: int, accounts: int) -> dict[str, Any]:
    """Coverage, width and cost of the lot at one size."""
    covered, widths, promised, naive, errors = [], [], [], [], []
    truths, full, verdicts = [], [], Counter[str]()
    with_lot = without_lot = 0.0
    for seed in range(worlds):
        world = light_world(accounts, seed)
        rows, saved = year_of_lists(world, 0.15, str(seed))
        with_lot += saved
        without_lot += year_of_lists(world, 0.0, str(seed))[1]
        effect = randomised_effect(
            "call",
            "lot",
            outcome=rows["outcome"].to_numpy(),
            assigned=rows["assigned"].to_numpy(),
            account=rows["account"].to_numpy(),
            month=rows["month"].to_numpy(),
            propensity=rows["propensity"].to_numpy(),
        )
        truth = float(rows["truth"].mean())
        truths.append(truth)
        full.append(float(rows["full"].mean()))
        verdicts[effect.verdict] += 1
        covered.append(bool(effect.low <= truth <= effect.high))
        errors.append(effect.estimate - truth)
        widths.append((effect.high - effect.low) / 2)
        chance = float(rows.loc[rows["month"] == 0, "score"].mean())
        promised.append(half_width(chance, chance * (1 - SAVE_SHARE), len(rows) / 2))
        naive.append(_naive(world))
    return {
        "accounts": accounts,
        "worlds": worlds,
        "truth_points": 100 * float(np.mean(truths)),
        "of_the_full_effect": float(np.mean(truths) / np.mean(full)),
        "coverage": float(np.mean(covered)),
        "bias_points": 100 * float(np.mean(errors)),
        "half_width_points": 100 * float(np.mean(widths)),
        "promised_half_width_points": 100 * float(np.mean(promised)),
        "naive_points": 100 * float(np.mean(naive)),
        "value_given_up": 1 - with_lot / without_lot,
        "verdicts": dict(verdicts),
    }


def _naive(world: World) -> float:
    """Called less not called in the first month, without a lot."""
    accounts = len(world.value)
    saved = saved_value(world.score()[0], world.value, np.array([SAVE_SHARE]), np.array([COST]))[
        :, 0
    ]
    called = np.argsort(-saved, kind="stable")[: round(CAPACITY * accounts)]
    is_called: NDArray[np.bool_] = np.isin(np.arange(accounts), called)
    hazards = np.where(is_called, world.monthly(CALL)[:HORIZON], world.monthly(0.0)[:HORIZON])
    left: NDArray[np.bool_] = np.any(world.luck[:HORIZON] < hazards, axis=0)
    return float(left[is_called].mean() - left[~is_called].mean())


def measure_observed(worlds: int) -> dict[str, Any]:
    """Verdicts and coverage of the observed design, per way of choosing."""
    return {way: _one_way(worlds, *weights) for way, weights in WAYS.items()}


def _one_way(worlds: int, by_signal: float, by_hidden: float) -> dict[str, Any]:
    verdicts, covered, shown, errors, naive, truths = Counter[str](), [], [], [], [], []
    for seed in range(worlds):
        rows, truth = managers_choose(seed, by_signal, by_hidden)
        effect = observed_effect("call", **rows, groups=GROUPS)
        verdicts[effect.verdict] += 1
        is_covered = bool(effect.low <= truth <= effect.high)
        covered.append(is_covered)
        if effect.verdict == "effect":
            shown.append(is_covered)
        errors.append(effect.estimate - truth)
        naive.append(effect.naive)
        truths.append(truth)
    return {
        "worlds": worlds,
        "truth_points": 100 * float(np.mean(truths)),
        "naive_points": 100 * float(np.mean(naive)),
        "bias_points": 100 * float(np.nanmean(errors)),
        "coverage_if_never_refused": float(np.mean(covered)),
        "effects_shown": len(shown),
        "shown_that_cover": int(np.sum(shown)),
        "refused_or_covered": 1 - (len(shown) - int(np.sum(shown))) / worlds,
        "verdicts": dict(verdicts),
    }


def managers_choose(seed: int, by_signal: float, by_hidden: float) -> tuple[dict[str, Any], float]:
    """Four quarters of calls as managers like, and the true effect on those they called."""
    generator = np.random.default_rng(10_000 + seed)
    shape = (4, OBSERVED_ACCOUNTS)
    use, hidden = generator.normal(size=shape), generator.normal(size=shape)
    support, payment = generator.normal(size=shape), generator.normal(size=shape)
    chosen = 1 / (1 + np.exp(-(-1.1 + by_signal * use + by_hidden * hidden + 0.2 * payment)))
    assigned = generator.random(shape) < chosen
    logit = -1.5 + 0.7 * use + 0.7 * hidden + 0.2 * support
    plain, called = (1 / (1 + np.exp(-(logit + effect))) for effect in (0.0, -0.8))
    outcome = generator.random(shape) < np.where(assigned, called, plain)
    quarter, account = np.indices(shape)
    signals = np.column_stack([each.ravel() for each in (use, support, payment, quarter)])
    rows = {
        "outcome": outcome.ravel(),
        "assigned": assigned.ravel(),
        "account": account.ravel(),
        "signals": signals.astype(np.float64),
    }
    return rows, float((called - plain)[assigned].mean())


def measure_worklist(worlds: int, accounts: int = 5_000) -> dict[str, Any]:
    """Money saved in a year by three orders of the same lists under the same hours."""
    money = dict.fromkeys(ORDERS, 0.0)
    for seed in range(worlds):
        world = light_world(accounts, seed)
        for order in money:
            money[order] += _year_of_two_plays(world, order)
    return {
        "worlds": worlds,
        "accounts": accounts,
        "saved_per_year": {order: total / worlds for order, total in money.items()},
        "regret": {name: 1 - money[name] / money["saved"] for name in ORDERS[1:]},
        "largest_shortfall_against_brute_force": _shortfall(200),
    }


def _year_of_two_plays(world: World, order: str) -> float:
    accounts = len(world.value)
    owner = np.arange(accounts) % OWNERS
    score, plain = world.score(), world.within_horizon(0.0)
    with_play = np.stack([world.within_horizon(effect) for effect in TWO_EFFECTS])
    shares = 1 - with_play.mean(axis=(1, 2)) / plain.mean()
    free_from, total = np.zeros(accounts, dtype=np.int64), 0.0
    for month in range(MONTHS):
        for each in range(OWNERS):
            mine = np.flatnonzero((owner == each) & (free_from <= month))
            saved = saved_value(score[month, mine], world.value[mine], shares, TWO_COSTS)
            if order == "saved":
                play = choose_plays(saved, TWO_MINUTES, OWNER_MINUTES).play
            else:
                is_loss = order.startswith("loss")
                weight = score[month, mine] * (world.value[mine] if is_loss else 1.0)
                offered = saved if order.endswith("best_play") else saved[:, :1]
                play = _down_the_list(np.argsort(-weight, kind="stable"), offered)
            done = play >= 0
            chosen, kind = mine[done], play[done]
            gain = plain[month, chosen] - with_play[kind, month, chosen]
            total += float((world.value[chosen] * gain - TWO_COSTS[kind]).sum())
            free_from[chosen] = month + HORIZON
    return total


def _down_the_list(order: NDArray[np.int64], saved: Floats) -> NDArray[np.int64]:
    """Each account in the order gets the play that saves most, while minutes last."""
    play, left = np.full(len(saved), -1, dtype=np.int64), OWNER_MINUTES
    best = saved.argmax(axis=1)
    for place in order:
        if saved[place, best[place]] > 0 and TWO_MINUTES[best[place]] <= left:
            play[place] = best[place]
            left -= int(TWO_MINUTES[best[place]])
    return play


def _shortfall(cases: int) -> float:
    """Largest difference between the chosen plays and the best of all combinations."""
    generator, worst = np.random.default_rng(0), 0.0
    for _ in range(cases):
        saved = generator.normal(100, 150, (6, 2))
        best = 0.0
        for plays in itertools.product((-1, 0, 1), repeat=6):
            done = [(row, play) for row, play in enumerate(plays) if play >= 0]
            if sum(int(TWO_MINUTES[play]) for _, play in done) <= 300:
                best = max(best, sum(float(saved[each]) for each in done))
        worst = max(worst, best - choose_plays(saved, TWO_MINUTES, 300).saved)
    return worst


def measure_real(data: Path) -> dict[str, Any]:
    """Effects of two real experiments beside the figures of their READMEs (points)."""
    measures: Mapping[str, Callable[[pd.DataFrame], dict[str, Any]]] = {
        "hillstrom_email/hillstrom_email.parquet": _hillstrom,
        "cookie_cats_ab/cookie_cats.parquet": _cookie_cats,
    }
    return {
        name.partition("/")[0]: (
            measure(pd.read_parquet(data / name))
            if (data / name).exists()
            else {"skipped": f"{data / name} does not exist"}
        )
        for name, measure in measures.items()
    }


def _hillstrom(customers: pd.DataFrame) -> dict[str, Any]:
    reference = {"Mens E-Mail": 7.66, "Womens E-Mail": 4.53}
    signals = pd.get_dummies(
        customers[["recency", "history", "mens", "womens", "zip_code", "newbie", "channel"]]
    ).astype(np.float64)
    columns = {name: (place,) for place, name in enumerate(signals.columns)}
    measures = {}
    for arm, figure in reference.items():
        mine = customers["segment"].isin([arm, "No E-Mail"]).to_numpy()
        rows: dict[str, Any] = {
            "outcome": customers.loc[mine, "visit"].to_numpy() == 1,
            "assigned": customers.loc[mine, "segment"].to_numpy() == arm,
            "account": np.flatnonzero(mine),
        }
        by_lot = randomised_effect(
            arm,
            "holdout",
            **rows,
            month=np.zeros(int(mine.sum())),
            propensity=np.full(int(mine.sum()), 0.5),
        )
        robust = observed_effect(
            arm,
            **rows,
            signals=signals.loc[mine].to_numpy(),
            groups={name: columns[name] for name in ("recency", "history", "newbie")},
        )
        measures[arm] = {"reference": figure, "by_lot": _points(by_lot), "aipw": _points(robust)}
    return measures


def _cookie_cats(players: pd.DataFrame) -> dict[str, Any]:
    effect = randomised_effect(
        "gate_40",
        "holdout",
        outcome=players["retention_7"].to_numpy(dtype=np.bool_),
        assigned=players["test_version"].to_numpy() == "gate_40",
        account=players["userid"].to_numpy(),
        month=np.zeros(len(players)),
        propensity=np.full(len(players), 0.5),
    )
    return {"reference": -0.82, "by_lot": _points(effect), "sample_ratio_p": effect.ratio_p}


_SIMULATED = """
name = "simulated"
time_zone = "UTC"
[sources.accounts]
location = "accounts.parquet"
data_until = {until}
[sources.subscriptions]
location = "subscriptions.parquet"
convention = "fixed_term"
data_until = {until}
[sources.interventions]
location = "interventions.parquet"
data_until = {until}
[sources.support_tickets]
location = "support_tickets.parquet"
data_until = {until}
[sources.surveys]
location = "surveys.parquet"
data_until = {until}
read_texts = false
[sources.invoices]
location = "invoices.parquet"
data_until = {until}
[sources.touchpoints]
location = "touchpoints.parquet"
data_until = {until}
[[targets]]
name = "churn_90d"
kind = "churn"
horizon_days = {horizon}
grace_days = {grace}
population = {{ kind = "customers" }}
dates = {{ every_days = {every}, first = {first}, last = {last} }}
test = {{ count = 3 }}
[features]
window_days = [91]
max_kinds = 4
[[plays]]
name = "pilot_call"
holdout = 0.5
"""
_TABLES = (
    "accounts",
    "subscriptions",
    "interventions",
    "support_tickets",
    "surveys",
    "invoices",
    "touchpoints",
)


def measure_simulated(accounts: int, seed: int = 1) -> dict[str, Any]:
    """Verdicts on the simulator's four plays beside its truth (points)."""
    options = WorldOptions(truth_dates=())
    tables: dict[str, list[pd.DataFrame]] = {}
    world, truth = simulate(accounts, seed, options=options), None
    for block in world.blocks():
        truth = truth or world.effects(block)
        for name in _TABLES:
            tables.setdefault(name, []).append(block.tables[name])
    assert truth is not None
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside)
        for name, parts in tables.items():
            pd.concat(parts, ignore_index=True).to_parquet(folder / f"{name}.parquet")
        (folder / "tenure.toml").write_text(
            _SIMULATED.format(
                until=options.last_day,
                horizon=parameters.HORIZON_DAYS,
                grace=parameters.GRACE_DAYS,
                every=parameters.GRID_DAYS,
                first=options.grid[0],
                last=options.grid[-1],
            )
        )
        workspace = open_workspace(folder, None, datetime(2026, 1, 1))
        with workspace.store.writing():
            with connected() as connection:
                stage_sources(workspace, connection)
                prepare_training(workspace, connection, workspace.target(None))
            report = effects_report(workspace, workspace.target(None))
    return {each.effect.play: _beside_truth(each.effect, truth) for each in report.plays}


def _beside_truth(effect: MeasuredEffect, truth: Mapping[str, Any]) -> dict[str, Any]:
    """One play of the simulator: what is true, what is said, what a naive comparison says."""
    whole = truth["plays"][effect.play]["risk_difference_90d"]
    assigned = truth["done_share"] * whole
    return {
        "truth_were_it_always_done": round(100 * whole, 2),
        "truth_as_assigned": round(100 * assigned, 2),
        "design": effect.design,
        "rows": [effect.treated, effect.untreated],
        **_points(effect),
        "naive": _rounded(effect.naive),
        "refused_or_covers": effect.verdict != "effect"
        or bool(effect.low <= assigned <= effect.high),
    }


def measure_owners(firms: int) -> dict[str, Any]:
    """How often owners are flagged: where all are alike, and where one is worse."""
    wrong, alike, found = 0, 0, 0
    for seed in range(firms):
        generator = np.random.default_rng(seed)
        owners, each = 20, 150
        names = np.repeat([f"owner {number:02d}" for number in range(owners)], each)
        # Some owners have riskier accounts: that is no mark against them.
        level = np.repeat(generator.normal(-2.2, 0.5, owners), each)
        chance = 1 / (1 + np.exp(-(level + generator.normal(0, 0.8, owners * each))))
        luck = generator.random(len(names))
        for worse in (None, "owner 07"):
            lifted = np.where(names == worse, np.minimum(OWNER_WORSE * chance, 0.95), chance)
            rows = pd.DataFrame({"group": names, "probability": chance, "label": luck < lifted})
            peers = compare_peers(rows.astype({"label": int}))
            flagged = {peer.group for peer in peers if peer.standing != "as expected"}
            if worse is None:
                wrong, alike = wrong + len(flagged), alike + owners
            else:
                found += worse in flagged
    return {
        "firms": firms,
        "flagged_where_all_are_alike": wrong / alike,
        "the_worse_one_found": found / firms,
    }


def _points(effect: MeasuredEffect) -> dict[str, Any]:
    return {
        "verdict": effect.verdict,
        "reason": effect.reason,
        "estimate": _rounded(effect.estimate),
        "low": _rounded(effect.low),
        "high": _rounded(effect.high),
    }


def _rounded(share: float) -> float | None:
    """Points with two decimals; None where there is no figure."""
    return None if np.isnan(share) else round(100 * share, 2)


PARTS = ("lot", "observed", "worklist", "owners", "real", "simulated")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--worlds", type=int, default=1_000)
    parser.add_argument("--observed-worlds", type=int, default=50, help="for each way of choosing")
    parser.add_argument("--accounts", type=int, default=20_000, help="of `simulated`")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of real data")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    measures: dict[str, Callable[[], Any]] = {
        "lot": lambda: [
            measure_lot(asked.worlds if size < SIZES[-1] else min(asked.worlds, 20), size)
            for size in SIZES
        ],
        "observed": lambda: measure_observed(asked.observed_worlds),
        "worklist": lambda: measure_worklist(3),
        "owners": lambda: measure_owners(200),
        "real": lambda: measure_real(asked.data),
        "simulated": lambda: measure_simulated(asked.accounts),
    }
    figures = {name: measures[name]() for name in asked.only}
    if asked.json:
        print(json.dumps(figures, indent=1))
        return
    for name, figure in figures.items():
        print(f"{name}\n{json.dumps(figure, indent=1)}")


if __name__ == "__main__":
    main()
