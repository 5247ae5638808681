"""A name means one disk or none: every attribute holds, and what cannot be decided is a sentence."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.disks import BlockDevice, Disk, NoMatch, disk_from_json, match, same_wwn, size_in_bytes

SDA = BlockDevice(
    "/dev/sda", "S3Z9NB0K", "naa.5002538e40b1a2c3", 480_103_981_056, transport="sata", links=("/dev/disk/by-path/a",)
)
SDB = BlockDevice("/dev/sdb", "S3Z9NB0L", "naa.5002538e40b1a2c4", 480_103_981_056, transport="sata")
NVME = BlockDevice("/dev/nvme0n1", "P1", "eui.0025385b71b0a1c2", 1_920_383_410_176, transport="nvme")
STICK = BlockDevice("/dev/sdc", "STICK", "", 480_000_000_000, transport="usb", removable=True)
ARRAY = BlockDevice("/dev/md0", "", "", 480_000_000_000, mapped=True)
MACHINE = (SDA, SDB, NVME, STICK, ARRAY)


@pytest.mark.parametrize(
    ("disk", "expected"),
    [
        (Disk("root", serial="S3Z9NB0K"), SDA),
        (Disk("root", wwn="0x5002538E40B1A2C4"), SDB),
        (Disk("root", wwn="eui.0025385b71b0a1c2"), NVME),
        (Disk("root", path="/dev/sda"), SDA),
        (Disk("root", path="/dev/disk/by-path/a"), SDA),
        (Disk("root", size=1_920_000_000_000), NVME),
        (Disk("root", size=480_000_000_000, serial="S3Z9NB0L"), SDB),
        (Disk("root", serial="STICK"), STICK),
        (Disk("root", path="/dev/md0"), ARRAY),
    ],
)
def test_a_disk_is_found_by_what_is_given(disk: Disk, expected: BlockDevice) -> None:
    assert expected == match(disk, MACHINE)


@pytest.mark.parametrize(
    "disk",
    [
        Disk("root", serial="S3Z9NB0K", wwn="0x5002538e40b1a2c4"),
        Disk("root", serial="S3Z9NB0K", path="/dev/sdb"),
        Disk("root", serial="S3Z9NB0K", size=500_000_000_000),
        Disk("root", serial="s3z9nb0k"),
        Disk("root", serial="S3Z9"),
        Disk("root", path="/dev/sdz"),
    ],
)
def test_one_attribute_that_does_not_hold_is_enough_for_no(disk: Disk) -> None:
    with pytest.raises(NoMatch, match="is not in this machine; there is /dev/sda"):
        match(disk, MACHINE)


def test_what_is_not_there_is_said_with_what_is() -> None:
    with pytest.raises(NoMatch) as said:
        match(Disk("root", serial="X"), (SDA, ARRAY))
    expected = "disk root (serial X) is not in this machine; there is /dev/sda (480103981056 bytes, serial S3Z9NB0K, "
    assert expected + "wwn naa.5002538e40b1a2c3)" == str(said.value)


def test_a_machine_without_disks_is_said_so() -> None:
    with pytest.raises(NoMatch, match="there is no disk at all"):
        match(Disk("root", serial="X"), ())


def test_two_disks_that_match_are_refused_and_both_are_named() -> None:
    with pytest.raises(NoMatch, match=r"disk root \(size 480000000000\) is several devices here: /dev/sda .*, /dev/sdb .*"):
        match(Disk("root", size=480_000_000_000), MACHINE)


def test_a_size_never_means_a_stick_or_an_array() -> None:
    assert SDA == match(Disk("root", size=480_000_000_000), (SDA, STICK, ARRAY))


def test_a_size_is_met_within_a_hundredth() -> None:
    disk = Disk("root", size=1_000_000)
    assert match(disk, (replace(SDA, size=1_010_000),))
    for size in (1_010_001, 989_999):
        with pytest.raises(NoMatch):
            match(disk, (replace(SDA, size=size),))


@given(
    st.permutations(MACHINE), st.builds(Disk, st.just("d"), serial=st.sampled_from(["", "P1", "X"]), size=st.integers(0, 2**41))
)
def test_the_order_in_which_disks_were_found_decides_nothing(devices: list[BlockDevice], disk: Disk) -> None:
    def outcome(machine: tuple[BlockDevice, ...]) -> BlockDevice | None:
        try:
            return match(disk, machine)
        except NoMatch:
            return None

    assert outcome(MACHINE) == outcome(tuple(devices))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("480G", 480 * 10**9), ("512Gi", 512 * 2**30), ("10 MiB", 10 * 2**20), ("7", 7), (9, 9), ("1t", 10**12), ("2kB", 2000)],
)
def test_sizes_are_read_as_people_write_them(text: str | int, expected: int) -> None:
    assert expected == size_in_bytes(text)


@pytest.mark.parametrize("text", ["", "G", "-1", "1.5G", "1X", "12Gii", "about 5G"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        size_in_bytes(text)


def test_a_disk_of_the_machine_document_is_read() -> None:
    document = {"name": "root", "serial": " S1 ", "size": "480G"}
    assert Disk("root", serial="S1", size=480 * 10**9) == disk_from_json(document)


def test_two_unknown_wwns_are_not_the_same() -> None:
    assert same_wwn("0x5002", "naa.5002")
    assert not same_wwn("", "")
    assert not same_wwn("0x", "naa.")
