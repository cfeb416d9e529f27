"""Commands that take an account, whose id may begin with a hyphen."""

from collections.abc import Iterator
from typing import Any

from typer.core import TyperCommand


class TakesAccount(TyperCommand):
    """Reads `-5` as an account and not as an option.

    What begins with two hyphens and a letter is an option, known or not, so that a misspelt one is
    told; an account of such a name stands behind `--`, as in `tenure explain -- --json`.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ids behind `--`, then read the options."""
        options: list[str] = []
        ids: list[str] = []
        for arg, is_id in self._told_apart(ctx, args):
            (ids if is_id else options).append(arg)
        # Options first: behind `--` nothing is one.
        return super().parse_args(ctx, [*options, "--", *ids] if ids else options)

    def _told_apart(self, ctx: Any, args: list[str]) -> Iterator[tuple[str, bool]]:
        takes_value = {
            name: not getattr(option, "is_flag", False)
            for option in self.get_params(ctx)
            for name in (*option.opts, *option.secondary_opts)
            if name.startswith("-")
        }
        rest = iter(args)
        for arg in rest:
            if arg == "--":
                yield from ((each, True) for each in rest)
                return
            name = arg.partition("=")[0]
            is_option = arg.startswith("-") and (
                name in takes_value or (arg.startswith("--") and arg[2:3].isalpha())
            )
            yield arg, not is_option
            if is_option and takes_value.get(arg, False):
                value = next(rest, None)
                if value is not None:
                    yield value, False
