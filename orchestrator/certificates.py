"""A private authority that certifies the runners, by the names under which they are reached, and the orchestrator.

A folder has a subfolder for the authority (`ca.crt`, `ca.key`), which stays on the orchestrator's machine, and one for
each certificate that it issued (`ca.crt`, `tls.crt`, `tls.key`, the names of a Kubernetes TLS secret), of which a
runner's is copied to the runner. A runner's certificate is good for answering only: it cannot call other runners.
"""

import ipaddress
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from orchestrator import addresses
from orchestrator.errors import UsageError

ORCHESTRATOR = "orchestrator"
AUTHORITY = "authority"
AUTHORITY_DAYS = 3650
DEFAULT_DAYS = 365
SOON = timedelta(days=30)
"""A certificate that ends before is to be renewed."""
_BACKDATED = timedelta(minutes=10)
"""The clocks of two machines may differ by this much."""
_INIT = "make it with 'portbench certs init'"


def default_folder() -> Path:
    """PORTBENCH_AUTHORITY, else `~/.config/portbench/certs`."""
    setting = os.environ.get("PORTBENCH_AUTHORITY")
    return Path(setting) if setting else Path.home() / ".config" / "portbench" / "certs"


@dataclass(frozen=True)
class Told:
    """What is told of a certificate: until when it is valid, in UTC, and its SHA-256, as a runner prints it."""

    ends_at: datetime
    fingerprint: str

    @classmethod
    def of(cls, certificate: bytes) -> "Told":
        """PEM or DER.

        Raises:
            ValueError: it is no certificate.
        """
        is_pem = certificate.startswith(b"-----")
        read = (x509.load_pem_x509_certificate if is_pem else x509.load_der_x509_certificate)(certificate)
        return cls(read.not_valid_after_utc, read.fingerprint(hashes.SHA256()).hex(":").upper())


@dataclass(frozen=True)
class Issued:
    """A certificate with its key and its authority, PEM."""

    authority: bytes
    certificate: bytes
    key: bytes

    def files(self) -> dict[str, bytes]:
        """By the names that a runner and the orchestrator look for."""
        return {"ca.crt": self.authority, "tls.crt": self.certificate, "tls.key": self.key}

    @property
    def told(self) -> Told:
        """Of the certificate."""
        return Told.of(self.certificate)


class Authority:
    """The one whose certificates the orchestrator and its runners accept.

    Args:
        folder: in which it has its own subfolder.

    Raises:
        UsageError: there is none yet, or its files cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        certificate, key = folder / AUTHORITY / "ca.crt", folder / AUTHORITY / "ca.key"
        if not certificate.exists():
            raise UsageError(f"there is no authority in {folder}; {_INIT}")
        try:
            self._certificate = x509.load_pem_x509_certificate(certificate.read_bytes())
            loaded = serialization.load_pem_private_key(key.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(
                f"the authority in {folder} cannot be used ({error}); restore its files, or remove the folder and "
                f"{_INIT}, then issue every certificate anew"
            ) from None
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise UsageError(f"the authority in {folder} was not made by portbench; remove the folder and {_INIT}")
        self._key = loaded

    @classmethod
    def create(cls, folder: Path) -> "Authority":
        """A new authority.

        Raises:
            UsageError: there is one already.
        """
        own = folder / AUTHORITY
        if own.exists():
            raise UsageError(
                f"{own} exists; every certificate issued so far depends on it. To begin anew, remove {folder}"
            )
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "portbench authority")])
        certificate = (
            _builder(name, name, key.public_key(), AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        _write(own, {"ca.crt": _pem(certificate), "ca.key": _key_pem(key)})
        return cls(folder)

    def certify(self, names: Sequence[str], days: int = DEFAULT_DAYS) -> Issued:
        """A runner's certificate for the host names and IP addresses `names`, or that of the orchestrator.

        Raises:
            UsageError: a name is no host name and no address, the orchestrator's stands beside others, or the
                certificate would outlast the authority.
        """
        calls = ORCHESTRATOR in names
        if calls and len(names) > 1:
            raise UsageError(f"'{ORCHESTRATOR}' is who calls the runners and has no other names; issue it alone")
        left = (self._certificate.not_valid_after_utc - datetime.now(UTC)).days
        if days > left:
            raise UsageError(f"{days} days are more than the authority itself has left, {left}; ask for fewer")
        role = ExtendedKeyUsageOID.CLIENT_AUTH if calls else ExtendedKeyUsageOID.SERVER_AUTH
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
        certificate = (
            _builder(subject, self._certificate.subject, key.public_key(), days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([role]), critical=False)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Issued(_pem(self._certificate), _pem(certificate), _key_pem(key))

    def issue(self, names: Sequence[str], days: int = DEFAULT_DAYS) -> tuple[Path, Issued]:
        """`certify`, into a subfolder with the first name; one that is there is renewed.

        Raises:
            UsageError: as `certify`; or the first name is the authority's own.
        """
        folder = names[0].lower()  # for some file systems that is the same
        if folder == AUTHORITY or folder == ORCHESTRATOR != names[0]:
            raise UsageError(f"'{names[0]}' is a folder of portbench's own; give the host name of the runner")
        issued = self.certify(names, days)
        _write(self._folder / names[0], issued.files())
        return self._folder / names[0], issued


def orchestrators(folder: Path) -> Path:
    """The folder of the orchestrator's own certificate, which `init` issued.

    Raises:
        UsageError: there is none, its files do not belong together, or it is not valid now.
    """
    own = folder / ORCHESTRATOR
    remedy = f"make it with 'portbench certs issue {ORCHESTRATOR}'" if (folder / AUTHORITY).exists() else _INIT
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(own / "ca.crt")
        context.load_cert_chain(own / "tls.crt", own / "tls.key", password=lambda: b"")
        ends_at = Told.of((own / "tls.crt").read_bytes()).ends_at
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise UsageError(f"the orchestrator has no certificate in {own} that can be used ({error}); {remedy}") from None
    if ends_at < datetime.now(UTC):
        raise UsageError(f"the orchestrator's certificate in {own} expired on {ends_at:%Y-%m-%d}; {remedy}")
    return own


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        host = addresses.host(name)
    except ValueError as error:
        raise UsageError(f"{error}; give what the inventory will say") from None
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    form, unencrypted = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, unencrypted)


def _write(folder: Path, files: dict[str, bytes]) -> None:
    """Each file in one step, for the owner alone from the first moment."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, content in files.items():
            new = folder / f"{name}.new"
            new.unlink(missing_ok=True)
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
            new.replace(folder / name)
    except OSError as error:
        raise UsageError(
            f"certificates cannot be written: {error}; set PORTBENCH_AUTHORITY to another folder"
        ) from None
