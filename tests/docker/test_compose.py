"""compose.yaml starts the same runners under the same hardening as the launcher; compose.tls.yaml opens each."""

from pathlib import Path
from typing import Any

import yaml

from orchestrator.launch import container as container_module
from orchestrator.launch import docker as launcher_module
from orchestrator.launch import remote_docker
from orchestrator.runtimes import RUNNERS, RunnerKind

FOLDER = Path(__file__).parents[2] / "docker"
GPU = {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
TEMPORARY = f"/tmp:size={container_module.TEMPORARY_BYTES >> 30}g,mode=1777"


def services_of(file: str) -> dict[str, dict[str, Any]]:
    services: dict[str, dict[str, Any]] = yaml.safe_load((FOLDER / file).read_text())["services"]
    return services


def test_every_runner_that_lives_in_a_container_is_there(container_kinds: dict[str, RunnerKind]) -> None:
    services = services_of("compose.yaml")
    for name, kind in container_kinds.items():
        service = services[name]
        assert service["image"] == f"portbench/{kind.image}"
        assert service.get("environment", {}).get("PORTBENCH_RUNTIME", kind.image) == kind.runtime
        assert ("profiles" in service) == ("cpu" not in kind.devices)
    assert {name for name, service in services.items() if "profiles" not in service} <= set(RUNNERS)


def test_every_service_is_hardened() -> None:
    for name, service in services_of("compose.yaml").items():
        assert service["command"][:2] == ["--listen", f"unix:{launcher_module.SOCKET_FOLDER}/{name}.sock"]
        assert service["command"][2:] == ["--store", container_module.STORE]
        assert service["network_mode"] == "none"
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["pids_limit"] == container_module.PIDS_LIMIT
        assert service["mem_limit"] == service["memswap_limit"]
        assert service["tmpfs"] == [TEMPORARY + (",exec" if name == "pytorch-compile" else "")]
        assert service["init"] is True
        assert service["healthcheck"] == {"disable": True}


def test_runners_for_gpus_come_up_when_asked_for() -> None:
    profiled = [service for service in services_of("compose.yaml").values() if "profiles" in service]
    for service in profiled:
        assert service["profiles"] == ["gpu"]
        assert service["deploy"]["resources"]["reservations"]["devices"] == [GPU]


def test_every_runner_can_be_opened_over_mutual_tls_on_a_port_of_its_own() -> None:
    opened = services_of("compose.tls.yaml")
    assert set(opened) == set(services_of("compose.yaml"))
    for service in opened.values():
        assert set(service) == {"network_mode", "volumes", "ports", "command"}  # all else is compose.yaml's
        assert service["network_mode"] == "bridge"
        assert [volume.rpartition("}")[2] for volume in service["volumes"]] == [":/etc/portbench/certs:ro"]
        assert service["command"][:2] == ["--listen", f"0.0.0.0:{remote_docker.PORT}"]
        assert service["command"][2:] == ["--certs", "/etc/portbench/certs", "--store", container_module.STORE]
    published = [service["ports"][0].split(":") for service in opened.values()]
    assert {inside for _, inside in published} == {str(remote_docker.PORT)}
    assert len({outside for outside, _ in published}) == len(opened)
