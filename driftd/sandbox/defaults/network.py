"""Defaults of Services, network policies and discovery. Source: pkg/apis/{core,networking,discovery}/v1/defaults.go."""

from __future__ import annotations

from driftd.sandbox.defaults.pods import set_default
from driftd.sandbox.document import Object

_EXTERNAL = ("NodePort", "LoadBalancer")


def _service(obj: Object) -> None:
    spec = obj["spec"]
    set_default(spec, "sessionAffinity", "None")
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
        if config.get("timeoutSeconds") is None:
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": 10800}}
    set_default(spec, "type", "ClusterIP")
    for port in spec.get("ports") or ():
        set_default(port, "protocol", "TCP")
        if port.get("targetPort") in (0, "", None):
            port["targetPort"] = port["port"]
    external_ips = spec["type"] == "ClusterIP" and spec.get("externalIPs")
    if spec["type"] in _EXTERNAL or external_ips:
        set_default(spec, "externalTrafficPolicy", "Cluster")
    if spec["type"] in (*_EXTERNAL, "ClusterIP"):
        set_default(spec, "internalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        set_default(spec, "allocateLoadBalancerNodePorts", True)


def _endpoints(obj: Object) -> None:
    for subset in obj.get("subsets") or ():
        for port in subset.get("ports") or ():
            set_default(port, "protocol", "TCP")


def _endpoint_slice(obj: Object) -> None:
    for port in obj.get("ports") or ():
        set_default(port, "name", "")
        set_default(port, "protocol", "TCP")


def _network_policy(obj: Object) -> None:
    spec = obj["spec"]
    for rule in (*(spec.get("ingress") or ()), *(spec.get("egress") or ())):
        for port in rule.get("ports") or ():
            set_default(port, "protocol", "TCP")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def _ingress_class(obj: Object) -> None:
    if obj["spec"].get("parameters"):
        set_default(obj["spec"]["parameters"], "scope", "Cluster")


NETWORK = {
    ("", "Service"): _service,
    ("", "Endpoints"): _endpoints,
    ("discovery.k8s.io", "EndpointSlice"): _endpoint_slice,
    ("networking.k8s.io", "NetworkPolicy"): _network_policy,
    ("networking.k8s.io", "IngressClass"): _ingress_class,
}
