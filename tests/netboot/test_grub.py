"""GRUB's configurations: compared with their goldens in `scripts/*.cfg`, and never more than words where words are meant.

`python -m tests.netboot.test_grub` writes the goldens anew; what changed then is to be read in the diff.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.grub import boot_config, disk_config, disk_loader_config, first_config, place, quoted, wait_config
from netboot.ipxe import mask
from netboot.plan import Artifact, Profile
from tests.netboot.plan_example import HANDOVERS
from tests.netboot.test_ipxe import CAPABILITY, CHAIN, CONSOLE, FILES, INLINE, KERNEL, STRANGER, TOKEN, WHY

GOLDENS = Path(__file__).parent / "scripts"
CONFIGS: dict[str, Callable[[], str]] = {
    "grub-first": lambda: first_config("(tftp,$net_default_server)"),
    "grub-work": lambda: boot_config(CONSOLE, KERNEL, FILES, CAPABILITY, WHY),
    "grub-diskless": lambda: boot_config(CONSOLE, Profile("bare", "more.img"), FILES, None, "its idle state is profile bare"),
    "grub-chain": lambda: boot_config(CONSOLE, CHAIN, {}, CAPABILITY, WHY),
    "grub-wait": lambda: wait_config(STRANGER, "no machine in git has the MAC 52:54:00:aa:aa:aa"),
    "grub-disk": lambda: disk_config(CONSOLE, "auto", "its idle state is the disk"),
    "grub-exit": lambda: disk_config(CONSOLE, "exit", "its idle state is the disk"),
    "grub-disk-loader": disk_loader_config,
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_is_its_golden(name: str) -> None:
    assert (GOLDENS / f"{name}.cfg").read_text() == CONFIGS[name]()


@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_opened_is_closed(name: str) -> None:
    words = re.findall(r"\b(if|fi|for|while|do|done)\b", re.sub(r"'[^']*'|\"[^\"]*\"", "", CONFIGS[name]()))
    assert words.count("if") == words.count("fi")
    assert words.count("for") + words.count("while") == words.count("do") == words.count("done")
    assert "&&" not in CONFIGS[name](), "GRUB has no such thing"


def test_the_token_is_on_the_command_line_and_is_masked_where_it_is_shown() -> None:
    config = CONFIGS["grub-work"]()
    assert f"'gitboot.boot=boot-1' 'gitboot.token={TOKEN}'" in config
    assert TOKEN not in mask(config)


def test_a_diskless_machine_gets_no_token() -> None:
    assert "gitboot.token" not in CONFIGS["grub-diskless"]()


@pytest.mark.parametrize("profile", [CHAIN, INLINE])
def test_what_only_ipxe_obeys_is_left_to_an_ipxe_that_grub_starts(profile: Profile) -> None:
    config = boot_config(CONSOLE, profile, {}, CAPABILITY, WHY)
    assert 'chainloader "$gitboot/ipxe/$ipxe"' in config
    assert "http://boot.example" not in config


@pytest.mark.parametrize("handover", HANDOVERS)
def test_every_way_to_the_disk_ends_with_leaving(handover: str) -> None:
    assert "exit" == disk_config(CONSOLE, handover, "why").splitlines()[-1]  # type: ignore[arg-type] # a parameter has no Literal type


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")))
def test_any_word_stays_one_word(word: str) -> None:
    """GRUB's quotes are the shell's: the manual says so, and `shlex` reads them."""
    assert [word] == shlex.split(quoted(word))


def test_nothing_of_a_name_or_reason_is_obeyed() -> None:
    said = "a'; reboot; 'b $net_default_mac\nhalt"
    assert "echo 'gitboot: a'\\''; reboot; '\\''b $net_default_mac?halt'" in wait_config(CONSOLE, said).splitlines()


@pytest.mark.parametrize(
    ("artifact", "expected"),
    [
        (Artifact("a", "b" * 64), f'"$gitboot/artifacts/sha256/{"b" * 64}"'),
        (Artifact("a", url="http://images.example/vmlinuz"), "'(http,images.example)/vmlinuz'"),
        (Artifact("a", url="http://images.example:8080/a?b=c"), "'(http,images.example:8080)/a?b=c'"),
    ],
)
def test_a_file_is_fetched_from_us_by_digest_or_from_its_origin(artifact: Artifact, expected: str) -> None:
    assert expected == place(artifact)


def test_the_loop_of_the_first_configuration_asks_for_the_card_it_came_by_and_never_ends() -> None:
    config = CONFIGS["grub-first"]()
    assert '"$gitboot/grub/boot.cfg-01-$net_default_mac"' in config
    assert "done" == config.splitlines()[-1]
    assert "sleep 5" in config


if __name__ == "__main__":
    for name, write in CONFIGS.items():
        (GOLDENS / f"{name}.cfg").write_text(write())
