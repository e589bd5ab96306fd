"""`python -m benchmarks.callers HOST:PORT CERTS SILENT CALLING`: a crowd of connections to a runner over mutual TLS.

Each stays until standard input ends: SILENT ones that greet and say nothing more, and CALLING ones, each of which asks
something every few seconds. Prints a line once all are there, and a JSON object with what became of them at the end.
"""

import asyncio
import json
import random
import ssl
import sys
from collections import Counter
from pathlib import Path

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from orchestrator import addresses
from runner_api.v1 import runner_pb2 as api
from runner_api.v1 import runner_pb2_grpc

PERIOD_S = 5.0
_TIMEOUT_S = 30.0
_ARRIVING = 50
"""Handshakes at once."""
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" + b"\0\0\0\4\1\0\0\0\0"
"""HTTP/2's preface, our settings, and that theirs are accepted (RFC 9113)."""
_UNKNOWN = "0" * 64


async def crowd(address: str, certs: Path, silent: int, calling: int) -> dict[str, int]:
    """Connections that held until the end, by kind, and calls by their status."""
    arriving = asyncio.Semaphore(_ARRIVING)
    quiet = await asyncio.gather(*(_silent(address, certs, arriving) for _ in range(silent)))
    channels = await asyncio.gather(*(_connected(address, certs, arriving) for _ in range(calling)))
    print("all are there", flush=True)
    statuses: Counter[str] = Counter()
    calls = [asyncio.create_task(_call(channel, statuses)) for channel in channels]
    await asyncio.to_thread(sys.stdin.read)
    for task in calls:
        task.cancel()
    held = sum(not reader.at_eof() for reader, _ in quiet)
    held += sum(channel.get_state() is grpc.ChannelConnectivity.READY for channel in channels)
    return {"connections": held, **{f"calls_{status.lower()}": count for status, count in sorted(statuses.items())}}


async def _silent(
    address: str, certs: Path, arriving: asyncio.Semaphore
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.create_default_context(cafile=certs / "ca.crt")
    context.load_cert_chain(certs / "tls.crt", certs / "tls.key")
    context.set_alpn_protocols(["h2"])
    async with arriving:
        reader, writer = await asyncio.open_connection(*addresses.split(address), ssl=context)
        writer.write(_GREETING)
        await writer.drain()
        return reader, writer


async def _connected(address: str, certs: Path, arriving: asyncio.Semaphore) -> grpc.aio.Channel:
    authority, certificate, key = ((certs / name).read_bytes() for name in ("ca.crt", "tls.crt", "tls.key"))
    own_connection = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    credentials = grpc.ssl_channel_credentials(authority, key, certificate)
    channel = grpc.aio.secure_channel(address, credentials, options=own_connection)
    async with arriving:
        await channel.channel_ready()
    return channel


async def _call(channel: grpc.aio.Channel, statuses: "Counter[str]") -> None:
    """One question after the other: some that are answered, and one that is refused."""
    runner, health = runner_pb2_grpc.RunnerStub(channel), health_pb2_grpc.HealthStub(channel)
    measure = api.MeasureRequest(
        session=api.Session(artifact_sha256=_UNKNOWN, threads=1),
        kind=api.TRIAL_KIND_TIMING,
        inputs_sha256=_UNKNOWN,
        batch_size=1,
        timeout_ns=10**9,
    )
    questions = [
        (health.Check, health_pb2.HealthCheckRequest()),  # type: ignore[attr-defined]
        (runner.Describe, api.DescribeRequest()),
        (runner.Measure, measure),
    ]
    await asyncio.sleep(random.uniform(0, PERIOD_S))  # noqa: S311 - no secret
    while True:
        method, request = random.choice(questions)  # noqa: S311
        statuses[(await method(request, timeout=_TIMEOUT_S).code()).name] += 1
        await asyncio.sleep(PERIOD_S)


def main() -> None:
    """Prints."""
    address, certs, silent, calling = sys.argv[1:]
    print(json.dumps(asyncio.run(crowd(address, Path(certs), int(silent), int(calling)))), flush=True)


if __name__ == "__main__":
    main()
