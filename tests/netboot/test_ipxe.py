"""Scripts as iPXE obeys them: run by a model of Debian 12's iPXE, and compared with their goldens in `scripts/*.ipxe`.

`python -m tests.netboot.test_ipxe` writes the goldens anew; what changed then is to be read in the diff.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.dhcp_options import encode, pack
from netboot.ipxe import (
    MASK,
    POLL_SECONDS,
    Capability,
    Console,
    artifact_url,
    boot_script,
    bootstrap_script,
    disk_script,
    find_script,
    mask,
    objection,
    wait_script,
)
from netboot.plan import Artifact, Handover, Interface, Profile
from tests.netboot.ipxe_machine import Ipxe
from tests.netboot.plan_example import ARTIFACTS, HANDOVERS

GOLDENS = Path(__file__).parent / "scripts"
CONSOLE = Console("http://10.1.0.1", "node-01", "52:54:00:12:34:01", "0123456789abcdef")
STRANGER = Console("http://10.1.0.1:8080", "", "52:54:00:aa:aa:aa", "0123456789abcdef")
TOKEN = "f" * 64
CAPABILITY = Capability("boot-1", TOKEN)
FILES = {each.path: each for each in ARTIFACTS} | {
    "more.img": Artifact("more.img", "c" * 64, 9),
    "https://images.example/vmlinuz": Artifact("https://images.example/vmlinuz", url="https://images.example/vmlinuz"),
}
KERNEL = Profile("inspect", "inspect/vmlinuz", ("inspect/initrd.img", "more.img"), 'console=ttyS0 note="two words"')
CHAIN = Profile("menu", chain="http://boot.example/${net0/mac}.ipxe")
INLINE = Profile("own", script="#!ipxe\r\n:start\r\nset try 1\r\nisset ${try} || goto start\r\nshell || \\")
STATIC = Interface(
    "52:54:00:12:34:01",
    "10.1.0.11",
    options=pack(dict([encode("subnet-mask", "255.255.0.0"), encode("routers", ["10.1.0.1"])])),
    dhcp=False,
    vlan=42,
)
WHY = "runs workflow install run 1 in profile inspect"

SCRIPTS: dict[str, Callable[[], str]] = {
    "kernel-work": lambda: boot_script(CONSOLE, KERNEL, FILES, CAPABILITY, WHY),
    "kernel-diskless": lambda: boot_script(CONSOLE, KERNEL, FILES, None, "its idle state is profile inspect"),
    "kernel-elsewhere": lambda: boot_script(CONSOLE, Profile("bare", "https://images.example/vmlinuz"), FILES, None, WHY),
    "chain": lambda: boot_script(CONSOLE, CHAIN, {}, CAPABILITY, WHY),
    "inline": lambda: boot_script(CONSOLE, INLINE, {}, CAPABILITY, WHY),
    "wait": lambda: wait_script(CONSOLE, "git names no work for it; its idle state is to wait"),
    "wait-stranger": lambda: wait_script(STRANGER, "no machine in git has the MAC 52:54:00:aa:aa:aa"),
    "find": lambda: find_script("http://10.1.0.1"),
    "bootstrap": lambda: bootstrap_script("http://10.1.0.1", Interface("52:54:00:12:34:01")),
    "bootstrap-vlan-static": lambda: bootstrap_script("http://10.1.0.1", STATIC),
} | {f"disk-{way}": lambda way=way: disk_script(CONSOLE, way, "its idle state is the disk") for way in HANDOVERS}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_its_golden(name: str) -> None:
    assert (GOLDENS / f"{name}.ipxe").read_text() == SCRIPTS[name]()


def test_every_golden_is_a_script() -> None:
    assert sorted(SCRIPTS) == sorted(path.stem for path in GOLDENS.glob("*.ipxe"))


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("works", [True, False])
@pytest.mark.parametrize("platform", ["pcbios", "efi"])
def test_an_ipxe_of_2019_can_run_it_and_never_loops_without_sleeping(name: str, works: bool, platform: str) -> None:
    needs_the_world = ("kernel", "initrd", "boot", "chain", "sanboot", "dhcp", "shell", "vcreate", "ifopen")
    ipxe = Ipxe(lambda command, _: works or command not in needs_the_world)
    ipxe.settings["platform"] = platform
    assert ipxe.run(SCRIPTS[name]())


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_shown_script_has_no_token(name: str) -> None:
    script = SCRIPTS[name]()
    assert TOKEN not in mask(script)
    assert script.count(TOKEN) == mask(script).count(MASK)
    assert mask(script).count("\n") == script.count("\n")


def test_a_mask_hides_nothing_but_tokens() -> None:
    """A digest has as many digits."""
    assert "sha256/" + "a" * 64 in mask(SCRIPTS["kernel-work"]())


# A kernel ------------------------------------------------------------------------------------------------------------------


def test_a_kernel_is_fetched_by_digest_with_all_its_initrds_and_booted() -> None:
    base = "http://10.1.0.1/artifacts/sha256"
    did = [each for each in Ipxe().run(SCRIPTS["kernel-work"]()) if not each.startswith("echo")]
    words = (
        'console=ttyS0 note="two words" initrd=initrd0 initrd=initrd1 BOOTIF=01-52-54-00-12-34-01 '
        f"gitboot.server=http://10.1.0.1 gitboot.boot=boot-1 gitboot.token={TOKEN}"
    )
    assert [
        f"kernel --name vmlinuz {base}/{'a' * 64}/vmlinuz {words}",
        f"initrd --name initrd0 {base}/{'b' * 64}/initrd.img",
        f"initrd --name initrd1 {base}/{'c' * 64}/more.img",
        "boot",
    ] == did


@pytest.mark.parametrize("failing", ["kernel", "initrd", "boot"])
def test_what_fails_is_said_and_tried_again_after_a_pause_for_ever(failing: str) -> None:
    did = Ipxe(lambda command, _: command != failing).run(SCRIPTS["kernel-work"](), sleeps=5)
    assert 5 == did.count("sleep 5")
    assert 5 == did.count("echo gitboot: could not boot inspect, trying again in 5 seconds")
    assert "imgfree" == did[did.index("sleep 5") + 1]


def test_ctrl_c_in_a_pause_leaves_to_the_firmware() -> None:
    did = Ipxe(lambda command, _: command not in ("kernel", "sleep")).run(SCRIPTS["kernel-work"]())
    assert "exit 1" == did[-1]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/vm linuz", "vm%20linuz"),
        ("x?y#z", "x%3Fy%23z"),
        ("${net0/mac}", "mac%7D"),
        ("http://images.example/a/?b=c", "%3Fb%3Dc"),
    ],
)
def test_a_file_s_name_in_a_url_is_only_a_name(path: str, name: str) -> None:
    assert f"http://10.1.0.1/artifacts/sha256/{'a' * 64}/{name}" == artifact_url("http://10.1.0.1", Artifact(path, "a" * 64))


@pytest.mark.parametrize("word", ["||", "&&", ";", "#", "#1"])
def test_a_command_line_that_ipxe_would_cut_is_objected_to(word: str) -> None:
    assert word in objection(f"console=ttyS0 {word} quiet")
    script = boot_script(CONSOLE, Profile("p", "more.img", cmdline=f"console=ttyS0 {word} echo"), FILES, CAPABILITY, WHY)
    kernel = next(each for each in Ipxe().run(script) if each.startswith("kernel"))
    assert kernel.endswith("console=ttyS0"), "it is not cut: the objection is needless"


@pytest.mark.parametrize("cmdline", ["", 'root="a b"', "a||b a;b a#b", "${net0/mac}", "\\"])
def test_a_command_line_that_reaches_the_kernel_is_not_objected_to(cmdline: str) -> None:
    assert "" == objection(cmdline)
    script = boot_script(CONSOLE, Profile("p", "more.img", cmdline=cmdline), FILES, None, WHY)
    kernel = next(each for each in Ipxe().run(script) if each.startswith("kernel"))
    assert f" {cmdline} ".replace("${net0/mac}", "52:54:00:12:34:01") in kernel or not cmdline


# Scripts of others ---------------------------------------------------------------------------------------------------------


def test_a_script_of_a_user_runs_with_the_settings_of_its_boot_and_labels_of_its_own() -> None:
    did = Ipxe(lambda command, _: command != "shell").run(
        boot_script(
            CONSOLE, Profile("own", script="#!ipxe\n:again\nset x ${gitboot-token}\nsleep 1\ngoto again"), {}, CAPABILITY, WHY
        )
    )
    assert ["set gitboot-server http://10.1.0.1", "set gitboot-boot boot-1", f"set gitboot-token {TOKEN}"] == did[2:5]
    assert 3 == did.count(f"set x {TOKEN}")


def test_a_script_of_a_user_that_ends_is_begun_again_after_a_pause() -> None:
    script = boot_script(CONSOLE, Profile("own", script="#!ipxe\nshell ||\nshell || \\"), {}, None, WHY)
    did = Ipxe().run(script)
    assert (6, 3) == (did.count("shell"), did.count("sleep 5"))


def test_a_script_of_a_user_stands_as_it_was_written() -> None:
    script = boot_script(CONSOLE, Profile("own", script="#!ipxe\r\n  echo two  spaces\r\n#!ipxe\n"), {}, None, WHY)
    assert "\n  echo two  spaces\n#!ipxe\n" in script


def test_a_chain_gets_its_url_with_ipxe_s_own_settings() -> None:
    assert "chain --replace --autofree http://boot.example/52:54:00:12:34:01.ipxe" == Ipxe().run(SCRIPTS["chain"]())[-1]


# To the disk, and waiting --------------------------------------------------------------------------------------------------


DISK_LOADER = "http://10.1.0.1/ipxe/disk-x86_64.efi"


@pytest.mark.parametrize(
    ("handover", "platform", "sanboot_works", "expected"),
    [
        ("auto", "pcbios", True, ["exit"]),
        ("auto", "efi", True, ["sanboot --no-describe --drive 0x80"]),
        ("auto", "efi", False, ["sanboot --no-describe --drive 0x80", f"chain {DISK_LOADER}"]),
        ("grub", "efi", False, [f"chain {DISK_LOADER}"]),
        ("exit", "efi", True, ["exit"]),
        ("sanboot", "pcbios", True, ["sanboot --no-describe --drive 0x80"]),
        ("sanboot", "efi", False, ["sanboot --no-describe --drive 0x80", "exit 1"]),
        ("no-boot-file", "efi", True, ["exit 1"]),
    ],
)
def test_a_machine_goes_to_its_disk_in_the_way_its_firmware_knows(
    handover: Handover, platform: str, sanboot_works: bool, expected: list[str]
) -> None:
    """BIOS wants `exit`; UEFI would land in its menu by it, and Debian 12's sanboot fails there."""
    ipxe = Ipxe(lambda command, _: command != "sanboot" or sanboot_works)
    ipxe.settings["platform"] = platform
    did = ipxe.run(disk_script(CONSOLE, handover, "its idle state is the disk"))
    assert expected == [each for each in did if not each.startswith("echo")]


def test_a_machine_that_waits_polls_for_ever_also_while_the_server_is_away() -> None:
    did = Ipxe(lambda command, _: command != "chain").run(SCRIPTS["wait"](), sleeps=100)
    assert 100 == did.count(f"sleep {POLL_SECONDS}")
    assert did.count("echo gitboot: the server does not answer") == did.count(
        "chain --replace --autofree http://10.1.0.1/ipxe/52-54-00-12-34-01/boot.ipxe"
    )


def test_the_interface_in_use_is_tried_first_then_every_one_by_a_machine_that_cannot_be_told() -> None:
    ipxe = Ipxe(lambda command, _: command != "chain")
    ipxe.settings |= {f"net{number}/mac": f"52:54:00:00:00:{number:02x}" for number in range(3)} | {
        "netX/mac": "52:54:00:00:00:02"
    }
    tried = [each.split("/")[-2] for each in ipxe.run(find_script("http://10.1.0.1")) if each.startswith("chain")]
    assert ["52-54-00-00-00-02", "52-54-00-00-00-00", "52-54-00-00-00-01", "52-54-00-00-00-02", "52-54-00-00-00-02"] == tried


def test_a_pasted_script_configures_the_interface_with_the_machine_s_mac() -> None:
    ipxe = Ipxe()
    ipxe.settings |= {"net0/mac": "52:54:00:00:00:00", "net1/mac": "52:54:00:12:34:01"}
    chained = ["set iface net1", "dhcp net1", "chain --autofree http://10.1.0.1/auto.ipxe"]
    assert ["ifclose", "set idx:int32 0", *chained] == ipxe.run(SCRIPTS["bootstrap"]())
    assert "echo gitboot: no interface has the MAC 52:54:00:12:34:99" in Ipxe().run(
        bootstrap_script("http://10.1.0.1", Interface("52:54:00:12:34:99"))
    )


def test_a_bootstrap_script_tags_and_configures_the_interface_as_git_says() -> None:
    tagged = ["set iface net0", "vcreate --tag 42 net0", "set iface net0-42"]
    address = ["set net0-42/ip 10.1.0.11", "set net0-42/netmask 255.255.0.0", "set net0-42/gateway 10.1.0.1"]
    last = ["ifopen net0-42", "chain --autofree http://10.1.0.1/auto.ipxe"]
    assert [*tagged, *address, *last] == Ipxe().run(SCRIPTS["bootstrap-vlan-static"]())[2:]


def test_an_ipxe_that_cannot_tag_says_so_and_goes_on_untagged() -> None:
    did = Ipxe(lambda command, _: command != "vcreate").run(SCRIPTS["bootstrap-vlan-static"]())
    assert "echo gitboot: this iPXE cannot tag for VLAN 42, going on untagged" in did
    assert ["ifopen net0", "chain --autofree http://10.1.0.1/auto.ipxe"] == did[-2:]
    assert not any("cannot tag" in each for each in Ipxe().run(SCRIPTS["bootstrap-vlan-static"]()))


# Nobody's words are obeyed -------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        "||",
        "&&",
        ";",
        "#",
        "#!ipxe",
        "${net0/mac}",
        "$${x}",
        "\n",
        "\r",
        "\\",
        ":gitboot-start",
        "goto",
        "exit",
        "shell",
        "é",
        "\0",
        "{x}",
        "$",
    ]
)


@given(st.lists(st.one_of(WORDS, st.text(max_size=5))), st.sampled_from(["", " "]))
def test_reasons_are_said_and_never_obeyed(words: list[str], between: str) -> None:
    why = between.join(words)
    ipxe = Ipxe()
    did = ipxe.run(disk_script(CONSOLE, "exit", why))
    assert 4 == len(did)
    assert ["echo", "gitboot:"] == did[1].split()[:2]
    assert ["echo gitboot: booting from the local disk", "exit"] == did[2:]
    assert did[1].isascii()


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("its token is ${gitboot-token}", "its token is $ {gitboot-token}"),
        ("it ends in \\", "it ends in ?"),
        ("two\nlines\r\tand é", "two?lines??and ?"),
        ("a || b && c ; d", "a '||' b '&&' c ';' d"),
        ("#1 of a#b", "'#1' of a#b"),
        ("work; then disk", "work; then disk"),
    ],
)
def test_what_ipxe_would_read_as_its_own_is_said_in_another_way(why: str, said: str) -> None:
    assert f"echo gitboot: {said}" == Ipxe().run(disk_script(CONSOLE, "exit", why))[1]


@given(st.text(alphabet="ab| &;#$"))
def test_a_reason_stays_readable(plain: str) -> None:
    said = Ipxe().run(disk_script(CONSOLE, "exit", f"because {plain}"))[1]
    assert [word.strip("'") for word in f"because {plain}".split()] == [word.strip("'") for word in said.split()[2:]]


if __name__ == "__main__":
    for each, make in SCRIPTS.items():
        (GOLDENS / f"{each}.ipxe").write_text(make())
