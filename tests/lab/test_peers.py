"""The servers of the benchmark answer exactly the fleet they were given."""

from pathlib import Path

import pytest

from benchmarks import perfdhcp
from benchmarks.measure import await_answer
from benchmarks.peers import Dnsmasq, Kea, Peer
from benchmarks.perfdhcp import Fleet
from tests.lab.network import Network

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("peer", [Kea(), Dnsmasq()], ids=lambda peer: peer.name)
def test_a_peer_answers_machines_with_a_reservation_and_no_others(peer: Peer, tmp_path: Path) -> None:
    known, played = Fleet(size=40), Fleet(size=80)
    with Network(tmp_path, str(known.server)) as network:
        client = network.host(str(known.relay))
        server = peer.start(network, known)
        await_answer(client, known, server.running)

        report = perfdhcp.run(client, played, rate=60, seconds=1)

        assert 50 <= report.offers.sent <= 60
        assert report.offers.received == report.acks.sent == report.acks.received == known.size
