"""The Kubernetes manifests: built by kustomize, valid by the schemas, and true to the program."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from posewire.shared.bus.address import parse
from posewire.shared.settings import load_settings
from tests.conftest import ROOT

FOLDER = ROOT / "deploy" / "k8s"
OVERLAYS = ("external", "operators", "cluster")
VERSIONS = ("1.30", "1.37")
CUSTOM = {
    "ScaledObject": "@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject",
    "PodMonitor": "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1",
    "PrometheusRule": "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1",
}
UNCHECKED = {"Cluster", "Redis", "RedisCluster"}
"""CloudNativePG's and the Redis operator's: no package brings their schemas."""
Manifests = list[dict[str, Any]]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Manifests]:
    """Build an overlay as `kubectl apply -k` does."""
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl")
    copy = tmp_path_factory.mktemp("deploy") / "k8s"
    shutil.copytree(FOLDER, copy)
    external = copy / "overlays" / "external"
    shutil.copy(external / "servers.env.example", external / "servers.env")

    def run(overlay: str) -> Manifests:
        done = subprocess.run(
            ["kubectl", "kustomize", str(copy / "overlays" / overlay)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert not done.stderr, "deprecated fields are said there"
        return list(yaml.safe_load_all(done.stdout))

    return run


def of(manifests: Manifests, kind: str) -> Manifests:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_valid_by_kubernetes_schemas(
    build: Callable[[str], Manifests], overlay: str, version: str
) -> None:
    for manifest in build(overlay):
        if manifest["kind"] not in CUSTOM and manifest["kind"] not in UNCHECKED:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_a_wrong_field_would_be_found(build: Callable[[str], Manifests]) -> None:
    deployment = of(build("external"), "Deployment")[0]
    deployment["spec"]["template"]["spec"]["containers"][0]["livenessprobe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="livenessprobe"):
        kubernetes_validate.validate(deployment, VERSIONS[-1], strict=True)


_CHECK = """
import { readFileSync } from "node:fs";
const modules = JSON.parse(process.argv[2]);
for (const manifest of JSON.parse(readFileSync(process.argv[3]))) {
  const loaded = await import(modules[manifest.kind]);
  const Model = loaded[manifest.kind] ?? loaded.default[manifest.kind];
  new Model(manifest).validate();
  const broken = { ...manifest, spec: 3 };
  try { new Model(broken).validate(); } catch { continue; }
  throw new Error("the schema of " + manifest.kind + " finds nothing");
}
"""


@pytest.mark.slow
def test_valid_by_the_operators_schemas(build: Callable[[str], Manifests], tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("no npm, which brings the schemas")
    packages = ["@kubernetes-models/keda@2.0.0", "@kubernetes-models/prometheus-operator@6.0.0"]
    fetched = subprocess.run(
        ["npm", "install", "--silent", "--no-audit", "--no-fund", *packages],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if fetched.returncode:
        pytest.skip(f"the schemas cannot be had: {fetched.stderr.strip()[-200:]}")
    manifests = [m for m in build("operators") if m["kind"] in CUSTOM]
    assert {m["kind"] for m in manifests} == set(CUSTOM)
    (tmp_path / "manifests.json").write_text(json.dumps(manifests))
    (tmp_path / "check.mjs").write_text(_CHECK)
    done = subprocess.run(
        ["node", "check.mjs", json.dumps(CUSTOM), "manifests.json"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_may_do_nothing_that_they_need_not(
    build: Callable[[str], Manifests], overlay: str
) -> None:
    """As the Pod Security Standard "restricted", which the namespace enforces, and more."""
    manifests = build(overlay)
    (namespace,) = of(manifests, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for deployment in of(manifests, "Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert container["resources"]["limits"]["memory"]
        assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_program_takes_the_settings(
    build: Callable[[str], Manifests],
    overlay: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Every variable is a setting, and the probes' ports are those it listens on."""
    manifests = build(overlay)
    ports = {"capture": 9101, "inference": 9102, "tracker": 9103, "api": 8000}
    (config,) = (c for c in of(manifests, "ConfigMap") if "posewire.toml" in c["data"])
    (tmp_path / "posewire.toml").write_text(config["data"]["posewire.toml"])
    (secret,) = of(manifests, "Secret")
    names = [d["metadata"]["name"] for d in of(manifests, "Deployment")]
    assert sorted(names) == sorted(ports)
    for deployment in of(manifests, "Deployment"):
        name = deployment["metadata"]["name"]
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert [p["containerPort"] for p in container["ports"]] == [ports[name]]
        with monkeypatch.context() as patch:
            for variable in secret.get("data", {}):
                patch.setenv(variable, "redis://x" if "BUS" in variable else "postgresql://x/y")
            for variable in container["env"]:
                value = variable.get("value", "postgresql://x/y")
                patch.setenv(variable["name"], value)
            patch.setenv("POSEWIRE_CONFIG", str(tmp_path / "posewire.toml"))
            settings = load_settings()
        assert settings.bus.url
        if name in ("tracker", "api"):
            assert settings.database.url
        listens = settings.api.host if name == "api" else settings.telemetry.metrics_host
        assert listens == "0.0.0.0", "probes and scrapers come from outside the pod"


def test_the_bus_is_the_cluster(build: Callable[[str], Manifests]) -> None:
    manifests = build("cluster")
    assert not of(manifests, "Redis")
    (cluster,) = of(manifests, "RedisCluster")
    (secret,) = of(manifests, "Secret")
    address = parse(b64decode(secret["data"]["POSEWIRE_BUS__URL"]).decode())
    assert address.kind == "cluster"
    # The operator's services are called so.
    name = cluster["metadata"]["name"]
    assert [host for host, _port in address.hosts] == [f"{name}-leader", f"{name}-follower"]
    (policy,) = (
        p for p in of(manifests, "NetworkPolicy") if p["metadata"]["name"].startswith("redis")
    )
    (among,) = policy["spec"]["podSelector"]["matchExpressions"]
    assert among["values"] == [f"{name}-leader", f"{name}-follower"]
    config = cluster["spec"]["redisLeader"]["redisConfig"]["additionalRedisConfig"]
    assert config in [c["metadata"]["name"] for c in of(manifests, "ConfigMap")]


def test_images_are_the_dockerfiles_targets(build: Callable[[str], Manifests]) -> None:
    targets = set(re.findall(r" AS (\w+)$", (ROOT / "deploy" / "Dockerfile").read_text(), re.M))
    for deployment in of(build("external"), "Deployment"):
        image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        assert re.match(r"registry\.example\.org/posewire-(\w+):", image)[1] in targets  # type: ignore[index]


def test_budgets_services_and_policies_find_their_pods(build: Callable[[str], Manifests]) -> None:
    manifests = build("operators")
    pods = [d["spec"]["template"]["metadata"]["labels"] for d in of(manifests, "Deployment")]

    def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
        wanted = selector.get("matchLabels", {})
        among = selector.get("matchExpressions", [])
        return all(labels.get(k) == v for k, v in wanted.items()) and all(
            labels.get(e["key"]) in e["values"] for e in among
        )

    for budget in of(manifests, "PodDisruptionBudget"):
        assert sum(selects(budget["spec"]["selector"], labels) for labels in pods) == 1
    (service,) = of(manifests, "Service")
    assert sum(service["spec"]["selector"].items() <= labels.items() for labels in pods) == 1
    (monitor,) = of(manifests, "PodMonitor")
    assert all(selects(monitor["spec"]["selector"], labels) for labels in pods)
    for policy in of(manifests, "NetworkPolicy"):
        if policy["metadata"]["name"] != "redis":
            assert any(selects(policy["spec"]["podSelector"], labels) for labels in pods)


def test_inference_has_no_number_where_keda_sets_it(build: Callable[[str], Manifests]) -> None:
    def replicas(overlay: str) -> dict[str, int | None]:
        deployments = of(build(overlay), "Deployment")
        return {d["metadata"]["name"]: d["spec"].get("replicas") for d in deployments}

    assert replicas("external") == {"capture": 1, "inference": 1, "tracker": 2, "api": 2}
    assert replicas("operators")["inference"] is None


def test_the_alerts_are_the_same_as_prometheus() -> None:
    own = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yml").read_text())
    path = FOLDER / "components" / "prometheus-operator" / "rules.yaml"
    assert yaml.safe_load(path.read_text())["spec"] == own
