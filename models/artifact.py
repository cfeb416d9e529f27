"""A model as files that are data: model.json, LightGBM's text, and a hash of each. Nothing is
pickled.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from features.errors import ArtifactMismatch
from models.model import Model

MODEL_FILE, HASH_FILE = "model.json", "hashes.json"


@contextmanager
def as_written(place: object) -> Iterator[None]:
    """Say of files that cannot be made a model of that they are damaged or of another version.

    Raises
    ------
    ArtifactMismatch
        Their text is no JSON, or is not what this version writes.
    """
    try:
        yield
    except ArtifactMismatch:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ArtifactMismatch(
            f"{place} cannot be read as a model ({type(error).__name__}: {error}): it is damaged or"
            " was written by another version of tenure. Train anew with `tenure run`, or export it"
            " again."
        ) from error


def model_files(model: Model) -> dict[str, bytes]:
    """Return file name -> bytes of a model; equal models give equal bytes."""
    state = model.to_dict()
    files: dict[str, bytes] = {}
    for member in state["members"]:
        names = []
        for text in member["state"].pop("boosters", []):
            name = f"booster_{len(files)}.txt"
            files[name] = text.encode()
            names.append(name)
        if names:
            member["state"]["booster_files"] = names
    files[MODEL_FILE] = (
        json.dumps(state, indent=1, sort_keys=True, allow_nan=False, default=_plain) + "\n"
    ).encode()
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    files[HASH_FILE] = (json.dumps(hashes, indent=1, sort_keys=True) + "\n").encode()
    return files


def fingerprint(model: Model) -> str:
    """Return sha256 over all files of the model."""
    return hashlib.sha256(model_files(model)[HASH_FILE]).hexdigest()


def write_model(model: Model, folder: str | Path) -> Path:
    """Write the model's files into a folder, made if needed, and return the folder."""
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    for name, content in model_files(model).items():
        (path / name).write_bytes(content)
    return path


def read_model(folder: str | Path) -> Model:
    """Return the model kept in a folder.

    Raises
    ------
    ArtifactMismatch
        When a file is missing, or its bytes are not the ones that were written.
    """
    path = Path(folder)
    if not (path / HASH_FILE).is_file():
        raise ArtifactMismatch(
            f"{path} holds no {HASH_FILE}, so it is not a saved model. Name the folder of a model."
        )
    with as_written(path):
        names = json.loads((path / HASH_FILE).read_text(encoding="utf-8"))
    if any(Path(name).name != name for name in names):
        raise ArtifactMismatch(f"{path / HASH_FILE} names files elsewhere; export the model again.")
    absent = [name for name in names if not (path / name).is_file()]
    if absent:
        raise ArtifactMismatch(f"{path} lacks {', '.join(absent)}; copy the whole folder again.")
    return _from_files(
        {name: (path / name).read_bytes() for name in [*names, HASH_FILE]}, str(path)
    )


def _from_files(files: dict[str, bytes], place: str) -> Model:
    with as_written(place):
        return _model_of(files, place)


def _model_of(files: dict[str, bytes], place: str) -> Model:
    hashes = json.loads(files[HASH_FILE])
    for name, expected in hashes.items():
        if name not in files or hashlib.sha256(files[name]).hexdigest() != expected:
            raise ArtifactMismatch(
                f"{name} in {place} is not what was written (sha256 differs); copy or export it"
                " again."
            )
    state = json.loads(files[MODEL_FILE])
    for member in state["members"]:
        names = member["state"].pop("booster_files", None)
        if names is not None:
            member["state"]["boosters"] = [files[name].decode() for name in names]
    return Model.from_dict(state)


def _plain(value: Any) -> Any:
    """Dates as text and numpy numbers as Python's; anything else is a mistake of ours."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "item"):
        return value.item()
    if isinstance(value, tuple | set):
        return sorted(value) if isinstance(value, set) else list(value)
    raise TypeError(f"{type(value).__name__} cannot be kept in a model file.")
