"""The manifests bring up every runner under the launcher's hardening, and what they start is a runner that answers."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import kubernetes_validate
import pytest
import yaml
from docker.models.containers import Container

from orchestrator.certificates import ORCHESTRATOR, Authority
from orchestrator.client import RunnerClient
from orchestrator.endpoint import Endpoint
from orchestrator.launch import container as container_module
from orchestrator.launch import docker as launcher_module
from orchestrator.launch import images, remote_docker
from orchestrator.runtimes import RUNNERS, RunnerKind
from runners.certificates import FILES

FOLDER = Path(__file__).parents[2] / "docker" / "kubernetes"
SCHEMAS = "1.37"
BYTES = {"Mi": 1 << 20, "Gi": 1 << 30}
Manifest = dict[str, Any]


def kustomization(overlay: str) -> Manifest:
    read: Manifest = yaml.safe_load((FOLDER / overlay / "kustomization.yaml").read_text())
    return read


def documents(text: str) -> Iterator[Manifest]:
    """A list counts as its items, as it does for kustomize."""
    for document in yaml.safe_load_all(text):
        yield from document["items"] if document["kind"] == "List" else [document]


MANIFESTS = [
    manifest
    for name in kustomization("base")["resources"]
    for manifest in documents((FOLDER / "base" / name).read_text())
]
DEPLOYMENTS = {
    manifest["metadata"]["name"]: manifest["spec"] for manifest in MANIFESTS if manifest["kind"] == "Deployment"
}
SERVICES = {manifest["metadata"]["name"]: manifest["spec"] for manifest in MANIFESTS if manifest["kind"] == "Service"}


def pod_of(name: str) -> Manifest:
    pod: Manifest = DEPLOYMENTS[name]["template"]["spec"]
    return pod


def runner_of(name: str) -> Manifest:
    (container,) = pod_of(name)["containers"]
    assert isinstance(container, dict)
    return container


def only(kind: str) -> Manifest:
    (manifest,) = (manifest for manifest in MANIFESTS if manifest["kind"] == kind)
    return manifest


def in_bytes(quantity: str) -> int:
    return int(quantity[:-2]) * BYTES[quantity[-2:]]


def passes_probe(container: Container, probe: Manifest) -> bool:
    container.reload()
    assert container.status == "running", container.logs().decode()
    return container.exec_run(probe["exec"]["command"]).exit_code == 0


every_runner = pytest.mark.parametrize("name", DEPLOYMENTS)


def test_every_file_is_listed() -> None:
    for overlay in ("base", "gpu"):
        there = {path.name for path in (FOLDER / overlay).iterdir()} - {"kustomization.yaml"}
        assert set(kustomization(overlay)["resources"]) - {"../base"} == there


@pytest.mark.parametrize(
    "manifest", MANIFESTS, ids=lambda manifest: f"{manifest['kind']}-{manifest['metadata']['name']}"
)
def test_manifest_satisfies_the_published_schema(manifest: Manifest) -> None:
    kubernetes_validate.validate(manifest, SCHEMAS, strict=True)


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
@pytest.mark.parametrize("overlay", ["base", "gpu"])
def test_kustomize_renders_what_the_files_say(overlay: str) -> None:
    command = ["kubectl", "kustomize", str(FOLDER / overlay)]
    rendered = list(documents(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    pods = {manifest["metadata"]["name"]: manifest["spec"] for manifest in rendered if manifest["kind"] == "Deployment"}
    assert len(rendered) == len(MANIFESTS)
    assert {name: spec["template"]["spec"] for name, spec in pods.items()} == {
        name: pod_of(name) for name in DEPLOYMENTS
    }
    assert {manifest["metadata"].get("namespace", "portbench") for manifest in rendered} == {"portbench"}
    assert all(spec["replicas"] == 1 or overlay == "base" for spec in pods.values())


def test_every_runner_that_lives_in_a_container_has_a_deployment(container_kinds: dict[str, RunnerKind]) -> None:
    del container_kinds["null"]  # measures a harness, and that lives where the orchestrator does
    for name, kind in container_kinds.items():
        container = runner_of(name)
        environment = {variable["name"]: variable["value"] for variable in container.get("env", [])}
        assert container["image"] == f"portbench/{kind.image}"
        assert environment.get("PORTBENCH_RUNTIME", kind.image) == kind.runtime
        assert DEPLOYMENTS[name]["replicas"] == (1 if "cpu" in kind.devices else 0)


@every_runner
def test_a_headless_service_finds_the_runner_s_pods_only(name: str) -> None:
    service, deployment = SERVICES[name], DEPLOYMENTS[name]
    assert service["clusterIP"] == "None"
    assert [port["port"] for port in service["ports"]] == [remote_docker.PORT]
    assert service["selector"] == deployment["selector"]["matchLabels"] == deployment["template"]["metadata"]["labels"]
    assert service["selector"]["app.kubernetes.io/name"] == name


def test_runners_for_gpus_get_pods_on_machines_that_have_one() -> None:
    waiting = {name for name, deployment in DEPLOYMENTS.items() if not deployment["replicas"]}
    assert {entry["name"]: entry["count"] for entry in kustomization("gpu")["replicas"]} == dict.fromkeys(waiting, 1)
    for name in DEPLOYMENTS:
        on_gpu = name in waiting
        assert runner_of(name)["resources"]["limits"].get("nvidia.com/gpu") == (1 if on_gpu else None)
        assert pod_of(name).get("nodeSelector") == ({"nvidia.com/gpu.present": "true"} if on_gpu else None)
        assert ("tolerations" in pod_of(name)) == on_gpu


@every_runner
def test_pod_is_hardened_as_the_launcher_hardens(name: str) -> None:
    pod, container = pod_of(name), runner_of(name)
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": launcher_module.RUNNER_ID,
        "runAsGroup": launcher_module.RUNNER_ID,
        "fsGroup": launcher_module.RUNNER_ID,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert (pod["automountServiceAccountToken"], pod["shareProcessNamespace"]) == (False, True)
    assert pod["serviceAccountName"] == only("ServiceAccount")["metadata"]["name"]
    assert pod["terminationGracePeriodSeconds"] == container_module.STOP_TIMEOUT_S
    assert container["resources"]["requests"] == container["resources"]["limits"]
    assert re.fullmatch(r"[1-9]\d*", container["resources"]["limits"]["cpu"])


@every_runner
def test_pod_has_a_place_for_all_that_its_runner_writes_and_its_certificate(name: str) -> None:
    volumes = {volume["name"]: volume for volume in pod_of(name)["volumes"]}
    at = {mount["mountPath"]: volumes[mount["name"]] for mount in runner_of(name)["volumeMounts"]}
    assert set(at) == {"/tmp", container_module.STORE, launcher_module.SOCKET_FOLDER, "/etc/portbench/certs"}
    assert at["/tmp"]["emptyDir"]["medium"] == "Memory"
    assert in_bytes(at["/tmp"]["emptyDir"]["sizeLimit"]) == container_module.TEMPORARY_BYTES
    assert "emptyDir" in at[container_module.STORE]
    assert "emptyDir" in at[launcher_module.SOCKET_FOLDER]
    assert at["/etc/portbench/certs"]["secret"] == {"secretName": f"{name}-certs", "defaultMode": 0o440}


@every_runner
def test_probes_ask_often_until_the_runner_is_up_and_rarely_after(name: str) -> None:
    container = runner_of(name)
    probes = [container[f"{probe}Probe"] for probe in ("startup", "readiness", "liveness")]
    assert all(probe["exec"]["command"][-1] == container["args"][0].removeprefix("--listen=") for probe in probes)
    startup, *later = probes
    assert startup["periodSeconds"] * startup["failureThreshold"] >= launcher_module.START_TIMEOUT_S
    assert all(probe["periodSeconds"] >= 300 for probe in later)


def test_only_orchestrators_reach_runners_and_runners_reach_nobody() -> None:
    policy = only("NetworkPolicy")["spec"]
    assert all(
        policy["podSelector"]["matchLabels"].items() <= deployment["template"]["metadata"]["labels"].items()
        for deployment in DEPLOYMENTS.values()
    )
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in policy
    (rule,) = policy["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": remote_docker.PORT}]
    labels = {"app.kubernetes.io/component": "orchestrator"}
    assert rule["from"] == [{"podSelector": {"matchLabels": labels}}, {"namespaceSelector": {"matchLabels": labels}}]
    assert only("Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.docker
def test_what_a_pod_starts_answers_its_probe_and_the_orchestrator(engine: docker.DockerClient, tmp_path: Path) -> None:
    """The image under a pod's user, arguments, places and probe, in an engine's container."""
    authority = Authority.create(tmp_path)
    orchestrator, _ = authority.issue([ORCHESTRATOR])
    certs, _ = authority.issue(["localhost"])
    for file in FILES:
        (certs / file).chmod(0o444)  # a secret's files belong to the pod's group
    certs.chmod(0o755)
    name, runner = "onnxruntime-cpu", runner_of("onnxruntime-cpu")
    user = pod_of(name)["securityContext"]
    writable = [mount["mountPath"] for mount in runner["volumeMounts"] if not mount.get("readOnly")]
    container = engine.containers.run(
        images.build(RUNNERS[name].image),
        runner["args"],
        detach=True,
        user=f"{user['runAsUser']}:{user['runAsGroup']}",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        tmpfs=dict.fromkeys(writable, f"uid={user['runAsUser']},gid={user['fsGroup']}"),
        volumes={str(certs): {"bind": "/etc/portbench/certs", "mode": "ro"}},
        ports={f"{remote_docker.PORT}/tcp": ("127.0.0.1", 0)},
    )
    try:
        deadline = time.monotonic() + launcher_module.START_TIMEOUT_S
        while not passes_probe(container, runner["startupProbe"]):
            assert time.monotonic() < deadline, container.logs().decode()
        (published,) = container.ports[f"{remote_docker.PORT}/tcp"] or []
        with RunnerClient(name, Endpoint(f"localhost:{published['HostPort']}", orchestrator)) as client:
            assert client.describe().runtime == RUNNERS[name].runtime
    finally:
        container.remove(v=True, force=True)
