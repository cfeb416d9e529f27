"""Relationship: who stands behind the contract, and how they feel."""

from functools import partial

from features.definition import Card, RatioCard, StateCard, count, days_since, latest, mean
from features.windows import covers, ended_within, happened
from features.windows import days_since as days_from

QUARTER_DAYS, YEAR_DAYS = 91, 364
"""Answers of a quarter are compared with those of the year before it."""
_HERE = covers("t", "valid_from", "valid_to")


def _role(name: str, role: str) -> tuple[StateCard, ...]:
    """Present now, lost and come within a quarter, and how long the place has been empty, for one
    role.
    """
    words_of = ("role", (role,))
    here = f"count(case when t.role = '{role}' and {_HERE} then 1 end)"
    gone = f"min(case when t.role = '{role}' then {days_from('t', 'valid_to')} end)"
    return (
        StateCard(
            f"{name}s_present",
            "relationship",
            "contacts",
            f"count(case when t.role = '{role}' and {_HERE} then 1 end)",
            0,
            "people",
            "down",
            f"{{value}} {name}s in place",
            f"contacts in the role {role} now",
            said_at={"0": f"No {name}", "1": f"One {name} in place"},
            reason="sponsor_lost",
            words_of=words_of,
        ),
        StateCard(
            f"{name}_lost_91d",
            "relationship",
            "contacts",
            f"count(case when t.role = '{role}' and {ended_within('t', 'valid_to', 91)} then 1"
            " end)",
            0,
            "people",
            "up",
            f"{{value}} {name}s departed in the last three months",
            f"contacts in the role {role} who left in 91 days",
            needs=("valid_to",),
            reason="sponsor_lost",
            words_of=words_of,
        ),
        StateCard(
            f"{name}_new_91d",
            "relationship",
            "contacts",
            f"count(case when t.role = '{role}' and {happened('t', 'valid_from', within_days=91)}"
            " then 1 end)",
            0,
            "people",
            None,
            f"{{value}} new {name}s in the last three months",
            f"contacts who took the role {role} in 91 days: a replacement, where one left",
            words_of=words_of,
        ),
        StateCard(
            f"{name}_missing_days",
            "relationship",
            "contacts",
            f"case when {here} = 0 then {gone} else 0 end",
            0,
            "days",
            "up",
            f"No {name} for {{value}} days",
            f"days since the last contact in the role {role} left, 0 while there is one or"
            " never was",
            needs=("valid_to",),
            said_at={"0": f"No {name} missing"},
            reason="sponsor_lost",
            words_of=words_of,
        ),
    )


_answers = partial(
    StateCard,
    dimension="relationship",
    contract="surveys",
    rows="one_wording",
    when_empty=None,
    worse="down",
    needs=("points",),
)
_HALF_YEAR = happened("t", "answered_at", within_days=182)
_QUARTER = happened("t", "answered_at", within_days=QUARTER_DAYS)
_YEAR = happened("t", "answered_at", within_days=YEAR_DAYS)


def _mean_points(condition: str, column: str = "points") -> str:
    """Mean of a column over the answers that meet a condition, one division at the end."""
    chosen = f"case when {condition} then t.{column} end"
    return f"(sum({chosen}) * 1e0 / nullif(count({chosen}), 0))"


def _survey(name: str, kind: str, phrase: str, meaning: str, asked: str) -> StateCard:
    """Mean answer of one kind on 0-100."""
    return _answers(
        name,
        expression=_mean_points(f"{_HALF_YEAR} and t.kind = '{kind}'"),
        unit="points",
        phrase=phrase,
        meaning=f"{meaning}, answers of 182 days to the wording last answered, on 0-100",
        missing=f"No survey answer about {asked} on record for the last six months",
        scale_of="points",
        needs=("points", "kind"),
        nature="lagging",
        reason="unhappy",
    )


CARDS = (
    Card(
        "nps",
        dimension="relationship",
        contract="surveys",
        stream="answered",
        measure=latest("points", "nps"),
        days=(182,),
        when_empty=None,
        unit="tenths",
        worse="down",
        phrase="Last NPS answer was {value} out of 10",
        meaning=(
            "newest NPS answer on 0-100, aged out after 182 days; one off its scale says nothing"
        ),
        missing="No NPS answer on record for the last six months",
        nature="lagging",
        reason="unhappy",
    ),
    Card(
        "survey_answers",
        dimension="relationship",
        contract="surveys",
        stream="answered",
        measure=count(),
        days=(182,),
        when_empty=0,
        unit="answers",
        worse="down",
        phrase="{value} survey answers in the last {window}",
        meaning="survey answers given",
        reason="low_engagement",
    ),
    Card(
        "days_since_survey",
        dimension="relationship",
        contract="surveys",
        stream="answered",
        measure=days_since(),
        when_empty=None,
        unit="days",
        worse="up",
        phrase="Last answered a survey {value} days ago",
        meaning="days since the last survey answer of any kind",
        missing="No survey answer on record",
        reason="low_engagement",
        said_at={"0": "Answered a survey within the last day"},
    ),
    Card(
        "comment_tone",
        dimension="relationship",
        contract="surveys",
        stream="answered",
        measure=mean("text_sentiment"),
        days=(182,),
        when_empty=None,
        unit="tone",
        worse="down",
        phrase="Survey comments of the last {window} sound {value}",
        meaning="mean tone of survey comments",
        missing="No survey comment on record for the last six months",
        nature="lagging",
        reason="unhappy",
    ),
    Card(
        "note_tone",
        dimension="relationship",
        contract="csm_notes",
        stream="noted",
        measure=mean("text_sentiment"),
        days=(91,),
        when_empty=None,
        unit="tone",
        worse="down",
        phrase="The account manager's notes of the last {window} sound {value}",
        meaning="mean tone of the account manager's notes",
        missing="No written note by the account manager on record for the last three months",
        reason="unhappy",
    ),
    Card(
        "pulse_mean",
        dimension="relationship",
        contract="csm_notes",
        stream="noted",
        measure=mean("pulse"),
        days=(364,),
        when_empty=None,
        unit="rating",
        worse="down",
        phrase="The account manager's rating averaged {value} out of 5 in the last {window}",
        meaning="mean pulse rating",
        missing="No rating by the account manager on record for the last year",
        reason="unhappy",
    ),
)

STATES = (
    *_role("champion", "champion"),
    *_role("sponsor", "sponsor"),
    StateCard(
        "contacts_present",
        "relationship",
        "contacts",
        f"count(case when {_HERE} then 1 end)",
        0,
        "people",
        "down",
        "{value} contacts known",
        "contacts of all roles now",
        reason="sponsor_lost",
    ),
    StateCard(
        "pulse",
        "relationship",
        "csm_notes",
        "max(t.pulse)",
        None,
        "rating",
        "down",
        "The account manager's rating is {value} out of 5",
        "newest pulse rating, unless it expired or is older than 91 days",
        missing="No current rating by the account manager",
        needs=("pulse",),
        scale_of="pulse",
        rows="newest_note",
        reason="unhappy",
    ),
    _answers(
        "nps_balance",
        expression=_mean_points(f"{_HALF_YEAR} and t.kind = 'nps'", "nps_points"),
        unit="points",
        phrase="NPS is {value} over the last six months",
        scale_of="nps_points",
        meaning=(
            "percent promoters (9-10) minus percent detractors (0-6) among the account's NPS"
            " answers of 182 days to the wording last answered"
        ),
        missing="No NPS answer on record for the last six months",
        needs=("nps_points", "kind"),
        nature="lagging",
        reason="unhappy",
    ),
    _survey(
        "csat",
        "csat",
        "Satisfaction averaged {value} out of 100 in the last six months",
        "mean CSAT",
        "satisfaction",
    ),
    _survey(
        "effort",
        "ces",
        "Ease of getting things done averaged {value} out of 100 in the last six months",
        "mean CES, high is easy",
        "effort",
    ),
    _survey(
        "agreement",
        "agree",
        "Agreement in surveys averaged {value} out of 100 in the last six months",
        "mean of agree/disagree and yes/no answers",
        "agreement",
    ),
    _answers(
        "survey_trend",
        expression=f"{_mean_points(_QUARTER)} - {_mean_points(f'{_YEAR} and not ({_QUARTER})')}",
        unit="points",
        phrase="Survey answers are {value} points better than in the year before",
        scale_of="points",
        meaning=(
            "mean answer of 91 days minus that of the 273 days before, on 0-100, to one question in"
            " one wording: the one answered last of those answered in both"
        ),
        missing="Too few survey answers to compare with the year before",
        rows="one_question",
        nature="lagging",
        reason="unhappy",
        said_at={"0": "Survey answers are as good as in the year before"},
        below="Survey answers are {value} points worse than in the year before",
    ),
)

RATIOS = (
    RatioCard(
        "pulse_trend",
        "relationship",
        "pulse",
        "pulse_mean_364d",
        unit="times",
        worse="down",
        phrase="The account manager's rating is {value} times its yearly average",
        meaning="newest pulse rating over its mean of 364 days",
        reason="unhappy",
        said_at={"1": "The account manager's rating is at its yearly average"},
        inverse="The account manager's rating is below its yearly average",
    ),
)
