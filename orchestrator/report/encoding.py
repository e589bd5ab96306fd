"""For terminals whose encoding lacks what the reports are drawn with: plain signs of the same width."""

import codecs
import io
from typing import TextIO

_PLAIN = {"±": "~", "█": "#", "▉": "#", "▊": "#", "▋": "#", "▌": "#", "▍": " ", "▎": " ", "▏": " "}


def make_printable(stream: TextIO) -> None:
    """From now on nothing that is printed on `stream` fails: what its encoding lacks becomes ASCII, "?" for most."""
    codecs.register_error("portbench", _plain)
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="portbench")


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN.get(character, "?") for character in error.object[error.start : error.end]), error.end
