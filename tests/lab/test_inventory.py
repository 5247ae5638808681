"""Neighbours on a wire: what a switch sends is heard at the other end of the cable."""

from __future__ import annotations

import sys

import pytest

from tests.agent.test_lldp import FULL, MANDATORY
from tests.lab.network import Network

pytestmark = pytest.mark.lab

LISTEN = """
import sys
from agent.hardware import Ears
ears = Ears(60)
ears.listen(["eth0"])
print("listening", flush=True)
ears.hear()
print("heard", ears.neighbours, flush=True)
"""
SPEAK = """
import socket, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
    wire.bind((sys.argv[1], 0))
    for frame in sys.argv[2:]:
        wire.send(bytes.fromhex(frame))
"""


def test_a_neighbour_is_heard_and_noise_before_it_is_not(network: Network) -> None:
    """A bridge does not pass LLDP on (802.1D keeps 01-80-C2-00-00-0E), so it is sent from the port itself."""
    host = network.host("10.77.0.2/24")
    ears = host.spawn([sys.executable, "-c", LISTEN])
    ears.wait_for("listening")
    goes_away = FULL.replace(b"\x06\x02\x00\x78", b"\x06\x02\x00\x00")
    frames = [FULL[:20], MANDATORY[:14], goes_away, FULL]
    done = network.namespace.run([sys.executable, "-c", SPEAK, "port0", *(frame.hex() for frame in frames)])
    assert done.returncode == 0, done.stderr
    assert "ttl=120" in ears.wait_for("heard (.*leaf-1.*)")[1]
