"""The statement of data use says what the project file does, and nothing else."""

import json

from small_company import Command, Company

from features.sources import CONTRACTS
from pipeline.staging.sources import INTERNAL
from pipeline.workspace import contract_of


def test_the_statement_names_fields_purpose_time_and_what_leaves(
    company_copy: Company, tenure: Command
) -> None:
    toml = company_copy.folder / "tenure.toml"
    toml.write_text(
        toml.read_text()
        + '\n[notify]\nping_url = "https://hc.example.com/secret"\n'
        + "\n[store]\nkeep_runs_days = 400\n"
    )
    answer = tenure("data-use", "--project", company_copy.folder)
    assert answer.code == 0, answer.err
    workspace, target = company_copy.workspace()
    assert f"- {target.name}: {workspace.project.objective.purpose or 'not stated'}" in answer.out
    assert "hc.example.com" in answer.out and "secret" not in answer.out
    assert "400 days" in answer.out
    assert "who did it, inside the account | yes |" in answer.out


def test_every_field_that_was_read_is_listed(company: Company, tenure: Command) -> None:
    statement = json.loads(tenure("data-use", "--project", company.folder, "--json").out)
    assert statement["is_staged"] and statement["leaves"] == []
    listed = {(field["source"], field["column"]) for field in statement["fields"]}
    workspace, _ = company.workspace()
    for name, source in workspace.project.sources.items():
        contract = CONTRACTS[contract_of(name, source)]
        ours = {column for column in company.table(name) if contract.column(column) is not None}
        # What drives staging is not kept as it is: when a row became known is.
        assert ours - set(INTERNAL) <= {column for of, column in listed if of == name}, name
