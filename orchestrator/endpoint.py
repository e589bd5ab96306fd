"""Where a runner listens and how it is spoken to: in plain text on this machine, else over mutual TLS."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from orchestrator import addresses
from runner_api.v1.wire import MESSAGE_BYTES

KEEPALIVE_S = 30.0
"""While a call is under way on a network, how often the far end is asked for a sign of life: a cut cable says nothing.

A trial on another machine may meet one such ping, which its server answers below Python in some microseconds.
"""
KEEPALIVE_TIMEOUT_S = 15.0
"""After which the connection counts as broken."""


@dataclass(frozen=True)
class Endpoint:
    """What a channel to a runner is opened with.

    Args:
        target: a gRPC target, "unix:PATH" or "HOST:PORT".
        certs: folder of `ca.crt`, `tls.crt` and `tls.key`, by which the orchestrator and the runner know each other;
            None for plain text.
        certificate_name: the name that the runner's certificate must have; None for the target's host.
    """

    target: str
    certs: Path | None = None
    certificate_name: str | None = None

    @classmethod
    def from_texts(cls, texts: dict[str, str | None]) -> "Endpoint":
        """What `as_texts` was of, in another process."""
        certs = texts["certs"]
        return cls(texts["target"] or "", Path(certs) if certs else None, texts["certificate_name"])

    def as_texts(self) -> dict[str, str | None]:
        """The fields, for a process that gets them as JSON."""
        certs = str(self.certs) if self.certs else None
        return {"target": self.target, "certs": certs, "certificate_name": self.certificate_name}

    @property
    def host(self) -> str:
        """The target's, without the brackets of an IPv6 address."""
        return addresses.split(self.target)[0]

    @property
    def port(self) -> int:
        """The target's."""
        return addresses.split(self.target)[1]

    def open(self, options: Sequence[tuple[str, Any]] = ()) -> grpc.Channel:
        """A channel, which connects when it is first used, and never through a proxy."""
        bounded = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", MESSAGE_BYTES)]
        options = [*options, *bounded, *self._keepalive()]
        if self.certs is None:
            return grpc.insecure_channel(self.target, options=options)
        authority, certificate, key = ((self.certs / name).read_bytes() for name in ("ca.crt", "tls.crt", "tls.key"))
        named = [("grpc.ssl_target_name_override", self.certificate_name)] if self.certificate_name else []
        credentials = grpc.ssl_channel_credentials(authority, key, certificate)
        return grpc.secure_channel(self.target, credentials, options=[*options, *named])

    def _keepalive(self) -> list[tuple[str, Any]]:
        """Nothing on a Unix socket, of whose end the kernel tells."""
        if self.target.startswith("unix:"):
            return []
        return [
            ("grpc.keepalive_time_ms", int(KEEPALIVE_S * 1e3)),
            ("grpc.keepalive_timeout_ms", int(KEEPALIVE_TIMEOUT_S * 1e3)),
            ("grpc.http2.max_pings_without_data", 0),
        ]
