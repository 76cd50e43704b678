"""Whether a JSON object is what its schema promises, with no field that the schema does not describe."""

import json
from typing import Any

from jsonschema import Draft202012Validator

from otreg.records import record_schema


def checked(text: str) -> dict[str, Any]:
    """The one object in a text, after a check against the schema that it names."""
    record = json.loads(text)
    schema = closed(record_schema(record["schema"]))
    errors = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(record)]
    assert not errors, errors[:5]
    return record


def closed(schema: Any) -> Any:
    """The same schema, which also refuses fields that it does not describe, unless it says that there may be others."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(value) for key, value in schema.items()}
    return {"additionalProperties": False, **inner} if isinstance(schema.get("properties"), dict) else inner
