"""Sequences of writes by different managers get the same answers and field owners from both API servers."""

from __future__ import annotations

import pytest

from tests.contract.client import ApiServer, differences, normalise
from tests.contract.sequences import SEQUENCES, WIDGET_DEFINITION, Step

_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


async def define_widgets(server: ApiServer) -> None:
    """Creates the definition of the contract's Widgets, once per API server."""
    answer = await server.request("POST", _CRDS, WIDGET_DEFINITION)
    assert answer.code in (201, 409), answer.body
    await server.eventually("/apis/contract.example.com/v1/widgets", lambda body: body.get("kind") == "WidgetList")


@pytest.mark.parametrize("name", SEQUENCES)
async def test_the_sandbox_answers_a_sequence_of_writes_as_a_real_api_server_does(
    name: str, both: tuple[ApiServer, ApiServer]
) -> None:
    """Objects, defaults, refusals and managedFields are the same after each request."""
    fake, real = both
    if "custom" in name:
        await define_widgets(fake)
        await define_widgets(real)
    wrong: list[str] = []
    for number, step in enumerate(SEQUENCES[name]):
        expected, actual = await _result(real, step), await _result(fake, step)
        wrong.extend(f"step {number} {step.method} {line}" for line in differences(expected, actual))
    assert not wrong, "\n".join(wrong)


async def _result(server: ApiServer, step: Step) -> dict[str, object]:
    answer = await server.request(step.method, step.path, step.body, step.media)
    result = normalise(answer, server.namespace)
    result["warnings"] = answer.headers.get("Warning")
    return result
