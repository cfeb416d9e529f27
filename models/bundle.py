"""Everything that scoring needs, as data: the model, the scorecard behind it, the scale, the frozen
choices.
"""

import hashlib
import json
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.errors import ArtifactMismatch
from models.artifact import HASH_FILE as MODEL_HASHES
from models.artifact import as_written, read_model, write_model
from models.artifact import fingerprint as model_fingerprint
from models.calibration.prior import PriorCheck
from models.figures import from_side_by_side
from models.health import (
    Points,
    Scale,
    displayed,
    points_from_contributions,
    points_of_scorecard,
    scale_from_dict,
)
from models.methods import logit
from models.model import Basis, Model

BUNDLE_FILE, HASH_FILE = "bundle.json", "bundle.sha256"
MODEL, SCORECARD, FALLBACK = "model", "scorecard", "fallback"
FALLBACKS = "fallbacks"
# What reading a file raises that is no zip, or one that is damaged, locked or packed strangely.
_NO_PACKED_MODEL = (
    zipfile.BadZipFile,
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    LookupError,
    zlib.error,
)
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_BLOCK = 2**20
MOST_FILES, LARGEST_MODEL = 400, 256 * 2**20
"""Of a packed model, unpacked; 300 trees of 63 leaves are 2 MB."""


@dataclass(frozen=True)
class BundleFacts:
    """What a version was made of and what was said of it at training, for pages and later jobs."""

    notes: tuple[str, ...] = ()
    """What a reader of the model card has to know, a sentence each."""
    scale_problems: tuple[str, ...] = ()
    """What speaks against the scale, in words; promotion asks for an acknowledgement."""
    twins: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Drivers shown under the name of another, as `models.drivers.find_twins` found them."""
    train_dates: tuple[str, ...] = ()
    test_dates: tuple[str, ...] = ()
    is_out_of_time: bool = True
    """False for a table without dates: its test are other accounts of the same time."""
    project: str = ""
    currency: str = ""
    config_hash: str | None = None
    """Of the project file; None for a model of a table."""
    inputs: str | None = None
    """Digest of all that the version was made of: the same inputs make no second candidate."""
    table: str | None = None
    """Name of the file, for a model of a table."""
    counted: str | None = None
    """The declared score that the version publishes in place of a model's."""
    prior: PriorCheck | None = None
    """The check by which the level was moved to newer labels; None where it never was."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values; what is unknown is left out."""
        plain: dict[str, Any] = {
            each.name: value
            for each in fields(self)
            if each.name != "prior" and (value := getattr(self, each.name)) is not None
        }
        return plain if self.prior is None else plain | {"prior": self.prior.to_dict()}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "BundleFacts":
        """Read what `to_dict` wrote; keys of other releases are passed over."""
        known = {each.name for each in fields(cls)}
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in state.items()
            if name in known - {"prior"}
        }
        prior = state.get("prior")
        return cls(**plain, prior=None if prior is None else from_side_by_side(PriorCheck, prior))


@dataclass(frozen=True, eq=False)
class Bundle:
    """A trained model and all that must travel with it.

    `basis` says what is published: the calibrated model, or, where none earned it, the scorecard.
    `choices` are the frozen event kinds and categories of the features, `facts` what the model card
    tells.
    """

    model: Model
    scorecard: Model | None
    scale: Scale
    choices: Mapping[str, Any]
    facts: BundleFacts = BundleFacts()
    basis: Basis = "calibrated"
    fallbacks: Mapping[str, Model] = field(default_factory=dict)
    """Source -> the model that speaks where this source did not come."""

    def without(self, source: str) -> "Bundle | None":
        """This bundle with a model that does without a source: one of its own, else the model with
        the source's signals unknown. None for a scorecard.
        """
        if self.basis != "calibrated":
            return None
        model = self.fallbacks.get(source) or self.model.without(source)
        return replace(self, model=model, fallbacks={})

    @property
    def published(self) -> Model:
        """The model whose scores readers see."""
        if self.basis == "calibrated":
            return self.model
        if self.scorecard is None:
            raise ArtifactMismatch(
                "this model has no scorecard: no signal says which direction is worse."
            )
        return self.scorecard

    @property
    def relationship(self) -> Model:
        """The published model as health reads it: at each term's decision, where contracts end."""
        return self.published.at_decision

    @property
    def twins(self) -> Mapping[str, Mapping[str, str]]:
        """Drivers shown under the name of another, as `models.drivers.find_twins` found them at
        training.
        """
        return self.facts.twins

    @property
    def model_version(self) -> str:
        """12 hex digits of the published model's content, equal on every machine."""
        return model_fingerprint(self.published)[:12]

    @property
    def calibrator_version(self) -> str:
        """12 hex digits of the calibrator; `none` for a scorecard."""
        calibrator, decision = self.published.calibrator, self.published.decision
        if calibrator is None:
            return "none"
        state = calibrator.to_dict() | (
            {} if decision is None else {"decision": decision.calibrator.to_dict()}
        )
        return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores of accounts, in the order of the feature rows.

    `table` has probability, probability_low, probability_high (at the account's own date),
    health, health_exact, health_low, health_high, band; where health is read at the decision also
    probability_at_decision with its ends, and `timing`, the log-odds of the first probability less
    those of the second. `points` is an array of shape (n_accounts, n_signals) that adds, with
    `base`, to health_exact.
    """

    table: pd.DataFrame
    base: float
    base_displayed: int
    points: npt.NDArray[np.float64]


def score(bundle: Bundle, features: pd.DataFrame) -> Scored:
    """Probabilities, health, bands and points of feature rows with the bundle's columns."""
    model, scale = bundle.published, bundle.scale
    decision: dict[str, npt.NDArray[np.float64]] = {}
    if bundle.basis == "scorecard":
        base, raw_points = model.scorecard_points(features)
        points = points_of_scorecard(base, raw_points)
        probability = low = high = np.full(len(features), np.nan)
        health_low = health_high = low
    else:
        relationship = bundle.relationship
        points = _calibrated_points(relationship, scale, features)
        probability = points.probability
        low, high = ends_low, ends_high = relationship.interval(features)
        if model.decision is not None:
            probability = model.probability(features)
            low, high = model.interval(features)
            decision = {
                "probability_at_decision": points.probability,
                "probability_at_decision_low": ends_low,
                "probability_at_decision_high": ends_high,
                "timing": logit(probability) - logit(points.probability),
            }
        ends = np.sort(np.column_stack([scale.exact(ends_low), scale.exact(ends_high)]), axis=1)
        health_low, health_high = ends[:, 0], ends[:, 1]
    shown = displayed(points.health_exact)
    table = pd.DataFrame(
        {
            "probability": probability,
            "probability_low": low,
            "probability_high": high,
            **decision,
            "health": shown,
            "health_exact": points.health_exact,
            "health_low": health_low,
            "health_high": health_high,
            "band": scale.band(shown),
        },
        index=features.index,
    )
    return Scored(table, points.base, int(displayed(np.array([points.base]))[0]), points.points)


def base_of(bundle: Bundle) -> tuple[float, int]:
    """Exact and displayed base, where every account's points start: one number per model."""
    model = bundle.relationship
    if bundle.basis == "scorecard":
        base = model.scorecard_points(_nothing(model))[0]
    else:
        base = float(bundle.scale.exact(base_probability(model)))
    return base, int(displayed(np.array([base]))[0])


def base_probability(model: Model) -> float:
    """Calibrated probability that health starts from, at `phi_0`, of a model with a calibrator."""
    relationship = model.at_decision
    assert relationship.calibrator is not None
    phi_0, _ = relationship.contributions(_nothing(relationship))
    return float(relationship.calibrator.calibrate(np.array([phi_0]))[0])


def _nothing(model: Model) -> pd.DataFrame:
    """One row of which nothing is known."""
    return pd.DataFrame(np.nan, index=[0], columns=model.columns)


def _calibrated_points(model: Model, scale: Scale, features: pd.DataFrame) -> Points:
    assert model.calibrator is not None
    phi_0, phi = model.contributions(features)
    return points_from_contributions(
        phi_0, phi, model.margin(features), model.calibrator.calibrate, scale
    )


def write_bundle(bundle: Bundle, folder: Path) -> Path:
    """Write a bundle as files that are data; equal bundles give equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    write_model(bundle.model, folder / MODEL)
    if bundle.scorecard is not None:
        write_model(bundle.scorecard, folder / SCORECARD)
    places = {source: f"{FALLBACK}_{n}" for n, source in enumerate(sorted(bundle.fallbacks))}
    for source, place in places.items():
        write_model(bundle.fallbacks[source], folder / place)
    state: dict[str, Any] = {
        "scale": bundle.scale.to_dict(),
        "choices": dict(bundle.choices),
        "facts": bundle.facts.to_dict(),
        "basis": bundle.basis,
        "has_scorecard": bundle.scorecard is not None,
    }
    if places:
        state[FALLBACKS] = places
    (folder / BUNDLE_FILE).write_text(
        json.dumps(state, indent=1, sort_keys=True, default=str) + "\n"
    )
    (folder / HASH_FILE).write_text(_hash(folder) + "\n")
    return folder


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle, checking every hash.

    Raises
    ------
    ArtifactMismatch
        When a file is missing or not the one that was written.
    """
    if not (folder / HASH_FILE).is_file():
        raise ArtifactMismatch(
            f"{folder} holds no {HASH_FILE}, so it is no exported model. Name one that "
            "`tenure model export` wrote."
        )
    if (folder / HASH_FILE).read_bytes().strip() != _hash(folder).encode():
        raise ArtifactMismatch(
            f"{folder / BUNDLE_FILE} is not what was written (sha256 differs); export it again."
        )
    with as_written(folder):
        state = json.loads((folder / BUNDLE_FILE).read_text(encoding="utf-8"))
        scorecard = read_model(folder / SCORECARD) if state["has_scorecard"] else None
        places = state.get(FALLBACKS, {})
        if any(place not in _fallback_folders(folder) for place in places.values()):
            raise ArtifactMismatch(f"{folder} lacks a fallback model; export it again.")
        return Bundle(
            read_model(folder / MODEL),
            scorecard,
            scale_from_dict(state["scale"]),
            state["choices"],
            BundleFacts.from_dict(state["facts"]),
            state["basis"],
            {source: read_model(folder / place) for source, place in places.items()},
        )


def _fallback_folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(f"{FALLBACK}_*") if path.is_dir())


def pack_bundle(folder: Path, file: Path) -> Path:
    """Write a bundle's folder as one zip file, equal to the byte for equal bundles."""
    read_bundle(folder)  # never hand on what would not load
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    return file


def unpack_bundle(file: Path, folder: Path) -> Bundle:
    """Check a packed bundle, write its files into `folder` and return it.

    Raises
    ------
    ArtifactMismatch
        When the file is no packed model, or its bytes differ from its hashes.
    """
    try:
        with zipfile.ZipFile(file) as archive, tempfile.TemporaryDirectory() as aside:
            _unpack(archive, file, Path(aside))
            bundle = read_bundle(Path(aside))
            _refuse_others(Path(aside), file)
            shutil.copytree(aside, folder, dirs_exist_ok=True)
    # Ours already says which file and why; anything else is a file that was never a model.
    except ArtifactMismatch:
        raise
    except _NO_PACKED_MODEL as error:
        raise ArtifactMismatch(
            f"{file} is not a packed model: {error}. Name a file that `tenure model export` wrote."
        ) from error
    return bundle


def _unpack(archive: zipfile.ZipFile, file: Path, folder: Path) -> None:
    """Write the files of an archive; its names and sizes come from outside, so that neither is
    believed.
    """
    entries = archive.infolist()
    if len(entries) > MOST_FILES:
        raise ArtifactMismatch(
            f"{file} is not a packed model: it holds {len(entries):,} files, a model at most"
            f" {MOST_FILES}."
        )
    room = LARGEST_MODEL
    for entry in entries:
        parts = Path(entry.filename).parts
        path = folder / entry.filename
        is_odd = not 1 <= len(parts) <= 2 or ".." in parts or Path(entry.filename).is_absolute()
        if is_odd or path.exists() or entry.is_dir():
            raise ArtifactMismatch(f"{file} is not a packed model: it holds {entry.filename!r}.")
        path.parent.mkdir(exist_ok=True)
        with archive.open(entry) as packed, path.open("wb") as unpacked:
            while block := packed.read(min(_BLOCK, room + 1)):
                room -= len(block)
                if room < 0:
                    raise ArtifactMismatch(
                        f"{file} is not a packed model: unpacked it is larger than"
                        f" {LARGEST_MODEL // 2**20} MB."
                    )
                unpacked.write(block)


def _refuse_others(folder: Path, file: Path) -> None:
    """Refuse files that no hash speaks of: nobody wrote them, and nobody would look at them."""
    hashed = {BUNDLE_FILE, HASH_FILE}
    for part in (MODEL, SCORECARD, *_fallback_folders(folder)):
        hashes = folder / part / MODEL_HASHES
        if hashes.is_file():
            hashed |= {f"{part}/{name}" for name in (MODEL_HASHES, *json.loads(hashes.read_text()))}
    files_there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    if files_there - hashed:
        raise ArtifactMismatch(
            f"{file} is not a packed model: no hash speaks of"
            f" {', '.join(sorted(files_there - hashed))}."
        )


def _hash(folder: Path) -> str:
    """sha256 over the bundle's own file and the hash lists of its models."""
    digest = hashlib.sha256()
    models = (MODEL, SCORECARD, *_fallback_folders(folder))
    for name in (BUNDLE_FILE, *(f"{model}/{MODEL_HASHES}" for model in models)):
        path = folder / name
        digest.update(name.encode() + b"\0" + (path.read_bytes() if path.is_file() else b""))
    return digest.hexdigest()
