"""What the scale of the model in use promises per ten points, and what its untouched test saw."""

from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from models.bundle import base_of
from models.health import Promise, Scale, promises
from pipeline.config.schema import Target
from pipeline.jobs.registry import need_version
from pipeline.tracking import CHALLENGER, CHAMPION
from pipeline.workspace import Workspace

INTERVAL = "Wilson, with each account counted as one trial"


@dataclass(frozen=True)
class ScaleExplained:
    """A scale, where points start, and its ranges; no ranges where nothing was tested."""

    target: str
    horizon_days: int | None
    basis: str
    model_version: str
    scale: Scale
    base: float
    base_displayed: int
    ranges: tuple[Promise, ...]
    at_decision: bool
    """Whether health is read where contracts decide, and so promises what happens there."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        return {
            "target": self.target,
            "horizon_days": self.horizon_days,
            "basis": self.basis,
            "at_decision": self.at_decision,
            "model_version": self.model_version,
            "scale": self.scale.to_dict(),
            "bands": list(self.scale.bands),
            "base_points": self.base,
            "base_displayed": self.base_displayed,
            "interval": INTERVAL,
            "ranges": [asdict(each) for each in self.ranges],
        }


def explain_scale(
    workspace: Workspace, target: Target, *, use_candidate: bool = False
) -> ScaleExplained:
    """The scale of the model in use (or the candidate), beside what its test dates saw.

    Raises
    ------
    NoModel
        When no model is in use.
    """
    bundle = need_version(
        workspace,
        target,
        CHALLENGER if use_candidate else CHAMPION,
        "Run `tenure evaluate` and `tenure promote`, or explain the candidate's scale with"
        " --candidate.",
    ).bundle
    base, base_displayed = base_of(bundle)
    tested = (
        tested_scores(workspace, target, bundle.model_version)
        if bundle.basis == "calibrated"
        else None
    )
    scale = bundle.scale
    ranges = (
        () if tested is None else promises(tested, edges=(scale.at_risk_until, scale.stable_until))
    )
    return ScaleExplained(
        target.name,
        target.horizon_days,
        bundle.basis,
        bundle.model_version,
        scale,
        base,
        base_displayed,
        ranges,
        bundle.published.decision is not None,
    )


def tested_scores(workspace: Workspace, target: Target, model_version: str) -> pd.DataFrame:
    """Scores of the untouched test dates of one model; empty where its test is not on record."""
    empty = pd.DataFrame(columns=["account_id", "health", "probability", "label"])
    if not workspace.store.exists("backtest"):
        return empty
    rows = workspace.store.read(
        "backtest", filters=[("target", "=", target.name), ("model_version", "=", model_version)]
    )
    return rows if len(rows) else empty


def published_ranges(
    workspace: Workspace, target: Target, model_version: str
) -> tuple[Promise, ...]:
    """Ranges for the scores of a published run, without loading its model."""
    return promises(tested_scores(workspace, target, model_version), edges=band_edges(workspace))


def band_edges(workspace: Workspace) -> tuple[int, int]:
    """Last displayed score of the first and of the second band."""
    declared = workspace.project.scale
    return declared.at_risk_until, declared.stable_until
