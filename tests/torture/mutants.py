"""Real artifacts with something wrong in them: bits flipped, ends torn off, parts exchanged."""

import io
import random
import zipfile
from collections.abc import Callable, Iterator

Random = random.Random


def mutants(artifact: bytes, seed: str, count: int) -> Iterator[tuple[str, bytes]]:
    """`count` of them, each with what was done to it; equal seeds give equal mutants."""
    for number in range(count):
        rng = Random(f"{seed}-{number}")
        kinds = _OF_ARCHIVES if zipfile.is_zipfile(io.BytesIO(artifact)) else _OF_FILES
        mutate = kinds[number % len(kinds)]
        yield f"{mutate.__name__.strip('_')} {number}", mutate(artifact, rng)


def _flipped(content: bytes, rng: Random) -> bytes:
    """1 to 16 bits."""
    flipped = bytearray(content)
    for _ in range(rng.randint(1, 16)):
        if flipped:
            flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def _truncated(content: bytes, rng: Random) -> bytes:
    return content[: rng.randrange(len(content))]


def _exchanged(content: bytes, rng: Random) -> bytes:
    """Two parts of the file."""
    first, second, third = sorted(rng.randrange(len(content)) for _ in range(3))
    return content[:first] + content[second:third] + content[first:second] + content[third:]


def _member_flipped(content: bytes, rng: Random) -> bytes:
    """Within a member, of which the check sum is right again."""
    members = _members(content)
    name = rng.choice(list(members))
    return _packed(members | {name: _flipped(members[name], rng)})


def _member_truncated(content: bytes, rng: Random) -> bytes:
    members = _members(content)
    name = rng.choice([name for name in members if members[name]])
    return _packed(members | {name: _truncated(members[name], rng)})


def _members_swapped(content: bytes, rng: Random) -> bytes:
    members = _members(content)
    one, other = rng.sample(list(members), 2)
    return _packed(members | {one: members[other], other: members[one]})


def _member_missing(content: bytes, rng: Random) -> bytes:
    members = _members(content)
    del members[rng.choice(list(members))]
    return _packed(members)


def _members(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        return {name: packed.read(name) for name in packed.namelist() if not name.endswith("/")}


def _packed(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return file.getvalue()


Mutation = Callable[[bytes, Random], bytes]

_OF_FILES: tuple[Mutation, ...] = (_flipped, _truncated, _exchanged)
_OF_ARCHIVES: tuple[Mutation, ...] = (
    *(_flipped, _member_flipped, _truncated, _members_swapped, _member_truncated, _exchanged, _member_flipped),
    _member_missing,
)
