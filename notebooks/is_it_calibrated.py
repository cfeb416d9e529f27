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
# # Is it calibrated?
#
# Of accounts shown 10%, do 10 in 100 leave? On the project that `make demo` leaves in `demo`, or
# another one that was run (`TENURE_PROJECT`). Everything comes from the untouched test, so nothing
# here was seen in training.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import tenure

pd.set_option("display.width", 160, "display.max_columns", 30)
project = tenure.Project.open(os.environ.get("TENURE_PROJECT", "demo"))
tested = project.backtest()
print(f"{len(tested):,} scores of {tested['account_id'].nunique():,} accounts")
assert tested["probability"].between(0, 1).all()

# %% [markdown]
# ## In total
#
# The sum of the chances is how many were expected to leave. It is the simplest check there is, and
# the one that budgets rest on.

# %%
expected, happened = tested["probability"].sum(), tested["label"].sum()
# Variance of the count, if every chance is right and accounts decide on their own.
spread = np.sqrt((tested["probability"] * (1 - tested["probability"])).sum())
print(f"{expected:.1f} expected, {happened} happened; {2 * spread:.1f} either way would be luck")
assert spread > 0

# %% [markdown]
# Scores of one account on three dates are no three accounts, so luck is wider than this. The
# intervals of `evaluate` draw accounts, not scores.

# %% [markdown]
# ## By height
#
# Five groups of equal size, lowest chances first.

# %%
groups = tested.groupby(pd.qcut(tested["probability"].rank(method="first"), 5, labels=False))
curve = groups.agg(
    scores=("label", "size"),
    expected=("probability", "mean"),
    happened=("label", "mean"),
    accounts=("account_id", "nunique"),
)
curve.round(3)

# %%
assert curve["scores"].sum() == len(tested)
assert curve["expected"].is_monotonic_increasing

# %%
top = 1.1 * curve[["expected", "happened"]].to_numpy().max()
figure, axes = plt.subplots(figsize=(5, 5))
axes.plot([0, top], [0, top], color="0.7")
axes.plot(curve["expected"], curve["happened"], "o-")
_ = axes.set(xlabel="chance given", ylabel="share that left", xlim=(0, top), ylim=(0, top))
# %% [markdown]
# ## By band
#
# The same, by the bands that people see.

# %%
workable = tested.assign(
    band=pd.Categorical(tested["band"], ["at_risk", "stable", "healthy"], ordered=True)
)
bands = workable.groupby("band", observed=False).agg(
    scores=("label", "size"), expected=("probability", "sum"), happened=("label", "sum")
)
assert bands["scores"].sum() <= len(tested)
bands.round(1)

# %% [markdown]
# ## After publication
#
# `outcomes()` asks the same of scores that were really published, as soon as their 90 days are
# over. Until then a run waits; it counts neither as a hit nor as a miss.

# %%
report = project.outcomes()
print(len(report.judged), "runs judged,", len(report.waiting), "still waiting")
