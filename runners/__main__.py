"""`python -m runners RUNTIME --listen ADDRESS [--store DIR] [--certs DIR]`: one runner."""

import argparse
from pathlib import Path

from runners.adapters import runtimes
from runners.certificates import CertificateError, Certificates
from runners.server import ListenError, serve


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
    parser.add_argument("--exit-on-stdin-eof", action="store_true", help="stop when standard input ends")
    arguments = parser.parse_args()
    try:
        certificates = Certificates.read(arguments.certs) if arguments.certs else None
        store = arguments.store or Path.home() / ".cache" / "portbench" / "runners" / arguments.runtime
        serve(arguments.runtime, arguments.listen, store, certificates, arguments.exit_on_stdin_eof)
    except (CertificateError, ListenError, OSError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    main()
