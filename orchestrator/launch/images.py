"""The runners' images: what goes into each, its name after that, and building those that are missing."""

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from orchestrator.artifacts import sha256_of
from orchestrator.errors import CaseFailure, Stage, Symptom, UsageError
from orchestrator.runtimes import RUNNERS

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "docker" / "requirements"
DEBIAN_CERTIFICATES = Path("/usr/local/share/ca-certificates")
TERMINAL_COLOUR = r"\x1b\[[\d;]*m"
# How the build stage reaches the package index, taken over from the environment.
FORWARDED = (
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)


@dataclass(frozen=True)
class Recipe:
    """All that decides what an image holds.

    `contents` maps paths in the build context to files; `base_id` is the base image's own identifier, because a name
    may come to mean another image.
    """

    image: str
    version: str
    base_image: str
    base_id: str
    contents: dict[str, Path]

    def reference(self) -> str:
        """`portbench/<image>:<hash of everything that goes in>`."""
        digests = {name: sha256_of(path) for name, path in sorted(self.contents.items())}
        recipe = json.dumps([self.image, self.version, self.base_id, digests]).encode()
        return f"portbench/{self.image}:{hashlib.sha256(recipe).hexdigest()[:16]}"


def names() -> tuple[str, ...]:
    """Every image that can be built: one for each requirements file of a runner that lives in containers."""
    elsewhere = {kind.image for kind in RUNNERS.values() if kind.system not in (None, "Linux")}
    return tuple(sorted({path.stem for path in REQUIREMENTS.glob("*.txt")} - elsewhere))


def common() -> tuple[str, ...]:
    """Those that every machine can use: the others have gigabytes of CUDA in them, and are built on demand."""
    for_gpus = {kind.image for kind in RUNNERS.values() if kind.needs_gpu}
    return tuple(name for name in names() if name not in for_gpus)


def build(image: str, on_build: Callable[[str], None] | None = None) -> str:
    """Builds the image unless it exists, and lets `portbench/<image>:latest` (for compose.yaml) mean it.

    Args:
        image: one of names().
        on_build: hears the reference before a build, which may take minutes.

    Returns:
        The reference under which an engine knows the image.

    Raises:
        CaseFailure: it cannot be built here; the message keeps the builder's own words.
        UsageError: there is no such image, or a setting in the environment is wrong.
    """
    if image not in names():
        known = ", ".join(names()) or "none: images are built from a checkout"
        raise UsageError(f"there is no image '{image}'; choose from {known}")
    recipe = _recipe(image)
    reference = recipe.reference()
    if not _exists(reference):
        if on_build:
            on_build(reference)
        _run_build(recipe, reference)
    _output(*_client(), "tag", reference, f"portbench/{image}:latest")
    return reference


def state(image: str) -> Literal["built", "stale", "missing"]:
    """Whether the engine has the image of this source, or of another one, or none; builds and fetches nothing.

    Raises:
        CaseFailure: what goes into the image cannot be told.
    """
    if not _exists(f"portbench/{image}:latest"):
        return "missing"
    return "built" if _exists(_recipe(image, "--here").reference()) else "stale"


def _recipe(image: str, *base: str) -> Recipe:
    """With `base` as arguments of docker/base-image."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    base_image = _output(str(ROOT / "docker" / "base-image"), *base)
    base_id = _output(*_client(), "image", "inspect", "--format={{.Id}}", base_image)
    return Recipe(image, version, base_image, base_id, _contents(image))


def _contents(image: str) -> dict[str, Path]:
    requirements = REQUIREMENTS / f"{image}.txt"
    files = [ROOT / "docker" / "Dockerfile", requirements, *(ROOT / "runners").rglob("*.py")]
    stubs = list((ROOT / "proto" / "runner_api").rglob("*.py"))
    if not any(stub.name.endswith("_pb2_grpc.py") for stub in stubs):
        raise _failure("the stubs of the contract are not generated; run 'make proto'")
    contents = {path.relative_to(ROOT).as_posix(): path for path in (*files, *stubs)}
    return contents | {f"docker/wheels/{wheel.name}": wheel for wheel in _wheels(requirements)}


def _wheels(requirements: Path) -> list[Path]:
    """Those wheels of the local folders that the requirements name."""
    wanted = list(filter(None, map(_requirement, requirements.read_text().splitlines())))
    wheels = (wheel for folder in _wheel_folders() for wheel in folder.glob("*.whl"))
    return [wheel for wheel in wheels if any(_satisfies(wheel, requirement) for requirement in wanted)]


def _requirement(line: str) -> Requirement | None:
    try:
        return Requirement(line.partition("#")[0])
    except InvalidRequirement:
        return None


def _satisfies(wheel: Path, requirement: Requirement) -> bool:
    try:
        name, version, _, _ = parse_wheel_filename(wheel.name)
    except InvalidWheelFilename:
        return False
    wanted = canonicalize_name(requirement.name)
    return name == wanted and requirement.specifier.contains(version, prereleases=True)


def _wheel_folders() -> list[Path]:
    """PORTBENCH_WHEELS, else the local folders where pip itself looks for wheels."""
    if (setting := os.environ.get("PORTBENCH_WHEELS")) is not None:
        return [_folder("PORTBENCH_WHEELS", setting)] if setting else []
    command = [sys.executable, "-m", "pip", "config", "list"]
    listing = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    settings = (line.partition("=") for line in listing.splitlines())
    values = (ast.literal_eval(value) for key, _, value in settings if key.endswith(".find-links"))
    links = [link for value in values for link in value.split()]
    folders = (Path(link.removeprefix("file://")) for link in dict.fromkeys(links))
    return [folder for folder in folders if folder.is_dir()]


def _certificates() -> dict[str, Path]:
    """The certificates to trust while packages are fetched.

    They are no part of the recipe: they decide whether packages arrive, not which.
    """
    setting = os.environ.get("PORTBENCH_CERTS")
    if setting == "":
        return {}
    folder = DEBIAN_CERTIFICATES if setting is None else _folder("PORTBENCH_CERTS", setting)
    return {f"docker/certificates/{number}.crt": path for number, path in enumerate(sorted(folder.rglob("*.crt")))}


def _folder(variable: str, setting: str) -> Path:
    if not Path(setting).is_dir():
        raise UsageError(f"{variable}={setting}: there is no such folder; correct or unset it")
    return Path(setting)


def _run_build(recipe: Recipe, reference: str) -> None:
    """Pipes the context to `docker build`, with whichever builder the client has."""
    context = recipe.contents | _certificates()
    # --build-arg without a value: the client reads the variable, and credentials in it stay out of the process list.
    forwarded = [f"--build-arg={name}" for name in FORWARDED if os.environ.get(name)]
    command = [
        *(*_client(), "build", "--force-rm", f"--tag={reference}", "--file=docker/Dockerfile"),
        f"--build-arg=RUNTIME={recipe.image}",
        *(f"--build-arg=BASE_IMAGE={recipe.base_image}", f"--build-arg=VERSION={recipe.version}"),
        *(f"--build-arg=REVISION={_revision()}", *forwarded, "-"),
    ]
    with tempfile.NamedTemporaryFile(prefix="portbench-build-", suffix=".log", delete=False) as log:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT) as process:
            assert process.stdin is not None  # noqa: S101  asked for above
            try:
                _write_context(process.stdin, context)
                process.stdin.close()
            except BrokenPipeError:
                pass  # The builder gave up; its exit code and log say why.
        log_path = Path(log.name)
    if process.returncode != 0:
        raise _failure(f"{reference} cannot be built: {_cause(log_path)} (all of it: {log_path})")
    log_path.unlink()


def _write_context(stream: IO[bytes], contents: dict[str, Path]) -> None:
    """A tar archive whose bytes depend on the files' names and bytes only, so that the builder's cache holds."""
    with tarfile.open(fileobj=stream, mode="w|") as archive:
        for name, path in sorted(contents.items()):
            entry = tarfile.TarInfo(name)
            entry.size = path.stat().st_size
            entry.mode = 0o644
            with path.open("rb") as file:
                archive.addfile(entry, file)


def _cause(log: Path) -> str:
    """The failed command's own first error, else the builder's last word."""
    text = log.read_text(errors="replace")
    # With BuildKit a command's own lines begin with the step and the time.
    error = re.search(rf"^(?:#\d+ [\d.]+ )?(?:{TERMINAL_COLOUR})*ERROR: (.+)$", text, re.MULTILINE)
    return error[1] if error else re.sub(TERMINAL_COLOUR, "", text).strip().rpartition("\n")[2]


def _revision() -> str:
    """The commit that the image was built at; no part of its name, because most commits change nothing inside."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _exists(reference: str) -> bool:
    command = [*_client(), "image", "inspect", reference]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _output(*command: str) -> str:
    """What the command prints; its complaint becomes a failure."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise _failure(" ".join(result.stderr.split()))
    return result.stdout.strip()


def engine() -> str:
    """Address of the engine that builds the images and runs them: the client's current context may name another."""
    return os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"


def _client() -> tuple[str, ...]:
    client = shutil.which("docker")
    if client is None:
        raise _failure("the command 'docker', which builds the images, is not installed")
    return (client, "--host", engine())


def _failure(message: str) -> CaseFailure:
    return CaseFailure(Stage.SHIP, Symptom.UNAVAILABLE, message)


def main(images: Sequence[str]) -> int:
    """Builds the named images, the common ones when none is named; prints the reference of each.

    Without an engine there is nothing to build for; that is an error only where PORTBENCH_REQUIRE_DOCKER is set.
    """
    from orchestrator.launch import docker

    if (problem := docker.problem()) is not None:
        print(f"No images are built: no Docker engine can be used ({problem}).", file=sys.stderr)
        return 1 if os.environ.get("PORTBENCH_REQUIRE_DOCKER") else 0
    try:
        for image in images or common():
            print(
                build(image, lambda reference: print(f"building {reference}", file=sys.stderr, flush=True)), flush=True
            )
    except (CaseFailure, UsageError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
