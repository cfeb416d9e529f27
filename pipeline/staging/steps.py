"""Expressions over a table that are worked out once for a row and then have a name."""

import re
from dataclasses import dataclass, field

STEP = "tenure_step_"
STEP_NAME = re.compile(rf"\b{STEP}\d+\b")


@dataclass(frozen=True)
class Steps:
    """Columns beside the user's own, each made of those and of earlier steps.

    Reading a cell takes an expression that names its column some hundred times, and DuckDB plans
    each mention anew: of a small table that is nearly all the time it takes.
    """

    expressions: dict[str, str] = field(default_factory=dict)
    """SQL -> the name of its step."""

    def add(self, sql: str) -> str:
        """The name by which the expression can be used from now on."""
        return self.expressions.setdefault(sql, f"{STEP}{len(self.expressions)}")

    def over(self, relation: str) -> str:
        """The relation with the steps.

        >>> steps = Steps()
        >>> steps.add(f"length({steps.add('trim(a)')})")
        'tenure_step_1'
        >>> print(steps.over("t"))
        (SELECT *, length(tenure_step_0) AS tenure_step_1 FROM (SELECT *, trim(a) AS tenure_step_0 \
FROM t AS each_row) AS each_row)
        """
        layers: list[dict[str, str]] = []
        depth: dict[str, int] = {}
        for sql, name in self.expressions.items():
            depth[name] = 1 + max((depth[each] for each in STEP_NAME.findall(sql)), default=-1)
            layers.extend({} for _ in range(1 + depth[name] - len(layers)))
            layers[depth[name]][name] = sql
        for layer in layers:
            made = ", ".join(f"{sql} AS {name}" for name, sql in layer.items())
            relation = f"(SELECT *, {made} FROM {relation} AS each_row)"
        return relation
