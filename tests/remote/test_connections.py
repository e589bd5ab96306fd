"""Runners over mutual TLS, and each way in which two sides do not accept each other: one line, and the others go on."""

import asyncio
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
import yaml

from orchestrator import addresses
from orchestrator.certificates import ORCHESTRATOR, Authority, orchestrators
from orchestrator.endpoint import Endpoint
from orchestrator.errors import UsageError
from orchestrator.fleet import spread
from orchestrator.inventory import Inventory, load_inventory
from orchestrator.launch.process import ProcessLauncher
from orchestrator.runtimes import RUNTIMES
from orchestrator.survey import Offer, survey
from runner_api.v1 import runner_pb2 as api
from runner_api.v1 import runner_pb2_grpc
from runner_api.v1.wire import CONTRACT_VERSION
from runners.measure import cuda
from tests.remote.conftest import listening


def offers(folder: Path, *hosts: dict[str, object]) -> list[Offer]:
    file = folder / "inventory.yaml"
    file.write_text(yaml.safe_dump({"hosts": [{"runners": ["null"]} | host for host in hosts]}))
    return survey(spread(load_inventory(file, RUNTIMES)), ProcessLauncher())


def test_a_runner_is_reached_by_each_of_its_names_until_its_certificate_ends(
    authority: Authority, tmp_path: Path
) -> None:
    folder, issued = authority.issue(["localhost", "127.0.0.1", "runner.example"], days=7)
    with listening(folder) as address:
        port = address.rpartition(":")[2]
        found = offers(
            tmp_path,
            {"name": "by name", "address": f"localhost:{port}"},
            {"name": "by address", "address": f"127.0.0.1:{port}"},
            {"name": "forwarded", "address": f"127.0.0.1:{port}", "certificate_name": "runner.example"},
        )
    assert [offer.problem for offer in found] == [None] * 3
    assert {(offer.isolation, offer.health) for offer in found} == {("remote", "serving")}
    assert {offer.certificate for offer in found} == {issued.told}


def test_a_renewed_certificate_holds_without_a_new_start(authority: Authority, tmp_path: Path) -> None:
    folder, _ = authority.issue(["localhost"], days=1)
    with listening(folder) as address:
        here: dict[str, object] = {"name": "here", "address": f"localhost:{address.rpartition(':')[2]}"}
        (before,) = offers(tmp_path, here)
        _, renewed = authority.issue(["localhost"], days=7)
        (after,) = offers(tmp_path, here)
    assert before.certificate != after.certificate == renewed.told


def test_many_who_connect_at_once_are_let_in_and_the_runner_lives(
    authority: Authority, authority_folder: Path, tmp_path: Path
) -> None:
    certs = orchestrators(authority_folder)
    context = ssl.create_default_context(cafile=certs / "ca.crt")
    context.load_cert_chain(certs / "tls.crt", certs / "tls.key")
    context.set_alpn_protocols(["h2"])

    async def connect_at_once(host: str, port: int) -> None:
        arriving = (asyncio.open_connection(host, port, ssl=context) for _ in range(300))
        for _, writer in await asyncio.gather(*arriving):
            writer.close()

    with listening(authority.issue(["127.0.0.1"])[0]) as address:
        host, port = addresses.split(address)
        with ThreadPoolExecutor(1) as pool:  # this thread may have a loop of another library's
            for _ in range(5):
                pool.submit(asyncio.run, connect_at_once(host, port)).result()
        (found,) = offers(tmp_path, {"name": "here", "address": address})
    assert found.problem is None


def test_a_service_is_as_many_hosts_as_it_has_addresses(authority: Authority, tmp_path: Path) -> None:
    folder, _ = authority.issue(["localhost"])
    with listening(folder) as address:
        port = address.rpartition(":")[2]
        (found,) = offers(tmp_path, {"name": "fleet", "service": f"localhost:{port}"})
    assert (found.host, found.problem) == ("fleet/127.0.0.1", None)


def _expired(authority: Authority, other: Authority) -> Path:
    return authority.issue(["localhost", "expired.example"], days=0)[0]


def _of_another_name(authority: Authority, other: Authority) -> Path:
    return authority.issue(["other.example"])[0]


def _of_another_authority(authority: Authority, other: Authority) -> Path:
    return other.issue(["localhost"])[0]


def _that_knows_another_authority(authority: Authority, other: Authority) -> Path:
    ours, theirs = authority.issue(["localhost"])[0], other.issue(["localhost"])[0]
    shutil.copy(theirs / "ca.crt", ours)
    return ours


@pytest.mark.parametrize(
    ("certified", "words"),
    [
        (_expired, "has expired; issue one with 'portbench certs issue localhost'"),
        (_of_another_name, "for another name than localhost"),
        (_of_another_authority, "of another authority"),
        (_that_knows_another_authority, "its ca.crt must be of the authority"),
    ],
)
def test_a_certificate_that_will_not_do_is_one_line_and_the_other_hosts_go_on(
    authority: Authority, tmp_path: Path, certified: Callable[[Authority, Authority], Path], words: str
) -> None:
    with listening(certified(authority, Authority.create(tmp_path / "other"))) as bad, listening(None) as good:
        wrong, right = offers(
            tmp_path,
            {"name": "bad", "address": f"localhost:{bad.rpartition(':')[2]}"},
            {"name": "good", "address": good, "plaintext": True},
        )
    assert words in (wrong.problem or "")
    assert "\n" not in (wrong.problem or "")
    assert right.problem is None


def test_plain_text_and_tls_do_not_mix(authority: Authority, tmp_path: Path) -> None:
    with listening(authority.issue(["127.0.0.1"])[0]) as secured, listening(None) as plain:
        to_tls, to_plain = offers(
            tmp_path,
            {"name": "plain to TLS", "address": secured, "plaintext": True},
            {"name": "TLS to plain", "address": plain},
        )
    assert "speaks TLS; leave out 'plaintext: true'" in (to_tls.problem or "")
    assert "does not speak TLS" in (to_plain.problem or "")


def test_what_is_not_there_is_told_apart(authority: Authority, tmp_path: Path) -> None:
    with listening(authority.issue(["127.0.0.1"])[0]) as null:
        nowhere, fleet, nobody, another = offers(
            tmp_path,
            {"name": "nowhere", "address": "no-such-host.invalid:1"},
            {"name": "fleet", "service": "no-such-service.invalid:1"},
            {"name": "nobody", "address": "127.0.0.1:1"},
            {"name": "another", "address": null, "runners": ["onnxruntime-cpu"]},
        )
    assert "the name does not resolve" in (nowhere.problem or "")
    assert "the name does not resolve" in (fleet.problem or "")
    assert "is a runner started there?" in (nobody.problem or "")
    assert "is one of null, not onnxruntime" in (another.problem or "")


def test_a_runner_of_another_contract_version_is_refused(tmp_path: Path) -> None:
    class Newer(runner_pb2_grpc.RunnerServicer):
        def Describe(self, *_: object) -> api.DescribeResponse:  # noqa: N802 - the contract's name
            return api.DescribeResponse(contract_version=CONTRACT_VERSION + 1, runtime="null")

    server = grpc.server(ThreadPoolExecutor(1))
    runner_pb2_grpc.add_RunnerServicer_to_server(Newer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    (found,) = offers(tmp_path, {"name": "newer", "address": f"127.0.0.1:{port}", "plaintext": True})
    server.stop(None)
    assert "install the same portbench on both sides" in (found.problem or "")


def test_a_runner_without_a_device_of_its_kind_is_told(authority: Authority, tmp_path: Path) -> None:
    if cuda.devices():
        pytest.skip("there is a GPU here")
    with listening(None, runtime="onnxruntime") as address:
        host = {"name": "box", "address": address, "plaintext": True, "runners": ["onnxruntime-cuda"]}
        (found,) = offers(tmp_path, host)
    assert "has cpu there, not cuda:0; is there a GPU" in (found.problem or "")


def test_without_certificates_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTBENCH_AUTHORITY", str(tmp_path))
    (found,) = offers(tmp_path, {"name": "far", "address": "127.0.0.1:1"})
    assert "needs mutual TLS" in (found.problem or "")
    assert "portbench certs init" in (found.problem or "")


def test_a_runner_answers_the_orchestrator_only(authority: Authority, authority_folder: Path) -> None:
    """Not one without a certificate, nor one with another runner's, which is for answering."""
    folder, _ = authority.issue(["localhost"])
    with listening(folder) as address:
        port = address.rpartition(":")[2]
        anonymous = grpc.ssl_channel_credentials((folder / "ca.crt").read_bytes())
        for channel in (
            Endpoint(f"localhost:{port}", folder).open(),
            grpc.secure_channel(f"localhost:{port}", anonymous),
        ):
            with channel, pytest.raises(grpc.RpcError) as raised:
                runner_pb2_grpc.RunnerStub(channel).Describe(api.DescribeRequest(), timeout=10)
            assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
        with Endpoint(f"localhost:{port}", authority_folder / ORCHESTRATOR).open() as channel:
            assert runner_pb2_grpc.RunnerStub(channel).Describe(api.DescribeRequest(), timeout=60).runtime == "null"


def test_certificates_that_cannot_be_used_end_a_runner_with_one_line(authority: Authority, tmp_path: Path) -> None:
    folder, _ = authority.issue(["localhost"])
    (folder / "tls.crt").unlink()
    command = [sys.executable, "-m", "runners", "null", "--listen", "0.0.0.0:0", "--store", str(tmp_path)]
    ended = subprocess.run([*command, "--certs", str(folder)], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert "'portbench certs issue NAME'" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ({"address": "no-port"}, "give HOST:PORT, [IPv6]:PORT or unix:PATH"),
        ({"address": "a..b:1"}, "is no host name and no IP address"),
        ({"address": "a:99999"}, "is not HOST:PORT"),
        ({"address": "::1:50051"}, "is not HOST:PORT"),
        ({"docker": "ssh://box:99999"}, "is no address of a Docker engine"),
        ({"docker": "tcp://[box]:1"}, "is no address of a Docker engine"),
        ({"plaintext": True}, "has no address for plaintext or"),
        ({"address": "a:1", "runners": [{"name": "null", "certificate_name": "b"}]}, "has no address for plaintext or"),
        ({"docker": "gpu-box"}, "give ssh://USER@HOST or tcp://HOST:PORT"),
        ({"docker": "ssh://box", "plaintext": True}, "has a Docker engine, which starts its runners"),
        ({"docker": "ssh://box", "address": "box:50051"}, "without a port"),
        ({"address": "a:1", "service": "b:1"}, "remove one"),
        ({"address": "a:1", "runners": ["null", "keras-cpu"]}, "give each runner its own"),
    ],
)
def test_a_host_that_cannot_be_meant_is_one_line(host: dict[str, object], words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        offers(tmp_path, {"name": "wrong"} | host)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_machine_with_addresses_of_both_families_is_one_host(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        (socket.AF_INET6, ("fd00::5", 1, 0, 0)),
        (socket.AF_INET, ("10.0.0.5", 1)),
        (socket.AF_INET, ("10.0.0.4", 1)),
    ]
    resolved = [(family, socket.SOCK_STREAM, 6, "", address) for family, address in found]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_named: resolved)
    fleet = {"name": "fleet", "service": "runners.example:1", "runners": ["null"]}
    hosts = spread(Inventory.model_validate({"hosts": [fleet]})).hosts
    assert [host.entries()[0].address for host in hosts] == ["10.0.0.4:1", "10.0.0.5:1"]
    assert {host.entries()[0].certificate_name for host in hosts} == {"runners.example"}
    clash = {"name": "fleet/10.0.0.4", "runners": ["null"]}
    with pytest.raises(UsageError, match="stands twice"):
        spread(Inventory.model_validate({"hosts": [fleet, clash]}))


def test_the_machine_of_an_engine_is_that_of_its_address_or_the_one_given() -> None:
    addresses = ["ssh://bench@gpu-box", "ssh://gpu-box:2222/run/docker.sock", "tcp://[fd00::1]:2376"]
    hosts = [{"name": str(number), "docker": at, "runners": ["null"]} for number, at in enumerate(addresses)]
    inventory = Inventory.model_validate({"hosts": [*hosts, hosts[0] | {"name": "other", "address": "10.0.0.7"}]})
    assert [host.machine for host in inventory.hosts] == ["gpu-box", "gpu-box", "fd00::1", "10.0.0.7"]
