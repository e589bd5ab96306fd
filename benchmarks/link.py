"""`python benchmarks/link.py FD FD`: carries packets between two TUN devices, late and with losses.

A line on standard input, "DELAY_S LOSS", says by how much each packet is late and what share of them is lost from now
on; its end ends the link. The kernel's own netem does the same where it was built in.
"""

import fcntl
import os
import random
import select
import struct
import sys
import time
from collections import deque
from contextlib import suppress

PACKET_BYTES = 1 << 16
_TUNSETIFF = 0x400454CA
_IFF_TUN_WITHOUT_HEADER = 0x0001 | 0x1000


def tun(name: str) -> int:
    """A descriptor of the new TUN device `name`, which lives as long as it.

    Raises:
        OSError: the kernel has none, or it is not for this user.
    """
    descriptor = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN_WITHOUT_HEADER))
    return descriptor


def main() -> None:
    """Until standard input ends."""
    first, second = map(int, sys.argv[1:])
    other = {first: second, second: first}
    delay_s, loss = 0.0, 0.0
    late: deque[tuple[float, int, bytes]] = deque()  # in the order of their times: a new delay waits for the old one
    while True:
        wait_s = max(0.0, late[0][0] - time.monotonic()) if late else None
        for ready in select.select([first, second, 0], [], [], wait_s)[0]:
            if ready == 0:
                if not (line := sys.stdin.readline()):
                    return
                delay_s, loss = map(float, line.split())
            elif (packet := os.read(ready, PACKET_BYTES)) and random.random() >= loss:  # noqa: S311 - no secret
                late.append((time.monotonic() + delay_s, other[ready], packet))
        while late and late[0][0] <= time.monotonic():
            _, device, packet = late.popleft()
            with suppress(OSError):  # a device that is down loses it
                os.write(device, packet)


if __name__ == "__main__":
    main()
