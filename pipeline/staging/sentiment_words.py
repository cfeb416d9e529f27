"""Words of customers that a general lexicon of feelings does not know, or takes for a feeling where it is none.

Values are those of VADER: -4 (worst) to 4 (best), on single words. Sources: the reasons for leaving that the
simulated company does not use in these words, vendors' public lists of cancellation reasons, and words of everyday
support ("please", "support", "help") whose friendliness says nothing about the customer.
"""

# Phrases are read as one word each, longest first.
PHRASES = {
    "looking at other tools": -2.6, "looking at alternatives": -2.6, "other tools": -1.6, "compare prices": -1.5,
    "not renew": -3.0, "won't renew": -3.0, "will not renew": -3.0, "end the contract": -2.8, "ending the contract": -2.8,
    "close our account": -3.0, "out of the system": -1.5, "export all our data": -1.8, "too expensive": -2.4,
    "too high": -1.6, "not worth": -2.2, "locked out": -1.8, "cannot log in": -1.8, "can not log in": -1.8,
    "nobody can log in": -1.8, "took days": -1.6, "no longer answers": -2.0, "no longer use": -2.2, "little use": -2.0,
    "use is down": -2.0, "days to answer": -1.6, "doubt the value": -2.2, "last time": -0.8, "for a year": -0.8,
    "does not help": -1.6, "waste of time": -2.6, "cannot go on": -2.4, "nobody here knows": -1.2,
    "second department": 1.8, "second site": 1.8, "more seats": 2.0, "new colleagues": 1.5, "roll this out": 1.8,
    "roll out": 1.4, "be a reference": 2.0, "ahead of time": 1.8, "saves us": 2.2, "every day": 0.8, "keen to start": 1.8,
    "cherry on top": 1.5,
}
WORDS = {
    "cancel": -2.6, "cancelling": -2.6, "canceling": -2.6, "cancelled": -2.4, "canceled": -2.4, "cancellation": -2.6,
    "terminate": -2.6, "terminating": -2.6, "termination": -2.4, "churn": -2.2, "downgrade": -2.0, "downgrading": -2.0,
    "competitor": -1.6, "competitors": -1.6, "alternative": -1.2, "alternatives": -1.4, "switching": -1.6,
    "migrate": -0.8, "refund": -1.8, "overpriced": -2.4, "expensive": -1.6, "unusable": -2.8, "outage": -2.2,
    "downtime": -2.0, "crash": -2.0, "crashes": -2.0, "crashing": -2.2, "slow": -1.2, "slower": -1.0, "broken": -2.0,
    "bug": -0.8, "bugs": -1.0, "unanswered": -1.4, "ignored": -1.6, "disappointed": -2.2, "frustrating": -2.4,
    "renew": 1.4, "renewing": 1.8, "renewed": 1.8, "upgrade": 1.6, "upgrading": 1.8, "expand": 1.5, "expanding": 1.6,
    "recommend": 2.0, "adopted": 1.2, "onboarded": 1.0,
    # Politeness and the trade's own words.
    "please": 0.0, "support": 0.0, "help": 0.0, "share": 0.0, "number": 0.0, "limit": 0.0, "reset": 0.0, "special": 0.0,
    "fine": 0.5, "like": 0.0, "feature": 0.0, "features": 0.0, "allow": 0.0, "value": 0.3, "agree": 0.6,
}
