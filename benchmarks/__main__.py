"""List the benchmarks: `python -m benchmarks`."""

import ast
import pkgutil
from pathlib import Path

import benchmarks


def listed() -> list[tuple[str, str]]:
    """Name and first line of every benchmark, without importing any."""
    folder = Path(benchmarks.__file__).parent
    found = []
    for name in sorted(module.name for module in pkgutil.iter_modules([str(folder)])):
        if name.startswith("_"):
            continue
        file = folder / name / "__init__.py" if (folder / name).is_dir() else folder / f"{name}.py"
        words = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        found.append((name, words.split("\n", maxsplit=1)[0]))
    return found


def main() -> None:
    """Print one line per benchmark."""
    for name, words in listed():
        print(f"python -m benchmarks.{name:<10} {words}")


if __name__ == "__main__":
    main()
