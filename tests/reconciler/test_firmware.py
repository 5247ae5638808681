"""Each of our firmware's voices says what was captured of the real one, byte for byte of every option."""

from __future__ import annotations

import pytest

from netboot.dhcp_packet import decode
from reconciler.firmware import PROFILES, VOICES, Lease, message
from tests.netboot.test_dhcp_captures import captured

CAPTURES = {
    "uefi": "uefi-pxe-snponly.PXEClient",
    "arm64": "arm64-pxe.PXEClient",
    "http": "uefi-http-fwcfg.HTTPClient",
    "arm64-http": "arm64-http.HTTPClient",
    "uboot": "arm64-uboot.",
    "ipxe-bios": "undionly-trixie.ipxe",
    "ipxe-uefi": "feat-uefi-trixie.ipxe",
    "ipxe-arm64": "arm64-http.ipxe",
    "ipxe-rom": "bios-ipxerom.ipxe",
    "system": "bios-ipxerom.udhcp_1.35",
}
UUID = bytes.fromhex("44454c4c510010318052b4c04f4d3132")
OFFER = Lease(bytes((10, 77, 0, 149)), bytes((10, 77, 0, 1)), bytes(4), "", "")


@pytest.mark.parametrize(("name", "capture"), CAPTURES.items())
def test_a_voice_says_what_was_captured(name: str, capture: str) -> None:
    for kind, offer in (("DISCOVER", None), ("REQUEST", OFFER)):
        real = decode(captured(f"{capture}-{kind}".replace(".-", ".")))
        assert real == decode(message(VOICES[name], "52:54:00:77:00:01", UUID, real.xid, offer))


def test_only_a_pxe_rom_was_never_captured() -> None:
    assert {"bios"} == VOICES.keys() - CAPTURES.keys()


def test_every_profile_speaks_with_voices_that_are_there_and_ends_where_a_script_is_read() -> None:
    assert VOICES.keys() - {"system"} == {voice for profile in PROFILES.values() for voice in profile.voices}
