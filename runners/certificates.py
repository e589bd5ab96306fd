"""A runner's side of mutual TLS: three files in a folder, named as in a Kubernetes TLS secret."""

import hashlib
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import grpc

from runner_api.v1 import wire

FILES = ("ca.crt", "tls.crt", "tls.key")

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


class CertificateError(Exception):
    """The folder's files cannot be used; the message is one line."""


@dataclass(frozen=True)
class Certificates:
    """What a runner proves itself by, and the authority of those who may call it: PEM, read from `folder`."""

    folder: Path
    authority: bytes
    certificate: bytes
    key: bytes

    @classmethod
    def read(cls, folder: Path) -> "Certificates":
        """The files `ca.crt`, `tls.crt` and `tls.key` of `folder`.

        Raises:
            CertificateError: one is missing, cannot be read or is not what its name says.
        """
        authority, certificate, key = (folder / name for name in FILES)
        try:
            # Parsed here because gRPC says nothing of a file that it cannot use and refuses every caller instead.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_verify_locations(authority)
            context.load_cert_chain(certificate, key, password=lambda: b"")
            return cls(folder, authority.read_bytes(), certificate.read_bytes(), key.read_bytes())
        except OSError as error:  # ssl.SSLError is one
            remedy = "'portbench certs issue NAME' makes a folder with ca.crt, tls.crt and tls.key"
            raise CertificateError(f"the certificates in {folder} cannot be used ({error}); {remedy}") from error

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the runner's own certificate, as `openssl x509 -fingerprint -sha256` writes it."""
        return _sha256(self.certificate).hex(":").upper()

    def server_credentials(self) -> grpc.ServerCredentials:
        """For a server that answers only those whom the authority certifies; renewed files hold from the next call.

        gRPC 1.85 ends the process when it is told new files while others shake hands, even if they are the same (seen
        with 1,000 who connect at once). So it is told of each renewal once, and else nothing.
        """
        told, seen, lock = self, _written(self.folder), threading.Lock()

        def renewed() -> grpc.ServerCertificateConfiguration | None:
            nonlocal told, seen
            with lock, suppress(CertificateError):  # they are being copied
                if (now := _written(self.folder)) != seen:
                    before, told = told, Certificates.read(self.folder)
                    seen = now
                    return told._configuration() if told != before else None
            return None

        return grpc.dynamic_ssl_server_credentials(
            self._configuration(),
            renewed,  # type: ignore[arg-type]  # the stubs do not know that it may give None
            require_client_authentication=True,
        )

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([(self.key, self.certificate)], self.authority)


def owner_of(context: grpc.ServicerContext) -> str:
    """Whose call it is: the SHA-256 of the caller's certificate, or one name for all who need none."""
    certificates = context.auth_context().get("x509_pem_cert")
    # The stubs do not know that there may be several values.
    return _sha256(certificates[0]).hex() if certificates else wire.LOCAL_OWNER  # type: ignore[arg-type]


def _sha256(certificates: bytes) -> bytes:
    """Of the first certificate, PEM."""
    text = certificates.decode(errors="replace")
    first = text[text.index(_BEGIN) : text.index(_END)] + _END
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).digest()


def _written(folder: Path) -> list[tuple[int, int]]:
    """Changes when a file does."""
    with suppress(OSError):
        told = [(folder / name).stat() for name in FILES]
        return [(each.st_mtime_ns, each.st_ino) for each in told]
    return []
