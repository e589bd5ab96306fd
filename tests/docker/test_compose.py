"""compose.yaml starts the same runners under the same hardening as the launcher."""

from pathlib import Path

import yaml

from orchestrator.launch import container as container_module
from orchestrator.launch import docker as launcher_module
from orchestrator.runtimes import RUNNERS

COMPOSE = Path(__file__).parents[2] / "docker" / "compose.yaml"


def test_every_runner_that_lives_in_a_container_is_there_and_hardened() -> None:
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    kinds = {kind.name: kind for kind in RUNNERS.values() if kind.system is None and kind.devices == ("cpu",)}
    del kinds["known"]  # only the self-test wants it, and starts its own
    assert set(services) == set(kinds)
    for name, service in services.items():
        assert service["image"] == f"portbench/{kinds[name].image}"
        assert service["command"][:2] == ["--listen", f"unix:{launcher_module.SOCKET_FOLDER}/{name}.sock"]
        assert service["command"][2:] == ["--store", container_module.STORE]
        assert service["network_mode"] == "none"
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["pids_limit"] == container_module.PIDS_LIMIT
        assert service["mem_limit"] == service["memswap_limit"]
        assert service["tmpfs"] == [f"/tmp:size={container_module.TEMPORARY_BYTES >> 30}g,mode=1777"]
        assert service["init"] is True
        assert service["healthcheck"] == {"disable": True}
