"""The registered model, as MLflow loads it: from this code over data files, never from a pickle.

`mlflow.pyfunc.load_model(...).predict(frame)` takes a frame with the model's feature columns, of a
model trained on a table with the table's own columns as they were, and returns probability,
probability_low, probability_high, health, band and drivers (JSON text).
"""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class HealthModel(PythonModel):
    """Scores feature rows with a bundle."""

    def load_context(self, context: Any) -> None:
        """Read the bundle, checking its hashes."""
        from models.bundle import read_bundle

        self.bundle = read_bundle(Path(context.artifacts["bundle"]))

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Probability, interval, health, band and drivers of each row."""
        import json

        from models.bundle import score
        from models.drivers import OTHER_CUSTOMERS, OTHERS, driver_table
        from models.table_input import COLUMNS, table_input

        columns = self.bundle.published.columns
        if COLUMNS in self.bundle.choices:
            model_input = table_input(model_input, self.bundle.choices).features
        missing = [c for c in columns if c not in model_input.columns]
        if missing:
            from features.errors import ArtifactMismatch

            raise ArtifactMismatch(
                f"{len(missing)} feature columns are missing, first {missing[:3]}."
            )
        features = model_input.reindex(columns=columns).astype("float64")
        scored = score(self.bundle, features)
        rows = [str(i) for i in range(len(features))]
        drivers = driver_table(
            rows,
            features,
            None,
            scored.points,
            self.bundle.published.signals,
            self.bundle.published.reference_values,
            scored.table["health"],
            scored.base_displayed,
            others=OTHER_CUSTOMERS if self.bundle.scale.good_event else OTHERS,
            twins=self.bundle.twins,
        )
        grouped = {
            key: part.drop(columns="account_id") for key, part in drivers.groupby("account_id")
        }
        # NaN is no JSON: what has no value (rests, no past) is null.
        words = [
            (
                json.dumps(
                    grouped[r].astype(object).where(grouped[r].notna(), None).to_dict("records"),
                    default=str,
                    ensure_ascii=False,
                )
                if r in grouped
                else "[]"
            )
            for r in rows
        ]
        chosen = ["probability", "probability_low", "probability_high", "health", "band"]
        return scored.table[chosen].assign(drivers=words)


set_model(HealthModel())
