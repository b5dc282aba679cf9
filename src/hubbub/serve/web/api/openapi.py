"""The API's OpenAPI 3.1 description, made from its routes. It is stored in docs/openapi.json."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import msgspec

from hubbub.serve.web.api.routes import PREFIX, ROUTES, Route
from hubbub.wire.transcript import FORMS
from hubbub.wire.web import api as wire

REF = "#/components/schemas/{name}"
ROOM = {
    "name": "room",
    "in": "path",
    "required": True,
    "description": "A room's name, with or without # in front; in any case and form.",
    "schema": {"type": "string"},
}

NAME = ROOM | {
    "name": "name",
    "description": "The name of the other person, who has an account; in any case and form.",
}

TOKEN = {
    "type": "http",
    "scheme": "bearer",
    "description": "A token of an account, as `hubbub token add` prints it. Without one, a request is a guest's.",
}


def _ref(kind: type) -> dict[str, str]:
    return {"$ref": REF.format(name=kind.__name__)}


def _parameters(route: Route) -> list[dict[str, Any]]:
    _, schemas = msgspec.json.schema_components([route.query], ref_template=REF)
    schema = schemas[route.query.__name__]
    required = schema.get("required", [])
    query = [
        {"name": name, "in": "query", "required": name in required, "schema": kind}
        for name, kind in schema["properties"].items()
    ]
    return [one for one in (ROOM, NAME) if f"{{{one['name']}}}" in route.path] + query


def _operation(route: Route) -> dict[str, Any]:
    stream = route.path.endswith("/stream")
    form = "text/event-stream" if stream else "application/json"
    content = {form: {"schema": _ref(route.answer)}, "text/plain": {"schema": {"type": "string"}}}
    if route.path.endswith("/transcript"):
        content = {known.media_type: {"schema": {"type": "string"}} for known in FORMS.values()}
    operation: dict[str, Any] = {
        "operationId": route.id,
        "summary": route.summary,
        "parameters": _parameters(route),
        "responses": {
            str(route.status): {
                "description": "A stream of entries." if stream else "Success.",
                "content": content,
            },
            "default": {
                "description": "Error.",
                "content": {"application/problem+json": {"schema": _ref(wire.Problem)}},
            },
        },
    }
    if stream:
        operation["parameters"].append(
            {
                "name": "Last-Event-ID",
                "in": "header",
                "required": False,
                "description": "The id of the last received event, or the number of an entry. Overrides `after`.",
                "schema": {"type": "string"},
            }
        )
    if route.method == "POST":
        operation["requestBody"] = {
            "required": True,
            "description": f"The text, up to {wire.MAX_BODY} bytes in UTF-8, or a JSON object that contains it.",
            "content": {
                "text/plain": {"schema": {"type": "string"}},
                "application/json": {"schema": _ref(wire.MessageBody)},
            },
        }
    return operation


def describe() -> dict[str, Any]:
    """Return the OpenAPI description of all routes as a JSON object."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(PREFIX + route.path, {})[route.method.lower()] = _operation(route)
    answers = list(dict.fromkeys([*(route.answer for route in ROUTES), wire.MessageBody, wire.Problem]))
    _, schemas = msgspec.json.schema_components(answers, ref_template=REF)
    return {
        "openapi": "3.1.0",
        "info": {"title": "hubbub", "version": version("hubbub"), "license": {"name": "MIT", "identifier": "MIT"}},
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"token": TOKEN}},
    }
