"""Lists for campaigns from the run that readers see, one file a band."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from features.errors import ConfigError
from pipeline.actions.audiences import AUDIENCE_COLUMNS, audiences
from pipeline.actions.worklist import write_worklist_csv
from pipeline.config.schema import Target
from pipeline.jobs.accounts import consenting
from pipeline.jobs.explain import published_rows
from pipeline.workspace import Workspace


@dataclass(frozen=True, eq=False)
class Audiences:
    """Who may be written to: `audiences`' columns, and how many of each band may not."""

    rows: pd.DataFrame
    left_out: Mapping[str, int]

    def of(self, band: str) -> pd.DataFrame:
        """The list of one band, without the column that says so."""
        rows = self.rows[self.rows["band"] == band]
        return rows.drop(columns="band").reset_index(drop=True)


def find_audiences(workspace: Workspace, target: Target, consent: str) -> Audiences:
    """Members of each band of the current run whose flag `consent` is true.

    Raises
    ------
    ConfigError
        When the accounts have no such flag.
    NotFound
        When nothing was published yet.
    """
    agreed = consenting(workspace, consent, "--consent")
    people = published_rows(workspace, target, "portfolio")
    wanted = [name for name in AUDIENCE_COLUMNS if name in people]
    rows, left_out = audiences(
        published_rows(workspace, target, "scores"), people[["account_id", *wanted[1:]]], agreed
    )
    return Audiences(rows, left_out)


def write_audiences(audiences: Audiences, folder: Path) -> list[Path]:
    """Write one CSV a band, also for a band without anybody: a list of an earlier run must not
    stay.

    Raises
    ------
    ConfigError
        When the folder is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--csv {folder} is a file; name a folder.")
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for band in audiences.left_out:
        file, aside = folder / f"{band}.csv", folder / f".{band}.csv"
        write_worklist_csv(audiences.of(band), aside)
        aside.replace(file)
        files.append(file)
    return files
