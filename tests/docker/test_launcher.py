"""Containers as the launcher starts them, seen from the engine and from inside, and how they end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import docker
import docker.errors
import pytest
from docker.models.containers import Container

from orchestrator import scratch
from orchestrator.client import RunnerClient
from orchestrator.errors import CaseFailure, UsageError
from orchestrator.launch import container as container_module
from orchestrator.launch import docker as launcher_module
from orchestrator.launch import images
from orchestrator.launch.docker import DockerLauncher
from orchestrator.runtimes import RUNNERS, RunnerKind
from runners.sandbox import landlock_abi

pytestmark = pytest.mark.docker

IN_CONTAINERS = [kind for kind in RUNNERS.values() if kind.system in (None, "Linux") and not kind.needs_gpu]


ContainerOf = Callable[[str], Container]


def inside(runner: Container, command: str) -> str:
    """What the shell `command` prints in the container, as the runner's own user, and its exit code."""
    code, output = runner.exec_run(["sh", "-c", command])
    assert isinstance(output, bytes)
    return f"{output.decode().strip()}\nexit {code}".strip()


def is_gone(engine: docker.DockerClient, container: Container) -> bool:
    """Neither the container, running or not, nor its store is left."""
    try:
        engine.containers.get(container.id or "")
    except docker.errors.NotFound:
        stores = {mount["Name"] for mount in container.attrs["Mounts"] if mount["Type"] == "volume"}
        assert len(stores) == 1
        return stores.isdisjoint(volume.name for volume in engine.volumes.list())
    return False


def test_engine_enforces_every_hardening(null_runner: Container, engine: docker.DockerClient) -> None:
    attributes = null_runner.attrs
    host, configuration = attributes["HostConfig"], attributes["Config"]
    assert host["NetworkMode"] == "none"
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["Privileged"] is False
    assert 0 < host["PidsLimit"] <= 4096
    assert 0 < host["Memory"] < engine.info()["MemTotal"]
    assert host["MemorySwap"] in (host["Memory"], -1)  # -1: this kernel does not account swap
    assert host["Init"] is True
    assert host["AutoRemove"] is True
    assert [(limit["Name"], limit["Hard"]) for limit in host["Ulimits"]] == [("core", 0)]
    assert host["Tmpfs"] == {"/tmp": "size=1073741824,mode=1777"}
    assert {mount["Type"]: mount["Destination"] for mount in attributes["Mounts"]} == {
        "bind": "/run/portbench",
        "volume": "/var/lib/portbench",
    }
    assert configuration["Healthcheck"]["Test"] == ["NONE"]
    assert (configuration["OpenStdin"], configuration["StdinOnce"]) == (True, True)
    assert configuration["Labels"][container_module.LABEL] == "null"


def test_process_inside_has_no_rights_and_no_network(null_runner: Container) -> None:
    user = os.getuid() or 10001
    assert inside(null_runner, "id -u") == f"{user}\nexit 0"
    rights = inside(null_runner, "grep -hE '^(Uid|CapEff|CapBnd|NoNewPrivs):' /proc/[0-9]*/status | sort -u")
    assert rights.splitlines() == [
        "CapBnd:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "NoNewPrivs:\t1",
        f"Uid:\t{user}\t{user}\t{user}\t{user}",
        "exit 0",
    ]
    assert inside(null_runner, "ls /sys/class/net") == "lo\nexit 0"
    assert inside(null_runner, "tail -n +2 /proc/net/route") == "exit 0"
    assert inside(null_runner, "ulimit -c") == "0\nexit 0"
    landlock = "python -c 'from runners.sandbox import landlock_abi; print(landlock_abi())'"
    assert inside(null_runner, landlock) == f"{landlock_abi()}\nexit 0"  # the engine lets workers have it


def test_root_is_read_only_and_the_store_is_not(null_runner: Container) -> None:
    for folder in ("/", "/opt/portbench", "/opt/venv", "/home"):
        assert not inside(null_runner, f"touch {folder}/probe 2> /dev/null").endswith("exit 0")
    for folder in ("/tmp", "/run/portbench", "/var/lib/portbench"):
        assert inside(null_runner, f"touch {folder}/probe && rm {folder}/probe") == "exit 0"
    assert "size=1048576k" in inside(null_runner, "grep ' /tmp ' /proc/mounts")


@pytest.mark.parametrize("kind", IN_CONTAINERS, ids=lambda kind: kind.name)
def test_runner_describes_itself_and_is_gone_afterwards(
    engine: docker.DockerClient, container_of: ContainerOf, kind: RunnerKind
) -> None:
    with DockerLauncher().start(kind) as launched:
        container = container_of(launched.endpoint.target)
        assert launched.isolation == "docker"
        assert launched.image_digest == engine.images.get(images.build(kind.image)).id
        with RunnerClient(kind.name, launched.endpoint) as client:
            description = client.describe()
    assert description.runtime == kind.runtime
    assert set(description.formats) == (set() if kind.runtime == "null" else set(kind.formats))
    assert set(description.devices) >= set(kind.devices)
    assert is_gone(engine, container)
    assert not Path(launched.endpoint.target.removeprefix("unix:")).parent.exists()


def test_runner_is_gone_after_its_orchestrator_was_killed(
    engine: docker.DockerClient, container_of: ContainerOf
) -> None:
    script = (
        "import time\n"
        "from orchestrator.launch.docker import DockerLauncher\n"
        "from orchestrator.runtimes import RUNNERS as kinds\n"
        "with DockerLauncher().start(kinds['null']) as launched:\n"
        "    print(launched.endpoint.target, flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as orchestrator:
        try:
            assert orchestrator.stdout is not None
            target = orchestrator.stdout.readline().strip()
            container = container_of(target)
        finally:
            orchestrator.send_signal(signal.SIGKILL)
    eventually(lambda: is_gone(engine, container))
    with scratch.folder():
        pass  # the next one takes away what its own owner could not
    assert not Path(target.removeprefix("unix:")).parent.exists()


def eventually(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.1)


def test_container_that_dies_at_its_start_is_a_failure_with_its_last_words(
    engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = images.build("null")
    dockerfile = f'FROM {reference}\nENTRYPOINT ["python", "-m", "runners", "no-such-runtime"]\n'
    broken = "portbench/null:broken"
    engine.images.build(fileobj=BytesIO(dockerfile.encode()), tag=broken, rm=True)
    monkeypatch.setattr(images, "build", {"null": broken}.__getitem__)
    try:
        with pytest.raises(CaseFailure, match="no-such-runtime") as caught, DockerLauncher().start(RUNNERS["null"]):
            pass
        assert "\n" not in caught.value.message
        assert caught.value.message.startswith("the container of the runner null ended at its start: ")
    finally:
        engine.images.remove(broken, force=True)


def test_runner_for_a_gpu_without_one_is_refused_with_a_remedy(engine: docker.DockerClient) -> None:
    if "nvidia" in engine.info()["Runtimes"]:
        pytest.skip("this engine has the NVIDIA container toolkit")
    kind = replace(RUNNERS["null"], name="pytorch-cuda", devices=("cuda:0",))
    words = "NVIDIA's driver and the NVIDIA container toolkit"
    with pytest.raises(CaseFailure, match=words) as caught, DockerLauncher().start(kind):
        pass
    assert "\n" not in caught.value.message


def test_runner_that_compiles_may_load_what_it_compiled(container_of: ContainerOf) -> None:
    with DockerLauncher().start(replace(RUNNERS["null"], compiles=True)) as launched:
        options = inside(container_of(launched.endpoint.target), "grep ' /tmp ' /proc/mounts")
    assert "size=1048576k" in options
    assert "noexec" not in options


def test_runner_of_another_system_is_refused() -> None:
    kind = replace(RUNNERS["null"], name="coreml", system="Darwin")
    with pytest.raises(CaseFailure, match="coreml runs on macOS only"), DockerLauncher().start(kind):
        pass


def test_missing_engine_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    problem = launcher_module.problem()
    assert problem is not None
    assert "No such file or directory" in problem
    error = launcher_module.unusable(problem)
    assert isinstance(error, UsageError)
    assert "\n" not in str(error)
    monkeypatch.setenv("DOCKER_HOST", "ssh://elsewhere")
    assert launcher_module.problem() == "DOCKER_HOST=ssh://elsewhere is not a Unix socket of this machine"
