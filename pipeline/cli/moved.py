"""Commands of the release before, understood for one release more."""

from collections.abc import Sequence
from typing import Any

from pipeline.cli.grouped import Grouped
from pipeline.edge.terminal import say

TABLE_OPTION = {"train": "--table", "promote": "--label"}
"""Command -> the option that made it one for a table."""


class Commands(Grouped):
    """The commands, with those that moved under their old name as well."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command of the arguments."""
        return super().resolve_command(ctx, forwarded(args))


def forwarded(arguments: Sequence[str]) -> list[str]:
    """Return `train --table FILE ...` as `table train FILE ...`, and `promote --label ...` as
    `table promote --label ...`, saying so on standard error; others as they are.
    """
    name, *rest = arguments
    marker = TABLE_OPTION.get(name)
    if marker is None or not any(each.split("=")[0] == marker for each in rest):
        return list(arguments)
    say(
        f"tenure: `tenure {name} {marker}` will go with the next release; use `tenure table"
        f" {name}`.",
        err=True,
    )
    options = [part for each in rest for part in _apart(each)]
    if name == "promote":
        return ["table", name, *options]
    place = options.index(marker)
    file = options[place + 1 : place + 2]
    others = options[:place] + options[place + 2 :]
    return ["table", name, *file, *("--date" if each == "--as-of" else each for each in others)]


def _apart(argument: str) -> list[str]:
    """`--table=FILE` as two arguments."""
    option, is_one, value = argument.partition("=")
    is_moved = option in (*TABLE_OPTION.values(), "--as-of")
    return [option, value] if is_one and is_moved else [argument]
