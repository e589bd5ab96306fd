"""`python -m runners RUNTIME --listen ADDRESS [--store DIR] [--certs DIR]`: one runner."""

import argparse
import math
from contextlib import closing, suppress
from pathlib import Path

from runners.adapters import runtimes
from runners.certificates import CertificateError, Certificates
from runners.server import ListenError, serve
from runners.store import DEFAULT_LIMIT_BYTES, Store, StoreError


def main() -> None:
    """Parses and serves; what the caller got wrong is one line and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m runners", description="Measures artifacts with one runtime, on call."
    )
    parser.add_argument("runtime", choices=runtimes())
    parser.add_argument(
        "--listen",
        required=True,
        action="append",
        metavar="unix:PATH|HOST:PORT",
        help="where to answer; may be given more than once; beyond this machine it needs --certs",
    )
    parser.add_argument(
        "--certs", type=Path, metavar="DIR", help="mutual TLS with the folder's ca.crt, tls.crt and tls.key"
    )
    parser.add_argument(
        "--store",
        type=Path,
        metavar="DIR",
        help="where artifacts are kept; default: ~/.cache/portbench/runners/RUNTIME",
    )
    parser.add_argument(
        "--store-limit",
        type=_gibibytes,
        default=DEFAULT_LIMIT_BYTES,
        metavar="GIB",
        help="what artifacts may take of the disk before the least recently used are removed; "
        f"default: {DEFAULT_LIMIT_BYTES >> 30}",
    )
    parser.add_argument("--exit-on-stdin-eof", action="store_true", help="stop when standard input ends")
    arguments = parser.parse_args()
    try:
        certificates = Certificates.read(arguments.certs) if arguments.certs else None
        store = arguments.store or Path.home() / ".cache" / "portbench" / "runners" / arguments.runtime
        with closing(Store(store, arguments.store_limit)) as artifacts:
            serve(arguments.runtime, arguments.listen, artifacts, certificates, arguments.exit_on_stdin_eof)
    except (CertificateError, ListenError, StoreError, OSError, RuntimeError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


def _gibibytes(text: str) -> int:
    """Bytes."""
    with suppress(ValueError):
        if 0 < float(text) < math.inf:
            return int(float(text) * (1 << 30))
    raise argparse.ArgumentTypeError(f"{text!r} is no number of GiB above 0")


if __name__ == "__main__":
    main()
