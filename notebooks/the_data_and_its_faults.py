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
# # The data and its faults
#
# A small company whose tables look like a typical CRM export: no history of attributes, rows of
# customers who left deleted or zeroed. A model would profit from every one of these faults, and
# lose the profit on the first real date. This notebook looks at the raw rows, then at what the
# check says of them, then at what becomes of them.

# %%
import tempfile
from pathlib import Path

import pandas as pd

import tenure
from pipeline.simulate import WorldOptions, simulate, write_world

pd.set_option("display.width", 160, "display.max_columns", 30, "display.max_colwidth", 100)
folder = Path(tempfile.mkdtemp(prefix="tenure-notebook-"))
options = WorldOptions(as_exported=True, truth_dates=())
write_world(simulate(50, seed=3, options=options), folder)
# Fewer signals, so that this notebook is quick.
with (folder / "tenure.toml").open("a") as settings:
    settings.write("\n[features]\nwindow_days = [28]\nmax_kinds = 2\n")
project = tenure.Project.open(folder)

# %% [markdown]
# ## Raw rows
#
# Use is recorded for accounts that the account table no longer knows: somebody deleted them when
# they left. Whoever joins on that table learns from survivors alone.

# %%
accounts = pd.read_parquet(folder / "data" / "accounts.parquet")
usage = pd.read_parquet(folder / "data" / "usage_events.parquet")
deleted = sorted(set(usage["account_id"]) - set(accounts["account_id"]))
print(f"{len(deleted)} of {usage['account_id'].nunique()} accounts with use are not in the table")
assert deleted

# %% [markdown]
# ## What the check says
#
# `check()` is `tenure check`: one row per finding. A `stop` keeps models from being trained until
# it is mended, or accepted in `[checks] accept` with a reason.

# %%
findings = project.check()
findings[["severity", "name", "source", "count", "total"]]

# %%
stops = findings[findings["severity"] == "stop"]
for each in stops.itertuples():
    print(f"{each.name} ({each.source or 'several sources'})\n  {each.what}\n  -> {each.todo}\n")

# %% [markdown]
# The deleted accounts that we counted by hand are among them.

# %%
missing = findings.set_index("name").loc["leavers-missing-from-accounts"]
assert missing["severity"] == "stop"
assert missing["count"] == len(deleted)

# %% [markdown]
# ## Training is refused
#
# No option turns that off. The error says what the check said.

# %%
project.build_features()
try:
    project.train()
except Exception as refused:
    reason = refused
print(type(reason).__name__, str(reason)[:300], sep="\n")
assert type(reason).__name__ == "LeakageError"

# %% [markdown]
# ## What is not known yet is not zero
#
# A label exists once its 90 days are over, so the last date asked lies that far before the end.

# %%
labels = project.labels()
labels.groupby("as_of")["label"].agg(rows="size", known="count", left="sum").tail(6)

# %%
assert set(labels["label"].dropna()) <= {0, 1}
assert labels.loc[labels["label"].notna(), "label_until"].max() <= usage["event_time"].max()
