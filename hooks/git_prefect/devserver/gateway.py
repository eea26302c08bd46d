"""One GraphQL request: parsed, validated, executed and answered as Prefect Server's gateway (Apollo) does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    OperationDefinitionNode,
    SelectionSetNode,
    execute_sync,
    parse,
    specified_rules,
    validate,
)

from git_prefect.devserver import resolvers
from git_prefect.devserver.database import Database
from git_prefect.devserver.errors import ApiError

_MAXIMUM_DEPTH = 7  # Prefect Server's ``depthLimit(7)``


class Answer(NamedTuple):
    """HTTP status and JSON body."""

    status: int
    body: dict[str, Any]


class NoQuery(Exception):
    """A request that is none of GraphQL: HTTP 400 with this text and no JSON, for a whole batch."""


class Gateway:
    """The schema over a database; ``cloud`` adds what only Prefect Cloud has."""

    def __init__(self, database: Database, cloud: bool = False) -> None:
        self._database = database
        self._schema = resolvers.bound_schema(cloud)
        self._checked = lru_cache(maxsize=512)(self._check)

    def answer(self, request: Any, headers: Mapping[str, str]) -> Answer:
        """Executes ``{query, variables, operationName}``; header names are in lower case. Raises NoQuery."""
        if not isinstance(request, dict) or not request.get("query"):
            raise NoQuery("Must provide query string.")
        if not isinstance(request["query"], str):
            raise NoQuery("GraphQL queries must be strings.")
        variables = request.get("variables")
        if isinstance(variables, str) and variables:  # prefect.Client sends them as text
            try:
                variables = json.loads(variables)
            except ValueError as error:
                raise NoQuery("Variables are invalid JSON.") from error
        document, errors, code = self._checked(request["query"])
        if document is None:
            return _refusal(errors, code)
        result = execute_sync(
            self._schema,
            document,
            context_value=resolvers.Context(self._database, headers),
            variable_values=variables or {},
            operation_name=request.get("operationName"),
        )
        if result.data is None and result.errors and all(error.path is None for error in result.errors):
            return _refusal(result.errors, "BAD_USER_INPUT")
        body: dict[str, Any] = {"data": result.data}
        if result.errors:
            body = {"errors": [_formatted(error) for error in result.errors], **body}
        return Answer(200, body)

    def _check(self, query: str) -> tuple[DocumentNode | None, list[GraphQLError], str]:
        try:
            document = parse(query)
        except GraphQLError as error:
            return None, [error], "GRAPHQL_PARSE_FAILED"
        errors = validate(self._schema, document, specified_rules) or list(_too_deep(document))
        return (None if errors else document), errors, "GRAPHQL_VALIDATION_FAILED"


def field_names(request: Any) -> list[str]:
    """The query and mutation fields that a request asks for; none if it cannot be read."""
    try:
        document = parse(request["query"])
    except (GraphQLError, KeyError, TypeError):
        return []
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    return [
        field.name.value
        for operation in operations
        for field in operation.selection_set.selections
        if isinstance(field, FieldNode)
    ]


def _too_deep(document: DocumentNode) -> list[GraphQLError]:
    """As graphql-depth-limit counts: the root's fields are at 0, introspection does not count."""
    fragments = {
        node.name.value: node.selection_set for node in document.definitions if isinstance(node, FragmentDefinitionNode)
    }

    def depth(selection: SelectionSetNode | None) -> int:
        deepest = 0
        for node in selection.selections if selection else ():
            if isinstance(node, FragmentSpreadNode):
                deepest = max(deepest, depth(fragments[node.name.value]))
            elif not isinstance(node, FieldNode):
                deepest = max(deepest, depth(getattr(node, "selection_set", None)))
            elif node.selection_set and not node.name.value.startswith("__"):
                deepest = max(deepest, 1 + depth(node.selection_set))
        return deepest

    return [
        GraphQLError(f"'{name}' exceeds maximum operation depth of {_MAXIMUM_DEPTH}", operation)
        for operation in document.definitions
        if isinstance(operation, OperationDefinitionNode) and depth(operation.selection_set) > _MAXIMUM_DEPTH
        for name in [operation.name.value if operation.name else ""]
    ]


def _refusal(errors: list[GraphQLError], code: str) -> Answer:
    return Answer(400, {"errors": [_formatted(error, code) for error in errors]})


def _formatted(error: GraphQLError, code: str = "INTERNAL_SERVER_ERROR") -> dict[str, Any]:
    cause = error.original_error
    formatted: dict[str, Any] = dict(error.formatted)
    formatted["extensions"] = {"code": cause.code if isinstance(cause, ApiError) else code}
    return formatted
