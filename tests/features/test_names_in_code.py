"""Lists of signals that the code itself names hold names that are built: a wrong one would be left
out without a word.
"""

import ast
import re
from pathlib import Path

from tiny_world import choices_of, random_world

import models
from features.build import plan_features
from features.catalogue import DEFAULT_WINDOWS
from models.methods.weighted_average import BREADTH, DEPTH, FOUR, FREQUENCY
from pipeline.engine.facts import source_facts

SIGNAL = re.compile(r"[a-z][a-z_]*_(7|28|91|182|364)d")


def built_columns() -> set[str]:
    """Signals of a world that has every source, by their name without the source's."""
    world = random_world(0)
    facts = [source_facts(each.staged(), choices_of(world)) for each in world.values()]
    signals = plan_features(facts, window_days=DEFAULT_WINDOWS).signals
    return {signal.column.rpartition("__")[2] for signal in signals}


def test_parts_of_the_counted_scores_are_signals_that_are_built() -> None:
    columns = built_columns()
    lists = {**dict(FOUR), "frequency": FREQUENCY, "breadth": BREADTH, "depth": DEPTH}
    for part, names in lists.items():
        assert set(names) <= columns, part


def test_every_signal_named_in_the_models_is_built() -> None:
    columns = built_columns()
    wrong = [
        (file.name, node.value)
        for file in sorted(Path(models.__file__).parent.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and SIGNAL.fullmatch(node.value)
        and node.value not in columns
    ]
    assert not wrong
