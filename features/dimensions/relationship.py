"""Relationship: who stands behind the contract, and how they feel."""

from features.definition import StateCard, count, latest, mean, windowed
from features.windows import covers, ended_within

_HERE = covers("t", "valid_from", "valid_to")


def _role(name: str, role: str) -> tuple[StateCard, StateCard]:
    """Present now, and lost within a quarter, for one role."""
    return (
        StateCard(f"{name}s_present", "relationship", "contacts",
                  f"count(case when t.role = '{role}' and {_HERE} then 1 end)", 0, "people", "down",
                  f"{{value}} {name}s in place", f"contacts in the role {role} now"),
        StateCard(f"{name}_lost_91d", "relationship", "contacts",
                  f"count(case when t.role = '{role}' and {ended_within('t', 'valid_to', 91)} then 1 end)", 0,
                  "people", "up", f"{{value}} {name}s left in the last 91 days",
                  f"contacts in the role {role} who left in 91 days", needs=("valid_to",)),
    )


CARDS = (
    windowed("nps", dimension="relationship", contract="surveys", stream="answered", measure=latest("score", "nps"),
             days=(182,), when_empty=None, unit="rating", worse="down", is_leading=False,
             phrase="last recommendation score {value} of 10", meaning="newest NPS answer, aged out after 182 days"),
    windowed("csat", dimension="relationship", contract="surveys", stream="answered", measure=mean("score", "csat"),
             days=(182,), when_empty=None, unit="rating", worse="down", is_leading=False,
             phrase="satisfaction {value} on average in {days} days", meaning="mean CSAT answer"),
    windowed("survey_answers", dimension="relationship", contract="surveys", stream="answered", measure=count(),
             days=(182,), when_empty=0, unit="answers", worse="down",
             phrase="{value} survey answers in the last {days} days", meaning="survey answers given"),
    windowed("pulse", dimension="relationship", contract="csm_notes", stream="noted", measure=latest("pulse"),
             days=(91,), when_empty=None, unit="rating", worse="down",
             phrase="the account manager's pulse is {value} of 5", meaning="newest pulse rating, aged out after 91 days"),
)

STATES = (
    *_role("champion", "champion"),
    *_role("sponsor", "sponsor"),
    StateCard("contacts_present", "relationship", "contacts", f"count(case when {_HERE} then 1 end)", 0, "people",
              "down", "{value} contacts known", "contacts of all roles now"),
)
