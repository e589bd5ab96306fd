"""`python -m benchmarks [NAME ...] [--out FILE]`: runs benchmarks and prints them with the machine's description."""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import artifacts, comparisons, crowd, hosts, page, queries, scale, trials
from benchmarks.machine import description

BENCHMARKS = {
    "trials": trials.run,
    "artifacts": artifacts.run,
    "queries": queries.run,
    "scale": scale.run,
    "page": page.run,
    "hosts": hosts.run,
    "crowd": crowd.run,
    "comparisons": comparisons.run,
}


def main() -> None:
    """One JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all without one")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the JSON goes as well")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {min(unknown)!r}; choose from {', '.join(BENCHMARKS)}")
    results = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": description(),
        "benchmarks": {name: BENCHMARKS[name]() for name in arguments.names or BENCHMARKS},
    }
    text = json.dumps(results, indent=2)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
