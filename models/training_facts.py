"""What a model records of how it learned, by name.

The facts are part of what is hashed into a model's version, so they are kept just as they were
written: a release that knows one fact more reads those of earlier ones, and gives them the same
version.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from features.errors import ArtifactMismatch


@dataclass(frozen=True)
class TrainingFacts:
    """Dates, counts and settings of one training.

    A score that is counted learns nothing: it has rows and accounts, and no dates.
    """

    recorded: Mapping[str, Any] = field(default_factory=dict)
    """As they are saved, for JSON."""

    def with_facts(self, **more: Any) -> "TrainingFacts":
        """These facts and more."""
        return TrainingFacts({**self.recorded, **more})

    @property
    def rows(self) -> int:
        """Rows it learned from."""
        return int(self.recorded.get("rows") or 0)

    @property
    def accounts(self) -> int:
        """Accounts of these rows."""
        return int(self.recorded.get("accounts") or 0)

    @property
    def leaving_accounts(self) -> int | None:
        """Accounts with the event among them; None for a score that is counted."""
        return self.recorded.get("leaving_accounts")

    @property
    def first_as_of(self) -> date | None:
        """The first date it learned from; None for a score that is counted."""
        return self._day("first_as_of")

    @property
    def last_as_of(self) -> date | None:
        """The last date it learned from; None for a score that is counted."""
        return self._day("last_as_of")

    @property
    def learned_on(self) -> tuple[date, date]:
        """The first and the last date it learned from.

        Raises
        ------
        ArtifactMismatch
            The model does not say it.
        """
        first, last = self.first_as_of, self.last_as_of
        if first is None or last is None:
            raise ArtifactMismatch(
                "this model does not say on which dates it learned; train it again."
            )
        return first, last

    @property
    def learned_until(self) -> date:
        """The last of `learned_on`."""
        return self.learned_on[1]

    @property
    def calibrated_on(self) -> tuple[str | None, str | None]:
        """First and last date of the rows it was calibrated on."""
        return self.recorded.get("calibration_from"), self.recorded.get("calibration_until")

    @property
    def latest_rate(self) -> float:
        """Rate of the event among the newest rows; NaN where it was not recorded."""
        return float(self.recorded.get("latest_rate", math.nan))

    @property
    def settings(self) -> Mapping[str, Any]:
        """Settings that the search chose; empty without one."""
        return self.recorded.get("settings") or {}

    @property
    def half_life_days(self) -> float | None:
        """Age at which a row counts half; None: all count alike."""
        return self.settings.get("half_life_days")

    @property
    def seed(self) -> int:
        """Seed of its plan."""
        return int(self.recorded.get("plan", {}).get("seed", 0))

    @property
    def fingerprint(self) -> str:
        """Of the rows it learned from."""
        return str(self.recorded.get("fingerprint"))

    @property
    def is_stabilised(self) -> bool:
        """Whether it was drawn towards the model in use of its time."""
        return self.recorded.get("stabilised_share") is not None

    def _day(self, name: str) -> date | None:
        said = self.recorded.get(name)
        return None if said is None else date.fromisoformat(str(said)[:10])
