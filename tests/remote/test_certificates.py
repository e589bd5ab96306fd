"""`portbench certs`: what it writes, and what it will not do twice."""

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import certificates
from orchestrator.certificates import Authority
from orchestrator.errors import UsageError


def portbench(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from orchestrator.cli import main; main()", "certs", *arguments]
    environment = {"PORTBENCH_AUTHORITY": str(folder), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)


def test_an_authority_and_what_it_issues(tmp_path: Path) -> None:
    folder = tmp_path / "certs"
    assert portbench("init", folder=folder).returncode == 0
    issued = portbench("issue", "gpu-box", "10.0.0.7", "--days", "30", folder=folder)
    assert (issued.returncode, issued.stdout.startswith(f"{folder / 'gpu-box'}: valid until ")) == (0, True)
    assert sorted(file.name for file in (folder / "gpu-box").iterdir()) == ["ca.crt", "tls.crt", "tls.key"]
    for file in folder.rglob("*.key"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = portbench("init", folder=folder)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "every certificate issued so far depends on it" in again.stderr


@pytest.mark.skipif(shutil.which("openssl") is None, reason="OpenSSL's command is not installed")
def test_another_implementation_accepts_the_chain(tmp_path: Path) -> None:
    folder, _ = Authority.create(tmp_path).issue(["gpu-box", "10.0.0.7"])
    for purpose, code in (("sslserver", 0), ("sslclient", 2)):
        command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", str(folder / "ca.crt")]
        verified = subprocess.run([*command, str(folder / "tls.crt")], capture_output=True, check=False)
        assert verified.returncode == code, verified.stderr


@pytest.mark.parametrize("name", ["no name", "-dash", "../up", "a..b", certificates.AUTHORITY])
def test_what_is_no_name_of_a_host_gets_no_certificate(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        Authority.create(tmp_path).issue([name])
    assert [folder.name for folder in tmp_path.iterdir()] == [certificates.AUTHORITY]


def test_without_an_authority_nothing_is_issued(tmp_path: Path) -> None:
    ended = portbench("issue", "gpu-box", folder=tmp_path)
    assert (ended.returncode, "portbench certs init" in ended.stderr) == (2, True)


def test_an_orchestrator_whose_certificate_expired_is_told_how_to_renew_it(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path)
    authority.issue([certificates.ORCHESTRATOR], days=0)
    with pytest.raises(UsageError, match="portbench certs issue orchestrator"):
        certificates.orchestrators(tmp_path)
    authority.issue([certificates.ORCHESTRATOR])
    assert certificates.orchestrators(tmp_path) == tmp_path / certificates.ORCHESTRATOR
