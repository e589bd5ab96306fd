"""One TLS handshake with a runner before gRPC's own, which would not say why it fails."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from datetime import datetime

from orchestrator.certificates import expiry
from orchestrator.endpoint import Endpoint

TIMEOUT_S = 5.0
_EXPIRED, _NOT_YET_VALID, _OTHER_NAME, _OTHER_ADDRESS = 10, 9, 62, 64
"""X509_V_ERR_... of OpenSSL, the `verify_code` of Python's ssl."""
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
"""How an HTTP/2 client begins (RFC 9113, 3.4), with empty settings; a server answers with its own."""
_TLS_ALERT = b"\x15"


class HandshakeError(Exception):
    """Why no connection comes about; the message is what follows "the runner at ADDRESS"."""


def greet(endpoint: Endpoint) -> datetime | None:
    """Connects to a HOST:PORT as gRPC will; returns until when the runner's certificate is valid, None without one.

    Raises:
        HandshakeError: the name does not resolve, nobody answers, or one side does not accept the other.
    """
    with _failing(endpoint), socket.create_connection((endpoint.host, endpoint.port), TIMEOUT_S) as connection:
        if endpoint.certs is None:
            connection.sendall(_PREFACE)
            if connection.recv(1) in (b"", _TLS_ALERT):
                raise HandshakeError("speaks TLS; leave out 'plaintext: true'")
            return None
        name = endpoint.certificate_name or endpoint.host
        with _context(endpoint).wrap_socket(connection, server_hostname=name) as secured:
            certificate = secured.getpeercert(binary_form=True) or b""
            # In TLS 1.3 the runner judges our certificate after the handshake: its first bytes are HTTP/2 or an alert.
            if not secured.recv(1):
                raise HandshakeError(f"ends the connection; {_REFUSED_REMEDY}")
            return expiry(certificate)


_REFUSED_REMEDY = "its ca.crt must be of the authority that certified this orchestrator; copy its folder there anew"


def _context(endpoint: Endpoint) -> ssl.SSLContext:
    assert endpoint.certs is not None  # noqa: S101  asked by the caller
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(endpoint.certs / "ca.crt")
    context.load_cert_chain(endpoint.certs / "tls.crt", endpoint.certs / "tls.key")
    context.set_alpn_protocols(["h2"])
    return context


@contextlib.contextmanager
def _failing(endpoint: Endpoint) -> Iterator[None]:
    """Makes what goes wrong a HandshakeError, with what to do."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise HandshakeError(_distrust(error, endpoint)) from None
    except ssl.SSLError as error:
        raise HandshakeError(_refusal(error)) from None
    except socket.gaierror as error:
        raise HandshakeError(f"cannot be found: the name does not resolve ({error.strerror}); correct it") from None
    except TimeoutError:
        remedy = "is the machine up, and does a firewall stand in between?"
        raise HandshakeError(f"does not answer within {TIMEOUT_S:g} s; {remedy}") from None
    except OSError as error:
        words = error.strerror or type(error).__name__
        raise HandshakeError(f"cannot be reached ({words}); is a runner started there?") from None


def _distrust(error: ssl.SSLCertVerificationError, endpoint: Endpoint) -> str:
    name = endpoint.certificate_name or endpoint.host
    issue = f"issue one with 'portbench certs issue {name}' and copy its folder there"
    if error.verify_code == _EXPIRED:
        return f"has a certificate that has expired; {issue}"
    if error.verify_code == _NOT_YET_VALID:
        return "has a certificate that is not valid yet; set the clocks of the two machines"
    if error.verify_code in (_OTHER_NAME, _OTHER_ADDRESS):
        return f"has a certificate for another name than {name}; {issue}"
    return f"has a certificate of another authority than this orchestrator's ({error.verify_message}); {issue}"


def _refusal(error: ssl.SSLError) -> str:
    reason = (error.reason or "").lower().replace("_", " ")
    if "alert" in reason:
        return f"refuses this orchestrator's certificate ({reason}); {_REFUSED_REMEDY}"
    return f"does not speak TLS ({reason or error}); start it with --certs"
