"""A runner's side of mutual TLS: three files in a folder, named as in a Kubernetes TLS secret."""

import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

FILES = ("ca.crt", "tls.crt", "tls.key")


class CertificateError(Exception):
    """The folder's files cannot be used; the message is one line."""


@dataclass(frozen=True)
class Certificates:
    """What a runner proves itself by, and the authority of those who may call it; PEM."""

    authority: bytes
    certificate: bytes
    key: bytes

    @classmethod
    def read(cls, folder: Path) -> "Certificates":
        """The files `ca.crt`, `tls.crt` and `tls.key` of `folder`.

        Raises:
            CertificateError: one is missing, cannot be read or is not what its name says.
        """
        try:
            read = cls(*((folder / name).read_bytes() for name in FILES))
            # Parsed here because gRPC says nothing of a file that it cannot use and refuses every caller instead.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_verify_locations(folder / "ca.crt")
            context.load_cert_chain(folder / "tls.crt", folder / "tls.key", password=lambda: b"")
        except OSError as error:  # ssl.SSLError is one
            remedy = "'portbench certs issue NAME' makes a folder with ca.crt, tls.crt and tls.key"
            raise CertificateError(f"the certificates in {folder} cannot be used ({error}); {remedy}") from error
        return read

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the runner's own certificate, as `openssl x509 -fingerprint -sha256` writes it."""
        certificate = ssl.PEM_cert_to_DER_cert(_first(self.certificate.decode()))
        return hashlib.sha256(certificate).digest().hex(":").upper()

    def server_credentials(self) -> grpc.ServerCredentials:
        """For a server that answers only those whom the authority certifies."""
        return grpc.ssl_server_credentials(
            [(self.key, self.certificate)], root_certificates=self.authority, require_client_auth=True
        )


def _first(chain: str) -> str:
    end = "-----END CERTIFICATE-----"
    return chain[chain.index("-----BEGIN") : chain.index(end)] + end
