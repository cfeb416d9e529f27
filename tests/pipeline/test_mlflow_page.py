"""The command of the page about MLflow opens what tenure recorded."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from small_company import Company

from pipeline.jobs.registry import registered_model

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "look-into-mlflow.md"
PATIENCE_SECONDS = 90


def command(port: int) -> tuple[list[str], dict[str, str]]:
    """The command of the page and the variables before it, with a port that is free here."""
    (line,) = re.findall(r"^.*mlflow ui .*$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    words = shlex.split(line.replace("--port 5000", f"--port {port}"))
    start = words.index("mlflow")
    variables = dict(word.split("=", 1) for word in words[:start])
    assert f"{port}" in words and variables == {"MLFLOW_DISABLE_TELEMETRY": "true"}
    return [sys.executable, "-m", *words[start:]], variables


@pytest.mark.slow
def test_the_command_of_the_page_shows_versions_with_descriptions(
    company_copy: Company, tmp_path: Path
) -> None:
    models = registered_model(*company_copy.workspace())  # the copy's records name its own files
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words, variables = command(port)
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            words,
            cwd=company_copy.folder,
            env={**os.environ, **variables},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        search = f"http://127.0.0.1:{port}/api/2.0/mlflow/model-versions/search"
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                with urlopen(search, timeout=10) as answer:
                    found = json.load(answer)["model_versions"]
                break
            except URLError:
                assert server.poll() is None and time.monotonic() < until, (
                    tmp_path / "log"
                ).read_text()
                time.sleep(0.2)
        with urlopen(f"http://127.0.0.1:{port}/", timeout=10) as page:
            assert page.status == 200
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
    own = [each for each in found if each["name"] == models.name]
    assert own and all("learned from" in each["description"] for each in own)
