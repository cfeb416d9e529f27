"""Which drivers another seed would have told as well: the others may be chance of the training."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.definition import Signal
from models.drivers.drivers import REST, shown_driver
from models.drivers.twins import Twins

SURE_SHARE = 0.5
"""Share of a driver's points that the model from another seed must give it too, in the same
direction.
"""


def sure_drivers(
    drivers: pd.DataFrame, signals: Sequence[Signal], twins: Twins, reseeded_points: npt.ArrayLike
) -> list[bool | None]:
    """Whether each driver of one account is told alike by the same model from another seed; None
    for rests.

    Parameters
    ----------
    drivers
        Published rows of one account: dimension, driver, points.
    reseeded_points
        Points of the account by the reseeded model, shape (n_signals,).
    """
    reseeded: dict[tuple[str, str], float] = {}
    for signal, points in zip(signals, np.asarray(reseeded_points, dtype=np.float64), strict=True):
        key = (signal.dimension, shown_driver(signal, twins))
        reseeded[key] = reseeded.get(key, 0.0) + float(points)
    sure: list[bool | None] = []
    for row in drivers.to_dict("records"):
        other = reseeded.get((row["dimension"], row["driver"]), 0.0)
        same_way = other if row["points"] > 0 else -other
        sure.append(
            None if row["driver"] == REST else bool(same_way >= SURE_SHARE * abs(row["points"]))
        )
    return sure
