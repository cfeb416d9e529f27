"""On which line of a TOML file each key stands; tomllib reads values but forgets where they
were.
"""

from dataclasses import dataclass, field

Path = tuple[str | int, ...]


def lines_of(text: str) -> dict[Path, int]:
    """Line number (from 1) of every table, key and array element of a TOML text that tomllib
    accepts.

    >>> lines = lines_of('name = "x"\\n[sources.usage]\\ncolumns = { a = "b" }\\n')
    >>> lines[("sources", "usage", "columns", "a")]
    3
    """
    scanner = _Scanner(text)
    scanner.scan()
    return scanner.lines


@dataclass
class _Scanner:
    """Walks the text once. It trusts that the text is valid, so it only needs to find where values
    end.
    """

    text: str
    position: int = 0
    lines: dict[Path, int] = field(default_factory=dict)
    array_sizes: dict[Path, int] = field(default_factory=dict)

    def scan(self) -> None:
        """Fill `lines`."""
        table: Path = ()
        while self._skip_blank():
            if self.text.startswith("[[", self.position):
                table = self._header("[[", is_array=True)
            elif self.text[self.position] == "[":
                table = self._header("[", is_array=False)
            else:
                self._pair(table)

    def _header(self, opening: str, *, is_array: bool) -> Path:
        line = self._line()
        self.position += len(opening)
        path = self._resolved(self._dotted_key("]"), is_array=is_array)
        self.position += len(opening)
        self._note(path, line)
        return path

    def _resolved(self, keys: tuple[str, ...], *, is_array: bool) -> Path:
        """The path with the index of the newest element behind every array of tables."""
        path: Path = ()
        for depth, key in enumerate(keys):
            path += (key,)
            if is_array and depth == len(keys) - 1:
                self.array_sizes[path] = self.array_sizes.get(path, 0) + 1
            if path in self.array_sizes:
                path += (self.array_sizes[path] - 1,)
        return path

    def _pair(self, table: Path) -> None:
        line = self._line()
        path = table + self._dotted_key("=")
        self.position += 1
        self._note(path, line)
        self._value(path)

    def _dotted_key(self, end: str) -> tuple[str, ...]:
        parts: list[str] = []
        while self.text[self.position] != end:
            character = self.text[self.position]
            if character in "\"'":
                start = self.position + 1
                self._string()
                parts.append(self.text[start : self.position - 1])
            elif character in " \t.":
                self.position += 1
            else:
                start = self.position
                while self.text[self.position] not in " \t." + end:
                    self.position += 1
                parts.append(self.text[start : self.position])
        return tuple(parts)

    def _value(self, path: Path) -> None:
        self._skip_blank()
        character = self.text[self.position]
        if character in "\"'":
            self._string()
        elif character == "[":
            self._array(path)
        elif character == "{":
            self._inline_table(path)
        else:
            while self.position < len(self.text) and self.text[self.position] not in ",]}\n#":
                self.position += 1

    def _array(self, path: Path) -> None:
        self.position += 1
        index = 0
        while self._skip_blank() and self.text[self.position] != "]":
            if self.text[self.position] == ",":
                self.position += 1
                continue
            self._note((*path, index), self._line())
            self._value((*path, index))
            index += 1
        self.position += 1

    def _inline_table(self, path: Path) -> None:
        self.position += 1
        while self._skip_blank() and self.text[self.position] != "}":
            if self.text[self.position] == ",":
                self.position += 1
                continue
            self._pair(path)
        self.position += 1

    def _string(self) -> None:
        quote = self.text[self.position]
        closing = quote * 3 if self.text.startswith(quote * 3, self.position) else quote
        self.position += len(closing)
        while not self.text.startswith(closing, self.position):
            # A backslash escapes only in double quotes; in single quotes it is a letter.
            self.position += 2 if quote == '"' and self.text[self.position] == "\\" else 1
        self.position += len(closing)
        # Up to two quotes may stand directly before the closing three.
        while len(closing) == 3 and self.text.startswith(quote, self.position):
            self.position += 1

    def _skip_blank(self) -> bool:
        """Move to the next character that means something; False at the end of the text."""
        while self.position < len(self.text):
            if self.text[self.position] == "#":
                end = self.text.find("\n", self.position)
                self.position = len(self.text) if end < 0 else end
            elif self.text[self.position].isspace():
                self.position += 1
            else:
                return True
        return False

    def _note(self, path: Path, line: int) -> None:
        """Keep the line of the path, and of the tables above that exist only through it."""
        for length in range(1, len(path) + 1):
            self.lines.setdefault(path[:length], line)

    def _line(self) -> int:
        return self.text.count("\n", 0, self.position) + 1
