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
# # One account through the flow
#
# One account of a small simulated company: its raw rows, the dates it was asked on, what was known
# then, what happened next, its score, and the points that add up to it. Every cell calls the
# functions that the commands call.

# %%
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd

from features.windows import day_number
from pipeline.config import read_project
from pipeline.engine.duckdb import connected
from pipeline.jobs.evaluate import evaluate_target
from pipeline.jobs.explain import check_points, explain_account
from pipeline.jobs.prepare import feature_set, prepare_training
from pipeline.jobs.promote import promote_target
from pipeline.jobs.score import score_target
from pipeline.jobs.stage import stage_sources
from pipeline.jobs.train import train_target
from pipeline.simulate import WorldOptions, simulate, write_world
from pipeline.workspace import open_workspace

pd.set_option("display.width", 160, "display.max_columns", 30)

# %% [markdown]
# ## A company
#
# 100 customers ever signed, in a folder with its tables and a `tenure.toml`. So that this notebook
# is quick, the search is switched off (`trials = 0`) and fewer signals are made automatically.

# %%
folder = Path(tempfile.mkdtemp(prefix="tenure-notebook-"))
write_world(simulate(100, seed=3, options=WorldOptions(truth_dates=(date(2025, 2, 16),))), folder)
settings = folder / "tenure.toml"
quick = "trials = 0\nbags = 1\nmax_trees = 60\nthreads = 1"
fewer = "\n[features]\nwindow_days = [28, 91]\nmax_kinds = 3\n"
settings.write_text(settings.read_text().replace("trials = 15", quick) + fewer)
project = read_project(folder)
workspace = open_workspace(folder, None, datetime.now(UTC).replace(tzinfo=None))
target = workspace.target("churn_90d")
sorted(project.sources)

# %% [markdown]
# ## Raw rows
#
# We follow the account whose use fell most in its last month, among those with a term that still
# runs.

# %%
usage = pd.read_parquet(folder / "data" / "usage_events.parquet")
as_of = pd.Timestamp("2025-06-01")
days_ago = (as_of - usage["event_time"]).dt.days
recent = usage[days_ago < 28].groupby("account_id").size()
earlier = usage[(days_ago >= 28) & (days_ago < 56)].groupby("account_id").size()
busy = earlier[earlier >= 20].index.intersection(recent.index)
account = (recent[busy] / earlier[busy]).sort_values(kind="stable").index[0]
usage[usage["account_id"] == account].tail(3)

# %%
terms = pd.read_parquet(folder / "data" / "subscriptions.parquet")
terms.loc[
    terms["account_id"] == account,
    ["starts_at", "ends_at", "known_at", "seats", "amount_per_month"],
]

# %% [markdown]
# ## Staged rows
#
# Staging renames, types, converts to UTC and money to whole cents, and gives each row `known_from`:
# when it became known.

# %%
with workspace.store.writing(), connected() as connection:
    staged = stage_sources(workspace, connection)
    counts = prepare_training(workspace, connection, target)
invoices = workspace.store.read("staged_invoices", filters=[("account_id", "=", account)])
invoices[["issued_at", "due_at", "paid_at", "amount", "known_from"]].tail(3)

# %%
assert invoices["amount"].dtype == "int64", "money is stored in whole minor units"
assert (invoices["known_from"] >= invoices["issued_at"]).all(), (
    "nothing is known before it happened"
)

# %% [markdown]
# ## Snapshots and labels
#
# A snapshot is one account on one date. Its label is what happened in the 90 days after, once these
# are complete.

# %%
mine = [("target", "=", target.name), ("account_id", "=", account)]
labels = workspace.store.read("labels", filters=mine).sort_values("as_of")
snapshots = workspace.store.read("snapshots", filters=mine).sort_values("as_of")
snapshots.merge(labels, on=["account_id", "as_of", "target"])[
    ["as_of", "state", "age_days", "is_test", "label", "label_reason", "label_until"]
].tail(6)

# %% [markdown]
# ## Features, checked by hand
#
# The same number twice: as the builder made it, and counted from the raw rows that had happened
# **and** were known.

# %%
features = workspace.store.read(f"features_{target.name}")
row = features[features["account_id"] == account].sort_values("as_of").iloc[-1]
when = row["as_of"]
own = usage[
    (usage["account_id"] == account) & (usage["event_time"] < when) & (usage["known_at"] < when)
]
in_window = own[own["event_time"] >= when - pd.Timedelta(days=28)]
by_hand = {
    "events_28d": len(in_window),
    "active_days_28d": in_window["event_time"].dt.normalize().nunique(),
    "active_users_28d": in_window["user_id"].nunique(),
}
pd.DataFrame({"built": {name: row[name] for name in by_hand}, "by hand": by_hand})

# %%
assert all(row[name] == value for name, value in by_hand.items())

# %% [markdown]
# Each column knows what it means:

# %%
signals = {signal.column: signal for signal in feature_set(workspace, target).signals}
signal = signals["active_days_28d"]
print(len(signals), "signals;", signal.column, "=", signal.meaning, "|", signal.phrase)

# %% [markdown]
# ## A model, judged on dates it never saw

# %%
trained = train_target(workspace, target)
evaluation = evaluate_target(workspace, target)
for gate in evaluation.gates:
    print("passed " if gate.passed else "REFUSED", gate.name, "-", gate.reason)

# %% [markdown]
# So small a company rarely carries a model through the gates. What is published then is the
# scorecard: a score and reasons, no probability.

# %%
refused = [gate.name for gate in evaluation.refusals]
problems = trained.bundle.facts.scale_problems
accepted = "a notebook" if problems else None
promotion = promote_target(workspace, target, use_scorecard=bool(refused), acknowledge=accepted)
print(promotion.basis)

# %% [markdown]
# ## Score and points

# %%
with workspace.store.writing(), connected() as connection:
    published = score_target(workspace, connection, target, as_of.date())
explained = explain_account(workspace, target, account)
score = explained.score
print({name: score[name] for name in ("health", "band", "basis", "probability", "base_displayed")})
explained.drivers[["dimension", "points", "points_displayed", "said", "compared"]]

# %% [markdown]
# The points add: exactly for the score before rounding, and as whole numbers for the score that
# people see.

# %%
assert abs(score["base_points"] + explained.drivers["points"].sum() - score["health_exact"]) < 1e-9
assert score["base_displayed"] + explained.drivers["points_displayed"].sum() == score["health"]

# %% [markdown]
# And for every account of the run:

# %%
checked = check_points(workspace, target)
assert checked.displayed_add and checked.accounts > 0
print(checked)

# %%
print(day_number(as_of.date()), "is the number of", as_of.date(), "inside the SQL of the features")
