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
# # Did the play work?
#
# Managers call the accounts that look bad, so who was called and who was not is no fair comparison:
# a call that helps can look as if it did harm. This notebook shows the trap on the simulated
# company, where the truth is known, and when tenure answers at all. On the project that `make demo`
# leaves in `demo`, or another one of the simulated world (`TENURE_PROJECT`).

# %%
import json
import os
from pathlib import Path

import pandas as pd

import tenure

pd.set_option("display.width", 160, "display.max_columns", 30, "display.max_colwidth", 110)
folder = Path(os.environ.get("TENURE_PROJECT", "demo"))
project = tenure.Project.open(folder)
played = pd.read_parquet(folder / "data" / "interventions.parquet")
played.groupby("play").agg(assigned=("account_id", "size"), held_back=("is_holdout", "sum"))

# %% [markdown]
# ## What tenure says
#
# One row per play. `naive` is the difference between who got it and who did not. `estimate` is
# there where the design allows one at all; `reason` says why no verdict rests on it.

# %%
effects = project.effects().set_index("play")
effects[["design", "verdict", "naive", "estimate", "low", "high", "reason"]]

# %%
assert set(effects["verdict"]) <= {"effect", "association", "refused"}
assert (effects.loc[effects["verdict"] == "refused", "reason"] != "").all()
known = effects.dropna(subset=["estimate"])
assert (known["low"] <= known["estimate"]).all() and (known["estimate"] <= known["high"]).all()

# %% [markdown]
# ## What is true
#
# The simulated world knows what each play does to the chance of leaving within 90 days. Below 0: it
# keeps customers.

# %%
truth = json.loads((folder / "truth" / "effects.json").read_text())
true = pd.Series(
    {name: play["risk_difference_90d"] for name, play in truth["plays"].items()}, name="true"
)
beside = effects.join(true)[["design", "true", "naive", "estimate", "low", "high"]]
beside.astype({"estimate": "float64"}).round(3)

# %%
assert (true < 0).all()  # every play of this world helps, a little or much
assert set(effects.index) == set(true.index)

# %% [markdown]
# Where `naive` lies above `true`, the people who chose whom to call are in it. The play whose
# accounts a lot chose has a fair comparison, and still needs enough accounts:

# %%
by_lot = effects.loc[truth["randomised"]]
assert by_lot["design"] == "holdout"
print(
    f"{truth['randomised']}: {by_lot['treated']} got it, {by_lot['treated_events']} of them left;"
    f" {by_lot['untreated']} were held back, {by_lot['untreated_events']} of them left."
)
print(by_lot["reason"] or "enough to tell")

# %% [markdown]
# To learn what a play does, let a lot decide near the end of the list
# ([how](../docs/how-to/plays.md)). `tenure effects` says beforehand how many months that takes.
