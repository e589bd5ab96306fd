"""What is in the images, what is not, and how they are built."""

import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

import docker
import pytest

from orchestrator.errors import CaseFailure, UsageError
from orchestrator.launch import images
from tests.requirements import distributions, packages

pytestmark = pytest.mark.docker

SOCKET = "unix:/run/portbench/runner.sock"
FRAMEWORKS = {image: packages(image) for image in images.common()}
ALL_FRAMEWORKS = sorted(set().union(*FRAMEWORKS.values()))

# Frameworks that are there are looked up only: importing them all takes a minute.
PROBE = f"""
import importlib, importlib.util, json
from runner_api.v1 import runner_pb2, runner_pb2_grpc
found = [name for name in {ALL_FRAMEWORKS} if importlib.util.find_spec(name)]
refused = {{}}
for name in {ALL_FRAMEWORKS}:
    if name not in found:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            refused[name] = str(error)
print(json.dumps([found, refused, runner_pb2_grpc.RunnerStub.__module__]))
"""


def read(engine: docker.DockerClient, reference: str, path: str) -> bytes:
    """A file of an image. Of what a container prints, the engine may lose a last line that does not end."""
    container = engine.containers.create(reference)
    try:
        chunks, _ = container.get_archive(path)
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            member = archive.extractfile(Path(path).name)
            assert member
            return member.read()
    finally:
        container.remove()


@pytest.mark.parametrize("image", FRAMEWORKS)
def test_image_has_the_stubs_and_only_its_own_framework(
    engine: docker.DockerClient, references: dict[str, str], image: str
) -> None:
    output = engine.containers.run(
        references[image], ["-c", PROBE], entrypoint="python", network_mode="none", read_only=True, remove=True
    )
    found, refused, stubs = json.loads(output)
    assert set(found) == FRAMEWORKS[image]
    assert set(refused) == set(ALL_FRAMEWORKS) - FRAMEWORKS[image]
    assert stubs == "runner_api.v1.runner_pb2_grpc"


@pytest.mark.parametrize("image", FRAMEWORKS)
def test_image_has_labels_health_check_and_a_user_other_than_root(
    engine: docker.DockerClient, references: dict[str, str], image: str
) -> None:
    configuration = engine.images.get(references[image]).attrs["Config"]
    labels = configuration["Labels"]
    assert labels["org.opencontainers.image.version"] not in ("", "unknown")
    bill = json.loads(read(engine, references[image], labels["portbench.sbom"]))
    assert bill["bomFormat"] == "CycloneDX"
    listed = {re.sub(r"[-_.]+", "-", part["name"]).lower() for part in bill["components"]}
    assert listed >= set(distributions(image)) | {"grpcio", "protobuf"}
    # An image may come from a copy without history.
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", labels["org.opencontainers.image.revision"])
    assert configuration["User"] == "10001:10001"
    assert configuration["Healthcheck"]["Test"] == ["CMD", "python", "-m", "runners.health", SOCKET]


@pytest.mark.parametrize("image", FRAMEWORKS)
def test_image_holds_no_compiler_no_cache_and_nothing_of_the_build(
    engine: docker.DockerClient, references: dict[str, str], image: str
) -> None:
    look = (
        "command -v gcc cc g++ c++ clang make;"
        "ls -d /opt/venv/bin/pip* /opt/venv/lib/python3.11/site-packages/pip;"
        "ls -d /build /root/.cache /tmp/* /opt/portbench/orchestrator;"
        "find / -xdev -name authorities.pem;"
        "find /opt /tmp /var -name '*.whl'"
    )
    output = engine.containers.run(
        references[image], ["-c", f"{{ {look}; }} 2> /dev/null; true"], entrypoint="sh", user="0", remove=True
    )
    assert output.decode().split() == []


def test_healthcheck_of_the_image_turns_healthy(engine: docker.DockerClient, references: dict[str, str]) -> None:
    since = int(time.time())
    container = engine.containers.run(
        references["null"],
        detach=True,
        network_mode="none",
        healthcheck={"interval": 500_000_000, "timeout": 10_000_000_000, "retries": 20},
    )
    try:
        wanted = {"container": container.id, "event": "health_status"}
        events = engine.events(decode=True, since=since, filters=wanted)
        assert next(iter(events))["status"] == "health_status: healthy"
    finally:
        container.remove(force=True)


def test_nothing_is_built_again_when_nothing_changed(references: dict[str, str]) -> None:
    built: list[str] = []
    assert images.build("null", built.append) == references["null"]
    assert built == []


def test_name_changes_with_what_goes_in(tmp_path: Path) -> None:
    file = tmp_path / "server.py"
    file.write_text("a = 1")
    recipe = images.Recipe("null", "1.0", "base", "sha256:1", {"runners/server.py": file})
    name = recipe.reference()
    assert name.startswith("portbench/null:")
    assert recipe.reference() == name
    file.write_text("a = 2")
    assert recipe.reference() != name


def test_only_wheels_that_the_requirements_name_go_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requirements = tmp_path / "some.txt"
    requirements.write_text("# locked\ntorch==2.13.0\nMarkupSafe==3.0.4\n")
    tag = "cp311-cp311-linux_x86_64.whl"
    wanted = {f"torch-2.13.0+cpu-{tag}", f"markupsafe-3.0.4-{tag}"}
    for name in (*wanted, f"torch-2.12.0-{tag}", f"keras-3.15.1-{tag}", "broken.whl"):
        (tmp_path / name).touch()
    monkeypatch.setenv("PORTBENCH_WHEELS", str(tmp_path))
    assert {wheel.name for wheel in images._wheels(requirements)} == wanted


def test_certificates_and_wheels_are_looked_for_only_where_they_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTBENCH_CERTS", "")
    assert images._certificates() == {}
    for variable, look in (("PORTBENCH_CERTS", images._certificates), ("PORTBENCH_WHEELS", images._wheel_folders)):
        monkeypatch.setenv(variable, "/does/not/exist")
        with pytest.raises(UsageError, match=f"{variable}=/does/not/exist: there is no such folder"):
            look()


def test_unknown_image_and_unknown_base_are_one_line(
    engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert images.main(["tvm"]) == 2
    monkeypatch.setenv("PORTBENCH_BASE_IMAGE", "localhost:1/none:none")
    assert images.main(["null"]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("Error: there is no image 'tvm'; choose from coreml-reference, keras, keras-cuda, ")
    assert second.startswith("Error: the base image localhost:1/none:none cannot be fetched; name an image")


def test_failed_build_says_what_the_command_said(
    engine: docker.DockerClient, references: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    requirements = tmp_path / "null.txt"
    requirements.write_text("portbench-no-such-package==1\n")
    recipe = images._recipe("null")
    recipe.contents["docker/requirements/null.txt"] = requirements
    monkeypatch.setenv("PIP_INDEX_URL", "file:///nowhere")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where the log of a failed build stays
    with pytest.raises(CaseFailure, match="portbench-no-such-package==1") as caught:
        images._run_build(recipe, "portbench/null:fails")
    assert "\n" not in caught.value.message
    (log,) = tmp_path.glob("portbench-build-*.log")
    assert caught.value.message.endswith(f"(all of it: {log})")


def _client_with_buildkit() -> str | None:
    """The first client on PATH that has BuildKit, in itself or as its plug-in."""
    folders = os.environ["PATH"].split(os.pathsep)
    for client in filter(None, (shutil.which("docker", path=folder) for folder in folders)):
        trial = subprocess.run(
            [client, "build", "--quiet", "-"],
            input=b"FROM scratch\nLABEL probe=1\n",
            env=os.environ | {"DOCKER_BUILDKIT": "1"},
            capture_output=True,
            check=False,
        )
        if trial.returncode == 0:
            return client
    return None


@pytest.mark.parametrize("buildkit", ["0", "1"], ids=["classic", "buildkit"])
def test_builds_with_either_builder(
    engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, buildkit: str
) -> None:
    client = _client_with_buildkit() if buildkit == "1" else shutil.which("docker")
    if client is None:
        pytest.fail("no docker client on PATH has BuildKit; install docker.io or docker-buildx")
    monkeypatch.setenv("PATH", str(Path(client).parent), prepend=os.pathsep)
    monkeypatch.setenv("DOCKER_BUILDKIT", buildkit)
    reference = f"portbench/null:either-builder-{buildkit}"
    try:
        images._run_build(images._recipe("null"), reference)
        output = engine.containers.run(
            reference,
            ["-c", "import grpc, runner_api.v1.runner_pb2_grpc; print('ok')"],
            entrypoint="python",
            remove=True,
        )
        assert output.split() == [b"ok"]
    finally:
        engine.images.remove(reference, force=True)
