"""What the amount of each labelled row changed by inside its window, as it is known now."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from features.windows import US_PER_DAY
from models.labels import change_causes
from models.targets import AMOUNT_KINDS
from pipeline.config.schema import Target
from pipeline.engine.duckdb import Connection
from pipeline.engine.facts import put_table, source_facts
from pipeline.staging.staged import StagedSource
from pipeline.workspace import Workspace, label_source, target_rule


def row_causes(
    workspace: Workspace,
    connection: Connection,
    staged: Mapping[str, StagedSource],
    target: Target,
    keys: pd.DataFrame,
) -> "pd.Series[str] | None":
    """Cause of the change per row of `keys` (account_id, as_of), empty where nothing changed; None
    where the target is not about an amount, or neither seats nor plan tell causes apart.
    """
    if target.kind not in AMOUNT_KINDS:
        return None
    facts = source_facts(staged[label_source(workspace, target)], {})
    if not {"seats", "plan"} & facts.mapped:
        return None
    days = keys["as_of"].to_numpy(dtype="datetime64[us]").astype(np.int64) // US_PER_DAY
    asked = pd.DataFrame({"account_id": keys["account_id"].astype("str"), "as_of_day": days})
    put_table(connection, "snapshots", asked)
    causes = connection.execute(change_causes(target_rule(target), facts)).df()
    cause_of_row = asked.merge(causes, on=["account_id", "as_of_day"], how="left", validate="1:1")
    return cause_of_row["cause"].fillna("").astype("str").set_axis(keys.index)
