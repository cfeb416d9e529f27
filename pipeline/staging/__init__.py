"""From the user's tables to `staged_<source>`: names, types, units, zones, bad rows, versions."""

from pipeline.staging.sources import drop_staged, stage
from pipeline.staging.staged import StagedColumn, StagedSource

__all__ = ["StagedColumn", "StagedSource", "drop_staged", "stage"]
