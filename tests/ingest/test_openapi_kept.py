"""Schemathesis: the running ingest keeps what its /openapi.json says, whatever is sent and whoever sends."""

import html
import json
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS, load_all_checks

from tests.ingest.every_source import KEYED, OPERATOR, SECRETS, SIGNED, key_of, proof
from tests.support.service import Service

load_all_checks()
CHECK: Final = {check.__name__: check for check in CHECKS.get_all()}
STRICT: Final = {"positive_data_acceptance"}
"""Not of forms: what fits the schema may still name a site that is unknown here."""
LENIENT: Final = {"negative_data_rejection", "missing_required_header"}
"""Not of presses: they are never refused for their content."""
DOCUMENT = json.loads((Path(__file__).parents[2] / "schemas/generated/openapi.json").read_text())
GENERATION = {"deterministic": True, "mode": "all", "with-security-parameters": False}
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT, config=schemathesis.Config.from_dict({"generation": GENERATION}))
Case = schemathesis.Case[Any]
bounded = settings(
    max_examples=10, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)


def without(*names: str) -> list[Any]:
    """All checks but these."""
    assert set(names) <= set(CHECK)
    return [check for name, check in CHECK.items() if name not in names]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_the_document_is_the_one_that_is_served(client: httpx.Client) -> None:
    served = client.get("/openapi.json").json()
    assert served["paths"] == DOCUMENT["paths"]
    assert served["components"] == DOCUMENT["components"]


def test_the_page_for_people_names_every_operation(client: httpx.Client) -> None:
    page = html.unescape(client.get("/docs").text)
    for path, operations in DOCUMENT["paths"].items():
        for method in operations:
            assert f"<code>{method.upper()} {path}</code>" in page
    assert 'curl "$INGEST/v1/hooks/shelly/btn-7?secret=$SECRET&press=long"' in page
    assert "Content-Type: application/cloudevents-batch+json" in page


@SCHEMA.exclude(path_regex="hooks").parametrize()
@bounded
def test_a_panic_source(case: Case, every: Service) -> None:
    source = "panic-bus" if case.operation.path == "/v1/events" else "buttons"
    case.call_and_validate(every.url, headers=bearer(key_of(source)), checks=without(*LENIENT))


@SCHEMA.include(path=["/v1/incidents", "/v1/events"]).parametrize()
@bounded
def test_a_form(case: Case, every: Service) -> None:
    source = "bus" if case.operation.path == "/v1/events" else "forms"
    case.call_and_validate(every.url, headers=bearer(key_of(source)), checks=without(*STRICT))


@SCHEMA.include(path="/v1/sources").parametrize()
@bounded
def test_an_operator(case: Case, every: Service) -> None:
    case.call_and_validate(every.url, headers=bearer(OPERATOR), checks=without())


@pytest.mark.parametrize("source", KEYED)
@SCHEMA.include(path="/v1/hooks/{source}", method="POST").parametrize()
@bounded
def test_a_hook_with_a_key(case: Case, every: Service, source: str) -> None:
    case.path_parameters["source"] = source
    case.call_and_validate(every.url, headers=bearer(key_of(source)), checks=without(*STRICT, *LENIENT))


class Signed(requests.auth.AuthBase):
    """Proves the source as its sender does, over the bytes that are sent."""

    def __init__(self, source: str) -> None:
        self._source = source

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body or b""
        assert isinstance(body, str | bytes)
        assert request.url is not None
        headers, query = proof(self._source, body.encode() if isinstance(body, str) else body)
        request.headers.update(headers)
        request.prepare_url(request.url, query)
        return request


@pytest.mark.parametrize("source", [*SECRETS, *SIGNED])
@SCHEMA.include(path_regex="hooks").parametrize()
@bounded
def test_a_hook_with_another_proof(case: Case, every: Service, source: str) -> None:
    case.path_parameters["source"] = source
    answer = case.call_and_validate(every.url, auth=Signed(source), checks=without(*STRICT, *LENIENT))
    # Nothing that is generated here is a token of Flic's.
    assert (answer.status_code == 401) is (source == "flic" and answer.status_code != 405)
