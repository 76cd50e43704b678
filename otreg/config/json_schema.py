"""The schemas of settings as JSON Schema, for editors and other programs: the same names, bounds and descriptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from otreg.config.batch import BatchConfig
from otreg.config.layers import COMMAND_SCHEMAS
from otreg.config.pair import PairConfig

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
FILE_SCHEMAS: Final[Mapping[str, type[BaseModel]]] = {**COMMAND_SCHEMAS, "batch": BatchConfig}


def json_schema(kind: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the settings files of "register", "distance" or "map", or of batch files.

    Rules that it cannot express (the order of models, keys that are given twice, files that do not exist) are checked
    when the file is read. It is stricter in one point: numbers must not be in quotes.
    """
    schema = FILE_SCHEMAS[kind].model_json_schema(mode="validation")
    named = {**schema.get("$defs", {}), "": schema}
    models: tuple[type[BaseModel], ...] = (*FILE_SCHEMAS.values(), PairConfig)
    for model in models:
        part = named.get("" if model is FILE_SCHEMAS[kind] else model.__name__, {})
        for name, field in part.get("properties", {}).items():
            # What pydantic shows of a length are its parts; where a default is None, a word of the description says it.
            if "default" in field:
                field["default"] = default_text(model, name)
            if field.get("default", 0) in (None, []):
                del field["default"]
    return {"$schema": DIALECT, **schema, "title": f"otreg {kind}"}


def default_text(model: type[BaseModel], name: str) -> Any:
    """A setting's default as it is written in a file."""
    field = model.model_fields[name]
    return adapter(field).dump_python(field.default, mode="json")


def adapter(field: FieldInfo) -> TypeAdapter[Any]:
    """Reads and writes values of one setting."""
    kind: Any = field.annotation
    return TypeAdapter(Annotated[kind, *field.metadata] if field.metadata else kind)
