"""What starts runners without a campaign: Compose files and Kubernetes manifests, written from the table of runners.

`make manifests` writes them from the templates in docker/templates/. They are committed: people use them as they are.
"""

import sys
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from orchestrator.runtimes import RUNNERS

FOLDER = Path(__file__).resolve().parents[2] / "docker"
_FIRST_PORT, _FIRST_PORT_FOR_GPUS = 50050, 50061
"""Of what Compose publishes; a runner keeps its port as long as no row is put before its own."""


def rendered() -> dict[str, str]:
    """Path below docker/ -> what that file has to be."""
    # Jinja's own escaping is for HTML; what goes in are names of our table.
    templates = Environment(loader=FileSystemLoader(FOLDER / "templates"), undefined=StrictUndefined)  # noqa: S701
    templates.keep_trailing_newline = True
    kinds = [kind for kind in RUNNERS.values() if kind.system in (None, "Linux") and kind.name != "known"]
    kinds.sort(key=lambda kind: (kind.needs_gpu, kind.name != "null"))  # in the table's order otherwise
    for_cpus, for_gpus = ([kind.name for kind in kinds if kind.needs_gpu == wanted] for wanted in (False, True))
    ports = {name: _FIRST_PORT + index for index, name in enumerate(for_cpus)}
    ports |= {name: _FIRST_PORT_FOR_GPUS + index for index, name in enumerate(for_gpus)}
    return {name: templates.get_template(name).render(kinds=kinds, ports=ports) for name in templates.list_templates()}


def main() -> int:
    """Writes them all."""
    for name, text in rendered().items():
        (FOLDER / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
