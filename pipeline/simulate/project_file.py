"""The demo's `tenure.toml`: commented, and valid for the tables that `write_world` wrote."""

from pipeline.simulate import parameters as p

_SOURCES = """
# The tables. Their columns have our names already, so nothing is renamed here.
[sources.accounts]
location = "data/accounts.parquet"
# These attributes of an account never change, so they need no history to be signals.
immutable = ["industry", "country"]
data_until = {until}

[sources.subscriptions]
location = "data/subscriptions.parquet"
# A term's end stands in the contract; each renewal is a new row.
convention = "fixed_term"
data_until = {until}

[sources.usage_events]
location = "data/usage_events.parquet"
# The product features that matter, what first brings value, and what people should not meet often.
key_features = ["create_report", "build_plan", "sync_integration"]
first_value_events = ["build_plan"]
trouble_events = ["error_shown"]
# A person's events further apart than this are two visits.
session_gap_minutes = 30
data_until = {until}

[sources.invoices]
location = "data/invoices.parquet"
data_until = {until}

[sources.support_tickets]
location = "data/support_tickets.parquet"
data_until = {until}

[sources.surveys]
location = "data/surveys.parquet"
data_until = {until}

[sources.contacts]
location = "data/contacts.parquet"
data_until = {until}

[sources.touchpoints]
location = "data/touchpoints.parquet"
data_until = {until}

[sources.milestones]
location = "data/milestones.parquet"
data_until = {until}

[sources.goals]
location = "data/goals.parquet"
data_until = {until}

[sources.csm_notes]
location = "data/csm_notes.parquet"
data_until = {until}

# What was tried with accounts: read to flag treated rows and to measure effects, never a signal.
[sources.interventions]
location = "data/interventions.parquet"
data_until = {until}
"""

_PROJECT = """# A simulated company of software by subscription: every table,
# and a truth to compare with.
name = "demo"
currency = "{currency}"
# Times in the tables are UTC.
time_zone = "UTC"
{sources}
# What is predicted first: will a customer have left within 90 days?
[[targets]]
name = "churn_90d"
kind = "churn"
horizon_days = {horizon}
gap_days = 0
# Some renewals are signed up to ten days late; that is not leaving.
grace_days = {grace}
population = {{ kind = "customers" }}
dates = {{ every_days = {every}, first = {first}, last = {last} }}
# The last dates are kept for the test and never used for choices.
test = {{ count = 3 }}

# And who will pay at least 5% more per month?
[[targets]]
name = "expansion_90d"
kind = "expansion"
horizon_days = {horizon}
grace_days = {grace}
change_share = 0.05
# A price rise is the vendor's own doing; what customers choose counts.
causes = ["seats", "plan", "product"]
purpose = "Offer seats or a larger plan to the accounts most likely to want them"
population = {{ kind = "customers" }}
dates = {{ every_days = {every}, first = {first}, last = {last} }}
test = {{ count = 3 }}

# What the scores are for; echoed in every report.
[objective]
purpose = "Call the accounts most likely to leave, before they decide"
capacity = 30
cost_per_contact = 120
save_share = 0.2

# What can be done with an account. `tenure worklist` gives each owner's hours to what saves most;
# `tenure effects` says what a play does, or why nobody can tell.
[[plays]]
name = "success_call"
minutes = 45
cost = 40
save_share = 0.3
alerts = ["at risk", "sudden drop"]

[[plays]]
name = "training_offer"
reasons = ["low_use", "losing_users", "slow_start"]
minutes = 90
cost = 80
save_share = 0.2

[[plays]]
name = "discount_offer"
bands = ["at_risk"]
minutes = 30
cost = 400
save_share = 0.2

# Half of those it was meant for were left alone by lot: its effect can be told.
[[plays]]
name = "pilot_call"
bands = ["at_risk"]
minutes = 60
cost = 60
save_share = 0.4
holdout = 0.5

# Not for those at risk: keeping comes before selling.
[[plays]]
name = "upgrade_offer"
aim = "grow"
bands = ["high", "medium"]
minutes = 30
cost = 20
win_share = 0.3

[worklist]
hours = 4
growth_share = 0.25
grows_by = 0.15

# What can be done with an account and which rows it leaves: `tenure path ACCOUNT` looks for the
# least of it by which the account would read a better band.
[[levers]]
name = "open ticket closed"
source = "support_tickets"
close = "closed_at"
most = 3

[[levers]]
name = "meeting held"
source = "touchpoints"
add = {{ kind = "meeting" }}
most = 3
effort = 2

[[levers]]
name = "training given"
source = "touchpoints"
add = {{ kind = "training" }}
most = 2
effort = 3

[[levers]]
name = "ten more plans built"
source = "usage_events"
add = {{ event_name = "build_plan" }}
rows = 10
most = 4
effort = 2

# A short search: enough for a demo on a laptop.
[training]
trials = 15
folds = 4
seed = 0
"""


def project_file(options: p.WorldOptions) -> str:
    """Text of a `tenure.toml` beside the folder `data`."""
    grid = options.grid or (options.first_day,)
    return _PROJECT.format(
        currency=p.CURRENCY,
        sources=_SOURCES.format(until=options.last_day),
        horizon=p.HORIZON_DAYS,
        grace=p.GRACE_DAYS,
        every=p.GRID_DAYS,
        first=grid[0],
        last=grid[-1],
    )
