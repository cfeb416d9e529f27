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
# # Why did the score move?
#
# Two runs of the same project four weeks apart, and the difference of every account's score split
# into causes that add up. On a copy of the project that `make demo` leaves in `demo`, or of the one
# named in `TENURE_PROJECT`.

# %%
import os
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

import pandas as pd
import shap

import tenure

pd.set_option("display.width", 160, "display.max_columns", 30, "display.max_colwidth", 90)
copy = Path(tempfile.mkdtemp(prefix="tenure-notebook-")) / "project"
shutil.copytree(os.environ.get("TENURE_PROJECT", "demo"), copy)
project = tenure.Project.open(copy)
now = project.runs()["as_of"].iloc[-1].date()
before = now - timedelta(days=28)

# %% [markdown]
# ## Score the earlier date
#
# With the model in use, and only with what was known then. Readers go on seeing the newest date.

# %%
earlier = project.score(before)
assert project.scores()["as_of"].iloc[0].date() == now
project.runs()[["as_of", "basis", "model_version", "marker"]]

# %% [markdown]
# ## Causes
#
# Late data, the calendar, what customers did, another model, another scale: one column of exact
# points each. Here the model is the same, so nothing may be left for it.

# %%
found = project.changes(str(before), str(now))
causes = ["data", "clock", "behaviour", "model", "scale"]
moved = found.accounts.dropna(subset=["change"])
moved[causes].abs().mean().round(2)

# %%
exact = project.scores().set_index("account_id")["health_exact"]
was = earlier.set_index("account_id")["health_exact"]
both = moved[moved["account_id"].isin(was.dropna().index)].set_index("account_id")
both = both.loc[both.index.intersection(exact.dropna().index)]
gap = both[causes].sum(axis=1) - (exact - was).reindex(both.index)
assert gap.abs().max() < 1e-6
assert both["model"].abs().max() < 1e-9

# %% [markdown]
# ## One account
#
# The one that fell furthest by what it did.

# %%
account = str(both["behaviour"].idxmin())
print(account, both.loc[account, ["health_before", "health_after", *causes]].to_dict())
lines = found.lines[found.lines["account_id"] == account]
lines.reindex(lines["points"].abs().sort_values(ascending=False).index)[
    ["cause", "driver", "points", "words"]
].head(8)

# %%
assert abs(lines["points"].sum() - (exact - was)[account]) < 1e-6

# %% [markdown]
# ## How the score stands now
#
# From the base, where every account starts, to its score: the points of its signals.

# %%
now_points = project.contributions(accounts=[account], explains="health")
shap.plots.waterfall(now_points[0], max_display=12, show=False)

# %%
assert abs(now_points.base_values[0] + now_points.values[0].sum() - exact[account]) < 1e-9
explained = project.explain(account)
print(
    explained.score["health"], explained.score["band"], "|", explained.why or "nothing to explain"
)
