"""`tenure onboarding`: every step of the source, with outcomes from the label table."""

import json

from small_company import Command, Company


def test_steps_of_the_company(company: Company, tenure: Command) -> None:
    answer = tenure("onboarding", "--project", company.folder, "--json")
    steps = json.loads(answer.out)["steps"]
    assert [step["name"] for step in steps][:2] == ["kickoff", "data_imported"]
    assert {step["name"] for step in steps} == set(company.table("milestones")["milestone"])
    for step in steps:
        assert step["in_time"] + step["late"] + step["never"] == step["accounts"] > 20
    assert "Onboarding, step by step" in tenure("onboarding", "--project", company.folder).out
