"""Templates to text: everything escaped, one file, no outside hosts."""

import base64
import hashlib
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from models.health.scale import BANDS_IN_WORDS
from pipeline.edge.page_text import BAND_SHAPES as BAND_SHAPES
from pipeline.edge.page_text import commands as commands
from pipeline.edge.page_text import counted as counted
from pipeline.edge.page_text import day as day
from pipeline.edge.page_text import markdown as markdown
from pipeline.edge.page_text import money as money
from pipeline.edge.page_text import page_environment
from pipeline.edge.page_text import percent as percent
from pipeline.edge.page_text import short_money as short_money
from pipeline.edge.page_text import text_of as text_of

NO_SCRIPT = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""Policy of a page that runs nothing and asks nobody."""


def render(template: str, **view: Any) -> str:
    """Text of a template; names ending in `.html.j2` are escaped for HTML, others are not."""
    return _environment().get_template(template).render(**view)


def script_and_policy(name: str) -> tuple[Markup, str]:
    """An inline script of ours, and the policy that lets the page run this text and nothing
    else.
    """
    text = _source(name)
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    policy = f"{NO_SCRIPT}; script-src 'sha256-{digest}'"
    return Markup(text), policy  # noqa: S704 - our own file, no input in it


def style() -> Markup:
    """The style sheet, for the head of a page."""
    return Markup(_source("style.css"))  # noqa: S704 - our own file, no input in it


@cache
def _environment() -> Environment:
    return page_environment(PackageLoader("pipeline.reports"), BANDS_IN_WORDS)


def _source(name: str) -> str:
    environment = _environment()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]
