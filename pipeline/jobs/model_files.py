"""Carry a model from one project folder to another: text and JSON in one file, hashes checked."""

import tempfile
from pathlib import Path

from features.errors import ArtifactMismatch
from models.bundle import LARGEST_MODEL, pack_bundle, unpack_bundle, write_bundle
from pipeline.config.schema import Target
from pipeline.jobs.registry import need_version, register, registered_model
from pipeline.tracking import CHAMPION
from pipeline.workspace import Workspace


def export_model(workspace: Workspace, target: Target, file: Path) -> str:
    """Write the model in use to a zip file; returns its version."""
    bundle = need_version(workspace, target, CHAMPION, "Promote one first.").bundle
    with tempfile.TemporaryDirectory() as aside:
        write_bundle(bundle, Path(aside) / "bundle")
        packed = Path(aside) / "packed.zip"
        pack_bundle(Path(aside) / "bundle", packed)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(packed.read_bytes())
    return bundle.model_version


def import_model(workspace: Workspace, target: Target, file: Path) -> str:
    """Register an exported model here as the candidate; returns its version. Like one that was
    trained here it is put to use by its gates alone: hashes find damage, not who wrote the file.

    Raises
    ------
    ArtifactMismatch
        When the file is not what was exported, or the model predicts another target.
    """
    size = file.stat().st_size if file.is_file() else 0
    if size > LARGEST_MODEL:
        raise ArtifactMismatch(
            f"{file} is {size / 2**20:,.0f} MB; an exported model is at most"
            f" {LARGEST_MODEL // 2**20} MB."
        )
    with tempfile.TemporaryDirectory() as aside:
        bundle = unpack_bundle(file, Path(aside) / "bundle")
    made_for = bundle.model.target.get("name")
    if made_for != target.name:
        raise ArtifactMismatch(
            f"{file} predicts {made_for!r}, not {target.name!r}. Choose --target {made_for} or"
            " train."
        )
    models = registered_model(workspace, target)
    models.tag(register(models, bundle), imported=file.name)
    return bundle.model_version
