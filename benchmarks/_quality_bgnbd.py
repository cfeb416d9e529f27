"""BG/NBD on repeat purchases: what `benchmarks.quality` compares with, in an environment of its
own.

Run by that benchmark with one folder: reads `histories.parquet` (`as_of_day`, `fitted_day`,
`frequency`, `recency`, `age`: repeat purchase days, days from the first to the last, days since the
first) and `options.json`; writes `answer.parquet` (`probability` of no purchase in the horizon, in
the order of the histories) and `facts.json`. Every `fitted_day` has a model of its own, fitted by
plain maximum likelihood on the histories of that day, of all who had ever bought.

References
----------
[Fader2005] Fader, Hardie, Lee: "Counting your customers" the easy way, Marketing Science 24 (2),
equations 1 to 10.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import betaincinv, roots_legendre

NODES = 64
"""Points over the chance of dropping out; 64 are within 0.00001 of 2,048."""


def no_purchase(
    parameters: dict[str, float],
    frequency: Any,
    age: Any,
    alive: Any,
    gap_days: int,
    horizon_days: int,
) -> Any:
    """Return the probability of no purchase in `[age + gap, age + gap + horizon)`, shape
    (n_accounts,).

    Alive at `age`, an account buys at rate l and drops out after a purchase with chance p, so it is
    alive after the gap with probability exp(-l p g), and then silent for h with exp(-l h):

        P(none) = 1 - P(alive) E[exp(-l p g) (1 - exp(-l h))],

    l ~ Gamma(r + x, alpha + T), p ~ Beta(a, b + x) independent given alive [Fader2005, eq. 2 and
    3]. Over l this is closed, over p a quadrature in its quantiles; with g = 0 nothing depends on p
    and P(X(h) = 0) of the paper is left.
    """
    shape, scale = parameters["r"] + frequency, parameters["alpha"] + age
    points, weights = roots_legendre(NODES if gap_days else 1)
    quantiles = (points + 1.0) / 2.0
    buys: Any = np.zeros(len(shape))
    for quantile, weight in zip(quantiles, weights / 2.0, strict=True):
        waited = scale + gap_days * betaincinv(
            parameters["a"], parameters["b"] + frequency, quantile
        )
        buys += weight * ((scale / waited) ** shape - (scale / (waited + horizon_days)) ** shape)
    return 1.0 - alive * buys


def predict(
    histories: pd.DataFrame, options: dict[str, Any]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Probabilities of all histories, and the parameters fitted last."""
    from lifetimes import BetaGeoFitter

    probability, parameters = np.empty(len(histories)), {}
    x, t_x, age = (
        histories[name].to_numpy(dtype=np.float64) for name in ("frequency", "recency", "age")
    )
    for day, rows in sorted(histories.groupby("fitted_day").indices.items()):
        then = rows[histories["as_of_day"].to_numpy()[rows] == day]
        fitted = BetaGeoFitter().fit(x[then], t_x[then], age[then])
        parameters = {name: float(value) for name, value in fitted.params_.items()}
        alive = np.asarray(fitted.conditional_probability_alive(x[rows], t_x[rows], age[rows]))
        probability[rows] = no_purchase(
            parameters, x[rows], age[rows], alive, options["gap_days"], options["horizon_days"]
        )
    facts = {
        "version": version("lifetimes"),
        "parameters": {name: round(value, 4) for name, value in parameters.items()},
    }
    return pd.DataFrame({"probability": probability}), facts


if __name__ == "__main__":
    place = Path(sys.argv[1])
    answer, found = predict(
        pd.read_parquet(place / "histories.parquet"),
        json.loads((place / "options.json").read_text(encoding="utf-8")),
    )
    answer.to_parquet(place / "answer.parquet")
    (place / "facts.json").write_text(json.dumps(found), encoding="utf-8")
