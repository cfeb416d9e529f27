"""`python -m pipeline.cli`."""

from pipeline.cli import console

console()
