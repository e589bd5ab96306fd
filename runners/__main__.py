"""`python -m runners RUNTIME --listen ADDRESS --store DIR`: one runner."""

import argparse
from pathlib import Path

from runners.adapters import runtimes
from runners.server import ListenError, serve


def main() -> None:
    """Parses and serves; what the caller got wrong is one line and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m runners", description="Measures artifacts with one runtime, on call."
    )
    parser.add_argument("runtime", choices=runtimes())
    parser.add_argument(
        "--listen", required=True, metavar="unix:PATH|HOST:PORT", help="a Unix socket or a loopback address"
    )
    parser.add_argument("--store", required=True, type=Path, metavar="DIR", help="where artifacts are kept")
    parser.add_argument("--exit-on-stdin-eof", action="store_true", help="stop when standard input ends")
    arguments = parser.parse_args()
    try:
        serve(arguments.runtime, arguments.listen, arguments.store, arguments.exit_on_stdin_eof)
    except (ListenError, OSError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    main()
