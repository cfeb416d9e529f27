"""Everything that is printed goes through here: words are text, never markup or controls."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import typer

from pipeline.edge.text import visible

if TYPE_CHECKING:
    from rich.console import Console


PLAIN_WIDTH = 160
"""Columns of a table where standard output is no terminal."""


def say(text: object, *, err: bool = False) -> None:
    """Print a line, or lines, of plain text."""
    typer.echo(visible(str(text)), err=err)


def show(renderables: Iterable[Any], width: int = PLAIN_WIDTH) -> None:
    """Print lines, tables and styled text of Rich; square brackets in them are square brackets.

    Parameters
    ----------
    width
        Columns where standard output is no terminal.
    """
    console = _console(width)
    for each in renderables:
        console.print(each)


def _console(width: int) -> "Console":
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment
    from rich.text import Text

    class PlainWords(Console):
        """A console on which strings are not parsed and no text moves the cursor.

        Strings are made visible before they are laid out, so that columns stay straight; styled
        texts, which are built elsewhere, at the latest when they are written.
        """

        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(visible(text), **options)

        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                if segment.control:
                    yield segment
                else:
                    yield Segment(visible(segment.text), segment.style)

    return PlainWords(
        markup=False,
        emoji=False,
        highlight=False,
        width=None if sys.stdout.isatty() else width,
    )
