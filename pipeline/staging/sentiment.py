"""The tone of texts, -1 to 1: offline, from a lexicon, kept by a hash of the text.

VADER's word list and rules for negation and emphasis [Hutto2014], with the words of
`sentiment_words`. English only; whoever has a better judge maps a column to `text_sentiment`. Texts
stay in the staged tables; what is kept of them beside is the hash and the number.

References
----------
[Hutto2014] C. Hutto, E. Gilbert: VADER, a parsimonious rule-based model for sentiment analysis of
social media text.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from typing import Any

import pandas as pd
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from pipeline.engine.duckdb import Connection, rows
from pipeline.staging.sentiment_words import PHRASES, WORDS
from pipeline.staging.staged import StagedColumn, StagedSource

COLUMN = "text_sentiment"
DECIMALS = 2
TEXTS = {"support_tickets": "text", "surveys": "comment", "csm_notes": "text"}
"""Contract -> its column of free text."""
_MARKS = {
    phrase: f"phrase{number}"
    for number, phrase in enumerate(sorted(PHRASES, key=lambda p: (-len(p), p)))
}
_PHRASE = re.compile(
    r"\b(" + "|".join(re.escape(phrase) for phrase in _MARKS) + r")\b", re.IGNORECASE
)


def lexicon_version() -> str:
    """Changes whenever a text could be judged otherwise."""
    words = json.dumps([PHRASES, WORDS], sort_keys=True)
    return f"vader {version('vaderSentiment')} {hashlib.sha256(words.encode()).hexdigest()[:8]}"


@cache
def _judge() -> Callable[[str], dict[str, float]]:
    analyzer: Any = SentimentIntensityAnalyzer()
    analyzer.lexicon.update(WORDS)
    analyzer.lexicon.update({mark: PHRASES[phrase] for phrase, mark in _MARKS.items()})
    judged: Callable[[str], dict[str, float]] = analyzer.polarity_scores
    return judged


def tone(text: str) -> float:
    """Tone of one text, -1 (angry, leaving) to 1 (delighted), two decimals; 0 says nothing either
    way.
    """
    marked = _PHRASE.sub(lambda found: _MARKS[found[0].lower()], text)
    return round(_judge()(marked)["compound"], DECIMALS)


def add_sentiment(
    connection: Connection, source: StagedSource, known: pd.DataFrame
) -> tuple[StagedSource, pd.DataFrame]:
    """Fill `text_sentiment` of one source; returns it with the texts judged anew.

    Nothing is done where there is no text, where the user's table has the column, or with
    `read_texts = false`.

    Parameters
    ----------
    known
        text_hash, lexicon, sentiment (hundredths) of texts judged before; those of other lexicons
        are not used.
    """
    column = TEXTS.get(source.contract.table)
    fresh = known.iloc[:0]
    if column is None or not source.settings.read_texts:
        return source, fresh
    if not source.is_mapped(column) or source.is_mapped(COLUMN):
        return source, fresh
    lexicon = lexicon_version()
    connection.register("judged_before", known[known["lexicon"] == lexicon])
    missing = rows(
        connection,
        f"SELECT sha256(t), t FROM (SELECT DISTINCT {column} AS t FROM {source.table}) "
        "WHERE t IS NOT NULL AND sha256(t) NOT IN (SELECT text_hash FROM judged_before) ORDER BY 1",
    )
    fresh = _judged(missing, lexicon)
    connection.register("judged_now", fresh)
    connection.execute(f"""
CREATE OR REPLACE TABLE {source.table} AS SELECT staged.* REPLACE (judged.sentiment AS {COLUMN})
FROM {source.table} AS staged LEFT JOIN (
  SELECT text_hash, sentiment FROM judged_before
  UNION ALL SELECT text_hash, sentiment FROM judged_now
) AS judged ON judged.text_hash = sha256(staged.{column})""")
    for name in ("judged_before", "judged_now"):
        connection.unregister(name)
    columns = {**source.columns, COLUMN: StagedColumn("number", DECIMALS, is_mapped=True)}
    return replace(source, columns=columns), fresh


def no_texts() -> pd.DataFrame:
    """An empty table of judged texts."""
    return _judged([], lexicon_version())


def _judged(texts: Iterable[tuple[str, str]], lexicon: str) -> pd.DataFrame:
    tones = [(text_hash, lexicon, round(tone(text) * 10**DECIMALS)) for text_hash, text in texts]
    return pd.DataFrame(tones, columns=["text_hash", "lexicon", "sentiment"]).astype(
        {"text_hash": "str", "lexicon": "str", "sentiment": "int64"}
    )
