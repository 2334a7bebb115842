"""Requests made up from a service's own description, with ids that exist among the others."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as with_seed
from hypothesis import strategies as st

PATCH = "application/openstack-images-v2.1-json-patch"


def fuzz(
    app: flask.Flask,
    known: Mapping[str, Sequence[str]],
    examples: int,
    *,
    token: str = "admin:admin",
    seed: int = 0,
    only: str = "",
) -> tuple[Counter[int], list[str]]:
    """Ask for every operation of a service.

    :param known: values of path arguments that exist, by the argument's name
    :param examples: requests for each operation
    :returns: how often each status came; what went wrong: an answer of 500, or one that is not documented
    """
    import schemathesis

    schemathesis.serializer.alias(PATCH, "application/json")
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    client = app.test_client()
    statuses: Counter[int] = Counter()
    problems: dict[str, str] = {}
    for result in schema.get_all_operations():
        operation = result.ok()
        label = f"{operation.method.upper()} {operation.path}"
        if only in label:
            documented = {int(status) for status in operation.definition.raw["responses"]}
            _fuzz_one(client, operation, documented, known, examples, (token, seed), statuses, problems)
    return statuses, list(problems.values())


def _fuzz_one(
    client: Any,
    operation: Any,
    documented: set[int],
    known: Mapping[str, Sequence[str]],
    examples: int,
    token_and_seed: tuple[str, int],
    statuses: Counter[int],
    problems: dict[str, str],
) -> None:
    label = f"{operation.method.upper()} {operation.path}"
    token, seed = token_and_seed

    @with_seed(seed)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), data=st.data())
    def ask(case: Any, data: Any) -> None:
        for name in case.path_parameters or {}:
            choices = list(known.get(name, ()))
            if choices and data.draw(st.booleans()):
                case.path_parameters[name] = data.draw(st.sampled_from(choices))
        if isinstance(case.body, dict | list):
            case.body = _naming(case.body, known, data)
        sent = case.as_transport_kwargs(headers={"X-Auth-Token": token})
        response = client.open(**_request(sent))
        statuses[response.status_code] += 1
        status = response.status_code
        if (status >= 500 and status != 503) or status not in documented:
            body = json.dumps(sent.get("json"), default=repr)[:300]
            problems.setdefault(
                f"{label} {status}",
                f"{label} -> {status} {response.get_data(as_text=True)[:300]}\n"
                f"    {sent.get('path')} {sent.get('query_string')} {body}",
            )

    ask()


def _naming(body: Any, known: Mapping[str, Sequence[str]], data: Any) -> Any:
    """Return a body in which some of the values that are ids are those of what exists."""
    if isinstance(body, list):
        return [_naming(one, known, data) for one in body]
    if not isinstance(body, dict):
        return body
    return {
        name: data.draw(st.sampled_from(list(known[name])))
        if isinstance(value, str) and known.get(name) and data.draw(st.booleans())
        else _naming(value, known, data)
        for name, value in body.items()
    }


def _request(sent: dict[str, Any]) -> dict[str, Any]:
    """Return what Werkzeug's client wants of what schemathesis would send."""
    names = ("method", "path", "headers", "query_string", "json", "data")
    return {name: value for name, value in sent.items() if name in names and value is not None}
