"""Whether the project says what its scores are for, and how many accounts can be worked on."""

from pipeline.checking.evidence import Evidence
from pipeline.checking.report import Finding
from pipeline.workspace import purpose_of


def objective_findings(evidence: Evidence) -> list[Finding]:
    """A score without an aim is looked at by nobody, and a list without a length by nobody to its
    end.
    """
    project = evidence.workspace.project
    missing = {
        "purpose": ("what the scores are for", purpose_of(project, evidence.target)),
        "capacity": ("how many accounts you can work on at a time", project.objective.capacity),
    }
    unsaid = {key: words for key, (words, value) in missing.items() if not value}
    if not unsaid:
        return []
    # The project's own purpose speaks of leavers where it has targets of both kinds.
    is_of_target = project.objective.purpose and "purpose" in unsaid
    where = f"of the target {evidence.target.name}" if is_of_target else "under [objective]"
    return [
        Finding(
            name="objective-not-stated",
            severity="warn",
            source="",
            what=f"tenure.toml does not say {', nor '.join(unsaid.values())}",
            todo=(
                f"Write {' and '.join(unsaid)} {where}: pages and model card repeat them,"
                " and lists end where your team's time does."
            ),
        )
    ]
