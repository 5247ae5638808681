"""A switch's trunk port, for a machine in a VLAN: what it sends with the tag comes out without it, and the other way round.

The law: an untagged frame of the machine's goes nowhere. This is a program of its own, since the host's kernel need not know
802.1Q; QEMU hands it whole frames by datagrams, so nothing is left for a network card to finish.

    python -m tests.lab.trunk TAP VLAN OURS THEIRS    # a tap on the untagged network, two paths of sockets
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path

from tests.lab.network import Network

_TUNSETIFF, _TAP, _NO_INFORMATION = 0x400454CA, 0x0002, 0x1000
_TAGGED = b"\x81\x00"
_ADDRESSES = 12
_LARGEST = 65536


def trunk(network: Network, vlan: int) -> str:
    """A port for a virtual machine that carries the network under this tag only: QEMU's netdev for it."""
    tap = network.tap()
    ours, theirs = network.scratch / f"{tap}.switch", network.scratch / f"{tap}.machine"
    argv = [sys.executable, "-u", "-m", "tests.lab.trunk", tap, str(vlan), str(ours), str(theirs)]
    network.spawn(argv, f"{tap}.trunk.log").wait_for("ready")
    return f"dgram,id=n0,local.type=unix,local.path={theirs},remote.type=unix,remote.path={ours}"


def untagged(frame: bytes, vlan: int) -> bytes | None:
    """The frame without its tag (IEEE 802.1Q section 9.6); None unless it bears this one."""
    if frame[_ADDRESSES : _ADDRESSES + 2] != _TAGGED or len(frame) < _ADDRESSES + 4:
        return None
    (control,) = struct.unpack_from(">H", frame, _ADDRESSES + 2)
    return frame[:_ADDRESSES] + frame[_ADDRESSES + 4 :] if control & 0xFFF == vlan else None


def tagged(frame: bytes, vlan: int) -> bytes:
    return frame[:_ADDRESSES] + _TAGGED + struct.pack(">H", vlan) + frame[_ADDRESSES:]


def main(tap: str, vlan: int, ours: Path, theirs: Path) -> None:
    network = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(network, _TUNSETIFF, struct.pack("16sH22x", tap.encode(), _TAP | _NO_INFORMATION))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as machine:
        machine.bind(str(ours))
        print("ready")
        seen = set[str]()
        while True:
            for readable in select.select([network, machine.fileno()], [], [])[0]:
                if readable != network:
                    sent = machine.recv(_LARGEST)
                    frame = untagged(sent, vlan)
                    said = f"from {sent[6:12].hex(':')}: {'tagged' if frame else 'dropped'}"
                    if said not in seen:
                        seen.add(said)
                        print(said)
                    if frame:
                        os.write(network, frame)
                else:
                    with suppress(OSError):  # the machine is off
                        machine.sendto(tagged(os.read(network, _LARGEST), vlan), str(theirs))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
