"""How a kind of target is spoken of: what accounts do, are at risk of, did, and what the others
did.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class TargetWords:
    """The event in the forms that sentences need.

    Parameters
    ----------
    verb
        What accounts do: "leave".
    gerund
        What they are at risk of: "leaving".
    past
        What those with the event did: "left".
    opposite
        What all others did: "stayed".
    question
        The verb with what tells it from other kinds: "leave for non-payment".
    """

    verb: str
    gerund: str
    past: str
    opposite: str
    question: str


TARGET_WORDS: dict[str, TargetWords] = {
    "churn": TargetWords("leave", "leaving", "left", "stayed", "leave"),
    "voluntary": TargetWords("cancel", "cancelling", "cancelled", "stayed", "choose to leave"),
    "involuntary": TargetWords("lapse", "lapsing", "lapsed", "stayed", "leave for non-payment"),
    "contraction": TargetWords("shrink", "shrinking", "shrank", "did not shrink", "shrink"),
    "expansion": TargetWords("grow", "growing", "grew", "did not grow", "grow"),
    "conversion": TargetWords("convert", "converting", "converted", "did not convert", "convert"),
    "inactivity": TargetWords(
        "fall silent", "falling silent", "fell silent", "stayed active", "go silent"
    ),
    "event": TargetWords(
        "have the event", "the event", "had the event", "did not", "have the event"
    ),
}
