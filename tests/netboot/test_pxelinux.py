"""PXELINUX's configurations: compared with their goldens in `scripts/*.pxelinux`, one thing each, and asking again for ever.

`python -m tests.netboot.test_pxelinux` writes the goldens anew; what changed then is to be read in the diff.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from netboot.ipxe import mask
from netboot.plan import Artifact, Profile
from netboot.pxelinux import boot_config, disk_config, path_of, place, wait_config
from tests.netboot.test_ipxe import CAPABILITY, CHAIN, CONSOLE, FILES, INLINE, KERNEL, STRANGER, TOKEN, WHY

GOLDENS = Path(__file__).parent / "scripts"
CONFIGS: dict[str, Callable[[], str]] = {
    "work": lambda: boot_config(CONSOLE, KERNEL, FILES, CAPABILITY, WHY),
    "diskless": lambda: boot_config(CONSOLE, Profile("bare", "more.img"), FILES, None, "its idle state is profile bare"),
    "chain": lambda: boot_config(CONSOLE, CHAIN, {}, CAPABILITY, WHY),
    "wait": lambda: wait_config(STRANGER, "no machine in git has the MAC 52:54:00:aa:aa:aa"),
    "disk": lambda: disk_config(CONSOLE, "auto", "its idle state is the disk"),
}


def settings(name: str) -> dict[str, str]:
    """Keyword → the rest of its line, the last of each."""
    lines = (line.split(maxsplit=1) for line in CONFIGS[name]().splitlines())
    return {words[0]: words[-1] for words in lines}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_is_its_golden(name: str) -> None:
    assert (GOLDENS / f"{name}.pxelinux").read_text() == CONFIGS[name]()


@pytest.mark.parametrize("name", CONFIGS)
def test_what_fails_is_asked_for_again_after_a_pause(name: str) -> None:
    said = settings(name)
    assert "again" == said["ONTIMEOUT"]
    assert said["CONFIG"] in ("pxelinux.cfg/01-52-54-00-12-34-01", "pxelinux.cfg/01-52-54-00-aa-aa-aa")
    assert int(said["TIMEOUT"]) == (300 if name == "wait" else 50), "tenths of a second"


def test_only_who_waits_is_shown_a_prompt() -> None:
    assert ["wait"] == [name for name in CONFIGS if settings(name)["PROMPT"] == "1"]


def test_the_token_is_on_the_command_line_and_is_masked_where_it_is_shown() -> None:
    assert f"gitboot.boot=boot-1 gitboot.token={TOKEN}" in settings("work")["APPEND"]
    assert TOKEN not in mask(CONFIGS["work"]())
    assert "gitboot.token" not in CONFIGS["diskless"]()


@pytest.mark.parametrize("profile", [CHAIN, INLINE])
def test_what_only_ipxe_obeys_is_left_to_an_ipxe_that_pxelinux_starts(profile: Profile) -> None:
    assert "  KERNEL ipxe.lkrn" in boot_config(CONSOLE, profile, {}, CAPABILITY, WHY).splitlines()


def test_nothing_of_a_name_or_reason_is_a_line_of_its_own() -> None:
    assert "SAY gitboot: a?LOCALBOOT 0" in wait_config(CONSOLE, "a\nLOCALBOOT 0").splitlines()


def test_files_come_from_us_by_digest_or_from_their_origin() -> None:
    assert f"artifacts/sha256/{'b' * 64}" == place(Artifact("a", "b" * 64))
    assert "http://images.example/a" == place(Artifact("a", url="http://images.example/a"))


def test_the_file_of_a_machine_is_named_by_its_mac() -> None:
    assert "pxelinux.cfg/01-52-54-00-12-34-01" == path_of("52:54:00:12:34:01")


if __name__ == "__main__":
    for name, write in CONFIGS.items():
        (GOLDENS / f"{name}.pxelinux").write_text(write())


def test_a_profiles_own_words_stand_as_they_are_but_for_who_the_machine_is() -> None:
    profile = Profile("own", "os/vmlinuz", pxelinux="LABEL a\n  FDTDIR dtb\n  APPEND root=x ${gitboot}\n")
    told = boot_config(CONSOLE, profile, FILES, CAPABILITY, WHY)
    assert told.startswith("LABEL a\n  FDTDIR dtb\n  APPEND root=x BOOTIF=01-52-54-00-12-34-01 gitboot.server=")
    assert told.endswith(f" gitboot.token={TOKEN}\n")


def test_u_boot_which_takes_the_last_of_two_is_sent_to_its_disk_by_the_other_label() -> None:
    lines = CONFIGS["disk"]().splitlines()
    assert lines.index("DEFAULT gitboot") < lines.index("ONTIMEOUT again")
    assert lines.index("LABEL again") < lines.index("  LOCALBOOT 0") < lines.index(f"  CONFIG {path_of(CONSOLE.mac)}")
    for name in CONFIGS.keys() - {"disk"}:
        others = CONFIGS[name]().splitlines()
        assert others.index("ONTIMEOUT again") < others.index("DEFAULT gitboot")
