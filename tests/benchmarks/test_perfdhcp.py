"""The load generator's report, as perfdhcp 2.2 prints it, and the fleet it plays."""

from itertools import islice

import pytest

from benchmarks.perfdhcp import Fleet, Half, Report, parse

REPORT = """\
Running: perfdhcp -4 -l 10.64.0.2 -b mac=02:00:00:00:00:00 -R 20000 -r 4000 -p 1 10.64.0.1
Scenario: basic.
Multi-thread mode enabled.
***Rate statistics***
Rate: 3992.22 4-way exchanges/second, expected rate: 4000

***Malformed Packets***
Malformed packets: 0
***Statistics for: DISCOVER-OFFER***
sent packets: 3999
received packets: 3998
drops: 1
drops ratio: 0.025 %
orphans: 0
rejected leases: 0
non unique addresses: 0

min delay: 0.098 ms
avg delay: 0.153 ms
max delay: 2.918 ms
std deviation: 0.118 ms
collected packets: 0

***Statistics for: REQUEST-ACK***
sent packets: 3998
received packets: 3996
drops: 2
drops ratio: 0.050 %
orphans: 0
rejected leases: 0
non unique addresses: 0

min delay: 0.081 ms
avg delay: 0.163 ms
max delay: 2.919 ms
std deviation: 0.083 ms
collected packets: 0
"""


def test_a_report_is_read_and_what_was_never_answered_is_lost() -> None:
    report = parse(REPORT)
    assert report == Report(offers=Half(3999, 3998, 0.153, 2.918), acks=Half(3998, 3996, 0.163, 2.919))
    assert report.unanswered == 3


def test_a_run_without_a_single_answer_has_no_delays() -> None:
    silent = REPORT.replace("received packets: 3998", "received packets: 0")
    silent = silent.replace("avg delay: 0.153 ms", "avg delay: min delay: n/a\navg delay: n/a")
    silent = silent.replace("max delay: 2.918 ms", "max delay: n/a")
    assert parse(silent).offers == Half(3999, 0, None, None)


@pytest.mark.parametrize("text", ["", "cannot bind", REPORT[:400], REPORT.replace("REQUEST-ACK", "SOLICIT")])
def test_anything_but_a_whole_report_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="perfdhcp"):
        parse(text)


def test_the_fleet_is_the_macs_that_perfdhcp_counts_through() -> None:
    fleet = Fleet(size=300)
    machines = list(fleet.reservations())
    assert machines[0] == ("02:00:00:00:00:00", "10.64.1.0")
    assert machines[299] == ("02:00:00:00:01:2b", "10.64.2.43")
    assert len({mac for mac, _ in machines}) == len({address for _, address in machines}) == 300


def test_a_large_fleet_stays_inside_its_subnet_and_off_its_servers_address() -> None:
    addresses = {address for _, address in islice(Fleet(size=60_000).reservations(), 60_000)}
    assert len(addresses) == 60_000
    assert not addresses & {str(Fleet.server.ip), str(Fleet.relay.ip), str(Fleet.subnet.broadcast_address)}
