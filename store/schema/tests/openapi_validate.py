"""Checks an OpenAPI document: against the specification, and its examples against its own schemas."""

import json
import sys

from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

ROOT = "urn:document"


def validator(registry, schema):
    # A reference in a schema means the document around it.
    return Draft202012Validator(rooted(schema), registry=registry, format_checker=FormatChecker())


def rooted(node):
    if isinstance(node, dict):
        return {k: ROOT + v if k == "$ref" and v.startswith("#") else rooted(v) for k, v in node.items()}
    return [rooted(item) for item in node] if isinstance(node, list) else node


def examples(node, path=()):
    """Pairs of a schema and a value that is said to fit it."""
    if isinstance(node, dict):
        if "schema" in node and "example" in node:
            yield path, node["schema"], node["example"]
        if isinstance(node.get("examples"), list):
            for value in node["examples"]:
                yield path, {k: v for k, v in node.items() if k != "examples"}, value
        for key, value in node.items():
            if key not in ("example", "examples"):
                yield from examples(value, path + (key,))
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from examples(value, path + (place,))


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        document = json.load(file)
    problems = [f"specification: {error.message}" for error in OpenAPIV31SpecValidator(document).iter_errors()]
    registry = Registry().with_resource(ROOT, Resource(contents=document, specification=DRAFT202012))
    count = 0
    for path, schema, value in examples(document):
        count += 1
        for error in validator(registry, schema).iter_errors(value):
            problems.append(f"example at {'/'.join(map(str, path))}: {error.json_path}: {error.message}")
    for name, schema in document["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        for reference in unresolved(schema, document):
            problems.append(f"{name} refers to {reference}, which does not exist")
    print(f"{count} examples")
    for problem in problems:
        print(problem)
    sys.exit(1 if problems or not count else 0)


def unresolved(node, document):
    if isinstance(node, dict):
        target = node.get("$ref")
        if isinstance(target, str):
            found = document
            for part in target.removeprefix("#/").split("/"):
                found = found.get(part, {})
            if not found:
                yield target
        for value in node.values():
            yield from unresolved(value, document)
    elif isinstance(node, list):
        for value in node:
            yield from unresolved(value, document)


main()
