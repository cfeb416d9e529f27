"""Invented names and the sentences people write, by mood."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.simulate import parameters as p

_FIRST = (
    "Harbour",
    "Alder",
    "Copper",
    "North Quay",
    "Linden",
    "Marlow",
    "Saffron",
    "Quarry",
    "Beacon",
    "Juniper",
    "Tidewell",
    "Orchard",
    "Granite",
    "Fernhill",
    "Lantern",
    "Cobalt",
    "Willow",
    "Amberley",
    "Stonebridge",
    "Larch",
)
_SECOND = {
    "food": "Foods",
    "logistics": "Freight",
    "retail": "Stores",
    "software": "Systems",
    "construction": "Builders",
    "health": "Clinics",
    "education": "Academies",
    "energy": "Power",
}


def identities(first: int, n: int, seed: int) -> dict[str, NDArray[Any]]:
    """Name, industry and country of `n` accounts; names hold the account's number and are
    unique.
    """
    generator = np.random.default_rng(np.random.SeedSequence([seed, 99, first]))
    industry = np.array(p.INDUSTRIES, dtype=object)[generator.integers(0, len(p.INDUSTRIES), n)]
    word = np.array(_FIRST, dtype=object)[generator.integers(0, len(_FIRST), n)]
    names = [
        f"{w} {_SECOND[i]} {first + k:04d}"
        for k, (w, i) in enumerate(zip(word, industry, strict=True))
    ]
    country = np.array(p.COUNTRIES, dtype=object)[generator.integers(0, len(p.COUNTRIES), n)]
    return {"name": np.array(names, dtype=object), "industry": industry, "country": country}


# category -> mood (0 annoyed, 1 neutral, 2 friendly) -> sentences
TICKET_TEXTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "bug": (
        (
            "This is broken again and nobody seems to care. We lose hours every week.",
            "Third report of the same error. We are looking at other tools now.",
            "Our report is wrong since the last release. This cannot go on.",
        ),
        (
            "The report shows an error when we filter by month.",
            "Sync stops at about half of our records.",
            "The page stays empty after saving.",
        ),
        (
            "Small thing: the date picker jumps back one day. Otherwise all good, thank you.",
            "I think I found a bug in the mobile view, screenshot attached. Thanks for looking.",
        ),
    ),
    "question": (
        (
            "How do we get all our data out of the system?",
            "Why does this take so many steps? The manual does not help.",
            "Nobody here knows how this was set up. Who can explain it to us?",
        ),
        (
            "How do I add a second approver?",
            "Where can I change the language of the reports?",
            "Is there a limit for the number of plans?",
        ),
        (
            "Quick question: can we share dashboards with another team? They are keen to start.",
            "How do we roll this out to our second site?",
        ),
    ),
    "billing": (
        (
            "The invoice is too high for what we use. Please explain.",
            "We did not agree to this price. Whom can we talk to about ending the contract?",
        ),
        ("Please send the invoice to our new address.", "We need our order number on the invoice."),
        (
            "Could you send us a quote for ten more seats?",
            "Please add our tax number, thanks a lot.",
        ),
    ),
    "access": (
        (
            "Half of the team is locked out since this morning.",
            "Our administrator left and nobody can log in.",
        ),
        ("Please reset the second factor of a colleague.", "A new colleague needs access."),
        (
            "Please activate five new colleagues, they start on Monday.",
            "Thanks for the quick help with access last week.",
        ),
    ),
    "feature_request": (
        (
            "We have asked for this for a year. Other tools have it.",
            "Without this export the tool is of little use to us.",
        ),
        ("It would help to copy a plan with its tasks.", "Please allow a weekly summary by mail."),
        (
            "Love the new board. A dark mode would be the cherry on top.",
            "An idea from our team: templates per department.",
        ),
    ),
}
NOTE_TEXTS: tuple[tuple[str, ...], ...] = (
    (
        "Contact no longer answers. Use is down, nobody owns the tool internally.",
        "Frank talk: they doubt the value and compare prices.",
        "Angry about open bugs. Asked for a call with product.",
    ),
    (
        "Regular check-in, nothing special.",
        "Working on the second goal, slower than planned.",
        "New team lead wants an overview next month.",
    ),
    (
        "Very happy, wants to be a reference.",
        "Plans to bring in a second department next quarter.",
        "Goal reached ahead of time, good business review.",
    ),
)
SURVEY_COMMENTS: tuple[tuple[str, ...], ...] = (
    (
        "Too slow and too many errors.",
        "Not worth the price for us.",
        "Support took days to answer.",
    ),
    ("Does what it should.", "Fine, some rough edges.", "Reports could be easier."),
    ("Saves us hours every week.", "Great support team.", "We use it every day."),
)


def say(
    texts: tuple[tuple[str, ...], ...], mood_class: NDArray[Any], generator: np.random.Generator
) -> NDArray[Any]:
    """A sentence per row, from the tuple of its mood class."""
    result = np.empty(len(mood_class), dtype=object)
    for number, choices in enumerate(texts):
        rows = np.flatnonzero(mood_class == number)
        result[rows] = np.array(choices, dtype=object)[
            generator.integers(0, len(choices), len(rows))
        ]
    return result
