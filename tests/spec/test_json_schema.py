from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from agentkit.messages import JsonValue
from agentkit.spec import SpecProblems, agent_json_schema, read_template, template_names
from agentkit.spec.compose import parse

HERE = Path(__file__).parent
VALIDATOR = Draft202012Validator(agent_json_schema())

# What only load_spec can see: YAML's own rules, the environment, and rules between keys.
BEYOND_JSON_SCHEMA = {
    "custom_tag",  # and further down: lost once the YAML is data
    "duplicate_key",
    "duplicate_nested_key",
    "half_a_character",
    "invisible_text",
    "merge_key",
    "number_as_key",
    "yaml_1_1",
    "empty_variable",  # the environment
    "missing_variable",
    "hub_id_with_branch",
    "local_group_of_nothing",  # rules between keys
    "spill_without_folder",
    "key_over_http",
    "llama_guard_key_over_http",
    "country_unknown",  # the table of countries
    "organisation_number",  # a check digit
    "review_ends_before_it_begins",
    "tool_money_without_currency",
    "policy_timezone",  # a name that only the machine's time zones know
    "reference_outside_secret",  # a valid text in itself
    "schema_bad_pattern",  # a format, which is only an annotation
    "schema_format",
    "schema_misspelt_keyword",
    "schema_remote_ref",
    "bad_date",
    "version_with_fraction",  # 1.0 is an integer for JSON Schema
}


def data(text: str) -> JsonValue:
    """What an editor that reads YAML 1.2 sees."""
    return parse(text, "agent.yaml")[0].plain()


def undescribed(schema: object, path: str = "") -> list[str]:
    """Paths of all properties that lack a description."""
    found = []
    if isinstance(schema, dict):
        for name, inner in schema.get("properties", {}).items():
            if "/properties/tools" not in path and not inner.get("description"):
                found.append(f"{path}/{name}")
        for key, inner in schema.items():
            found += undescribed(inner, f"{path}/{key}")
    return found


def test_it_is_a_valid_schema_in_which_every_key_is_described() -> None:
    schema = agent_json_schema()
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert undescribed(schema) == []


@pytest.mark.parametrize("name", template_names())
def test_the_templates_are_valid(name: str) -> None:
    assert list(VALIDATOR.iter_errors(data(read_template(name)["agent.yaml"]))) == []


def test_the_full_file_is_valid() -> None:
    assert list(VALIDATOR.iter_errors(data((HERE / "full.yaml").read_text()))) == []


@pytest.mark.parametrize(
    "path", sorted((HERE / "malformed").glob("*.yaml")), ids=lambda path: path.stem
)
def test_an_editor_sees_what_a_schema_can_see(path: Path) -> None:
    try:
        content = data(path.read_text())
    except (SpecProblems, UnicodeDecodeError):
        return  # an editor shows it as broken YAML
    is_valid = VALIDATOR.is_valid(content)
    assert is_valid == (path.stem in BEYOND_JSON_SCHEMA)
