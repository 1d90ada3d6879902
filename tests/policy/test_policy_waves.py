"""In which order objects are applied."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from driftd.policy.waves import wave, waves
from tests.support.samples import manifest

KINDS = [
    "Deployment", "ConfigMap", "Namespace", "Service", "CustomResourceDefinition", "Secret", "ServiceAccount",
    "ClusterRole", "ClusterRoleBinding", "ValidatingWebhookConfiguration", "Widget", "Job", "PersistentVolumeClaim",
]  # fmt: skip

many = st.lists(st.sampled_from(KINDS), max_size=30).map(
    lambda kinds: [manifest(kind, f"n{number}") for number, kind in enumerate(kinds)]
)


def before(first: str, second: str) -> bool:
    return wave(manifest(first)) < wave(manifest(second))


def test_what_others_stand_on_comes_first_and_what_intercepts_requests_last() -> None:
    """A pod needs its ServiceAccount and its ConfigMap; a webhook whose pods are not there refuses everything."""
    assert before("Namespace", "ServiceAccount")
    assert before("CustomResourceDefinition", "Widget")
    assert before("ServiceAccount", "Deployment")
    assert before("ClusterRole", "ClusterRoleBinding")
    assert before("Secret", "Deployment")
    assert before("ConfigMap", "Job")
    assert before("PersistentVolumeClaim", "StatefulSet")
    assert before("Deployment", "ValidatingWebhookConfiguration")
    assert before("Service", "APIService")


@given(many)
def test_waves_hold_every_object_once_in_the_order_of_their_numbers(manifests: list) -> None:  # type: ignore[type-arg]
    """None is lost, none doubled; those of one wave keep the order of Git."""
    found = waves(manifests)
    flat = [one for group in found for one in group]
    assert sorted(flat, key=lambda m: m.ref) == sorted(manifests, key=lambda m: m.ref)
    numbers = [{wave(one) for one in group} for group in found]
    assert all(len(group) == 1 for group in numbers)
    assert [next(iter(group)) for group in numbers] == sorted({wave(m) for m in manifests})
    for group in found:
        assert group == [m for m in manifests if m in group]
