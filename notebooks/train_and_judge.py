# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Train a model and judge it
#
# On the project that `make demo` leaves in `demo`, or another one that was run: name its folder in
# `TENURE_PROJECT`. The notebook works on a copy, so yours stays as it is.

# %%
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import shap

import tenure

pd.set_option("display.width", 160, "display.max_columns", 30)
copy = Path(tempfile.mkdtemp(prefix="tenure-notebook-")) / "project"
shutil.copytree(os.environ.get("TENURE_PROJECT", "demo"), copy)
project = tenure.Project.open(copy)

# %% [markdown]
# ## What there is to learn from
#
# Signals as they were known on each date, and what happened in the 90 days after it. The test is
# the last dates; no model learns from them.

# %%
rows = project.features().merge(project.labels(), on=["account_id", "as_of"])
known = rows[rows["label"].notna()]
known.groupby("is_test")["label"].agg(rows="size", left="sum", rate="mean")

# %%
assert known.loc[known["is_test"], "as_of"].min() > known.loc[~known["is_test"], "as_of"].max()
signals = project.signals()
signals.groupby("dimension")["column"].count()

# %% [markdown]
# ## Train
#
# `again=True`, because nothing changed since the candidate there is.

# %%
candidate = project.train(again=True)
print(candidate.model.name, "|", len(candidate.model.signals), "signals")
for note in candidate.facts.notes:
    print("-", note)

# %% [markdown]
# ## Judge
#
# On the untouched test, beside what is simpler. A difference of log loss whose interval lies below
# 0 is a gain beyond luck.

# %%
evaluation = project.evaluate()
test = evaluation.test
print(
    f"AUC {test.metrics.auc.value:.3f} ({test.metrics.auc.low:.3f} to {test.metrics.auc.high:.3f})"
)
pd.DataFrame(
    {
        name: {
            "log_loss": each.log_loss,
            "ours_minus_theirs": each.difference.value,
            "low": each.difference.low,
            "high": each.difference.high,
        }
        for name, each in evaluation.baselines.items()
    }
).T.round(4)

# %%
for gate in evaluation.gates:
    print(f"{gate.verdict:<15} {gate.name}: {gate.reason}")
assert test.metrics.auc.low <= test.metrics.auc.value <= test.metrics.auc.high

# %% [markdown]
# ## The same by hand
#
# `backtest()` is what the test rests on, so any metric can be worked out again.

# %%
tested = project.backtest()
p, y = tested["probability"].to_numpy(), tested["label"].to_numpy()
log_loss = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
assert abs(log_loss - test.metrics.log_loss.value) < 1e-9
assert len(tested) == test.counts.n

# %% [markdown]
# ## What it reads
#
# Exact points of the published scores, as `shap` draws them.

# %%
explanation = project.contributions(explains="health")
shap.plots.beeswarm(explanation, max_display=10, show=False)

# %%
scores = project.scores().set_index("account_id")["health_exact"]
added = pd.Series(
    explanation.base_values + explanation.values.sum(axis=1),
    index=project.scored_features()["account_id"],
)
assert (added - scores.reindex(added.index)).abs().max() < 1e-9
