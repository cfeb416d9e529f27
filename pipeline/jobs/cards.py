"""The cards of a model's signals, kept in the store, so that its published drivers can be read
without it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from features.definition import Signal
from models.bundle import Bundle
from pipeline.storage import Store

CARDS = "cards"


@dataclass(frozen=True)
class Cards:
    """Signals in column order, and drivers shown under the name of another."""

    signals: tuple[Signal, ...]
    twins: Mapping[str, Mapping[str, str]]


def keep_cards(store: Store, target: str, bundle: Bundle) -> None:
    """Write the cards of the published model, once per model."""
    version = bundle.model_version
    if kept_cards(store, target, version) is not None:
        return
    facts = json.dumps(
        {"signals": [s.to_dict() for s in bundle.published.signals], "twins": bundle.twins},
        sort_keys=True,
    )
    rows = pa.Table.from_pylist([{"target": target, "model_version": version, "facts": facts}])
    store.write(CARDS, rows, append=store.exists(CARDS), partition_by=["target"])


def kept_cards(store: Store, target: str, model_version: str) -> Cards | None:
    """The cards of a model that has scored, or None."""
    if not store.exists(CARDS):
        return None
    rows = store.read(
        CARDS, filters=[("target", "=", target), ("model_version", "=", model_version)]
    )
    if rows.empty:
        return None
    facts = json.loads(rows["facts"].iloc[0])
    return Cards(tuple(Signal(**signal) for signal in facts["signals"]), facts["twins"])
