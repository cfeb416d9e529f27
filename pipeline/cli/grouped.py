"""Help that lists commands under headings, in plain text."""

from typing import Any

from typer.core import TyperGroup


class Grouped(TyperGroup):
    """Lists each command under its `rich_help_panel`."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a block for each heading; the help of the whole command calls this."""
        commands: dict[str, Any] = dict(self.commands)
        width = max(map(len, commands))
        limit = formatter.width - width - 6
        for heading in dict.fromkeys(each.rich_help_panel for each in commands.values()):
            rows = [
                (f"{name:<{width}}", command.get_short_help_str(limit))
                for name, command in commands.items()
                if command.rich_help_panel == heading
            ]
            with formatter.section(heading):
                formatter.write_dl(rows)
