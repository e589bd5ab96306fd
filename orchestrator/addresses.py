"""HOST:PORT and the names in it, in the one form that everything here reads and writes."""

import ipaddress
import re

LONGEST_HOST_NAME = 253
_HOST_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.(?!-)[a-z0-9_-]{1,63})*", re.IGNORECASE)
_PORT = re.compile(r"[0-9]{1,5}")


def host(text: str) -> str:
    """A host name as it is, an IP address in its shortest form, without brackets.

    Raises:
        ValueError: it is neither.
    """
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        if _HOST_NAME.fullmatch(text) and len(text) <= LONGEST_HOST_NAME:
            return text
        raise ValueError(f"'{text}' is no host name and no IP address") from None


def split(address: str) -> tuple[str, int]:
    """Host, as `host` has it, and port; an IPv6 address stands in brackets.

    Raises:
        ValueError: it is not of that form.
    """
    name, _, port = address.rpartition(":")
    in_brackets = name.startswith("[") and name.endswith("]")
    if (":" in name) != in_brackets or not _PORT.fullmatch(port) or not 0 < int(port) < 1 << 16:
        raise ValueError(f"'{address}' is not HOST:PORT")
    return host(name[1:-1] if in_brackets else name), int(port)


def join(name: str, port: int) -> str:
    """The inverse of `split`."""
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def is_loopback(name: str) -> bool:
    """Whether the host is this machine, by its name or address alone."""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
