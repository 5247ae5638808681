"""TFTP at the door: programs at once, a machine's step once it is in the journal, files of the plan by digest."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from netboot.boot import Plans
from netboot.events import BootOpened
from netboot.log import Log
from netboot.plan import Interface, Machine, RaspberryPi
from netboot.plans import PlanStore
from netboot.server import Netboot
from netboot.settings import Settings
from netboot.store import Unavailable
from netboot.tftp import File, NotFound
from netboot.tftp_front import TftpFront
from netboot.world import World
from tests.netboot.site import logged, mac, machine, plan, world

BIG = bytes(range(256)) * 4096
DIGEST = hashlib.sha256(BIG).hexdigest()
PEER = ("10.1.0.1", 2070)
STEP = f"grub/boot.cfg-01-{mac(1)}"
PXELINUX = f"pxelinux.cfg/01-{mac(1).replace(':', '-')}"


def visit(
    tmp_path: Path,
    story: Callable[[World, TftpFront], Awaitable[None]],
    empty: bool = False,
    machines: Sequence[Machine] = (),
    **settings: Any,
) -> None:
    """A world with an artefact folder and a served plan, and its door."""
    folder = tmp_path / "art"
    folder.mkdir()
    (folder / "vmlinuz").write_bytes(BIG)

    async def run() -> None:
        shown = None if empty else plan(*machines, artifacts={"vmlinuz": DIGEST}, **settings)
        async with world(tmp_path / "state", shown, artifacts=folder) as here:
            await story(here, TftpFront(here))

    asyncio.run(run())


async def found(front: TftpFront, path: str, peer: str = PEER[0]) -> File | NotFound:
    answer = front.find(path, (peer, PEER[1]))
    return answer if isinstance(answer, File | NotFound) else await answer


async def text(front: TftpFront, path: str) -> str:
    file = await found(front, path)
    assert isinstance(file, File), file
    content = file.read(0, file.size)
    file.close()
    return content.decode("latin-1")


async def refusal(front: TftpFront, path: str, peer: str = PEER[0]) -> str:
    answer = await found(front, path, peer)
    assert isinstance(answer, NotFound), answer
    return answer.reason


def test_programs_and_first_configurations_are_there_at_once(tmp_path: Path) -> None:
    async def story(here: World, front: TftpFront) -> None:
        assert isinstance(front.find("undionly.kpxe", PEER), File)
        first = front.find("grub/x86_64-efi/grub.cfg", PEER)
        assert isinstance(first, File)
        assert first.read(0, first.size).startswith(b"set gitboot=(tftp,$net_default_server)\n")
        assert "`gitboot doctor` says which there are" in await refusal(front, "nothing.efi")

    visit(tmp_path, story)


@pytest.mark.parametrize(("path", "says"), [(STEP, "echo 'gitboot: node-01"), (PXELINUX, "SAY gitboot: node-01")])
def test_a_machine_is_told_its_step_once_its_boot_is_in_the_journal(tmp_path: Path, path: str, says: str) -> None:
    async def story(here: World, front: TftpFront) -> None:
        told = await text(front, path)
        assert told.startswith(says)
        assert f"artifacts/sha256/{DIGEST}" in told
        (opened,) = [event for _, event in here.directory.read() if isinstance(event, BootOpened)]
        assert f"gitboot.boot={opened.boot}" in told
        assert "gitboot.server=http://10.1.0.1" in told
        await text(front, path)
        assert 1 == sum(isinstance(event, BootOpened) for _, event in here.directory.read()), "the boot was joined"

    visit(tmp_path, story)


def test_without_a_configured_address_machines_are_sent_to_the_one_they_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(here: World, front: TftpFront) -> None:
        monkeypatch.setattr("netboot.tftp_front._address_towards", lambda peer: f"10.1.0.9 (towards {peer})")
        assert "gitboot.server=http://10.1.0.9 (towards 10.1.0.1)" in await text(front, STEP)

    visit(tmp_path, story, server="")


def test_a_script_with_a_token_is_for_its_machine_s_own_address(tmp_path: Path) -> None:
    async def story(here: World, front: TftpFront) -> None:
        for path in (STEP, PXELINUX):
            assert "holds a token, so it is for 10.1.0.1 only and not for 10.1.0.66" in await refusal(front, path, "10.1.0.66")
        assert [] == list(here.observed.boots), "and nothing has happened"

    visit(tmp_path, story)


def test_a_stranger_is_noted_and_told_nothing(tmp_path: Path) -> None:
    async def story(here: World, front: TftpFront) -> None:
        assert f"no machine in git has the MAC {mac(9)}" == await refusal(front, f"grub/boot.cfg-01-{mac(9)}")
        assert [mac(9)] == [stranger.mac for stranger in here.strangers.list()]

    visit(tmp_path, story)


def test_a_stranger_of_a_site_that_lets_it_wait_is_told_to(tmp_path: Path) -> None:
    async def story(here: World, front: TftpFront) -> None:
        assert "sleep 30" in await text(front, f"grub/boot.cfg-01-{mac(9)}")

    visit(tmp_path, story, unknown="wait")


def test_before_there_is_a_plan_a_machine_is_told_why_it_must_ask_again(tmp_path: Path) -> None:
    async def story(here: World, front: TftpFront) -> None:
        assert "no plan is served yet: no commit has been accepted so far" == await refusal(front, STEP)
        assert "no served plan has an artefact with this sha256" == await refusal(front, f"artifacts/sha256/{DIGEST}")

    visit(tmp_path, story, empty=True)


def test_what_cannot_be_journalled_is_not_told(tmp_path: Path) -> None:
    async def story(here: World, front: TftpFront) -> None:
        here.directory.journal.failure = Unavailable("no space")
        assert "no space" == await refusal(front, STEP)

    visit(tmp_path, story)


def test_a_defect_costs_one_request_and_leaves_a_line(tmp_path: Path) -> None:
    async def story(here: World, front: TftpFront) -> None:
        here.hold = lambda: 1 / 0  # type: ignore[assignment,method-assign,return-value] # a defect, on purpose
        assert "this is a defect of gitboot; its log says more" == await refusal(front, STEP)
        assert ["request-failed"] == [line["event"] for line in logged(here.log) if line["level"] == "error"]
        assert 1 == here.counts["tftp", "defect"]

    visit(tmp_path, story)


def test_a_file_of_the_plan_is_sent_by_its_digest_and_takes_its_boot_further(tmp_path: Path) -> None:
    async def story(here: World, front: TftpFront) -> None:
        assert BIG.decode("latin-1") == await text(front, f"artifacts/sha256/{DIGEST}/vmlinuz")
        assert "no served plan has an artefact with this sha256" == await refusal(front, "artifacts/sha256/" + "0" * 64)

    visit(tmp_path, story)


def test_a_file_that_was_replaced_is_not_sent_under_the_old_digest(tmp_path: Path) -> None:
    async def story(here: World, front: TftpFront) -> None:
        (tmp_path / "art" / "vmlinuz").write_bytes(b"another")
        assert "has changed or is gone" in await refusal(front, f"artifacts/sha256/{DIGEST}")

    visit(tmp_path, story)


def test_a_file_that_is_written_to_while_it_is_sent_breaks_off(tmp_path: Path) -> None:
    async def story(here: World, front: TftpFront) -> None:
        file = await found(front, f"artifacts/sha256/{DIGEST}")
        assert isinstance(file, File)
        with (tmp_path / "art" / "vmlinuz").open("r+b") as changed:
            changed.write(b"x" * 600)
            changed.truncate(9000)
        with pytest.raises(OSError, match="written to"):
            file.read(0, 512)
        file.close()

    visit(tmp_path, story)


# --- a Raspberry Pi ---------------------------------------------------------------------------------------------------------

SERIAL, PI_MAC = "d7bb3e8b", "dc:a6:32:01:36:c2"
PI = Machine("pi", "aarch64", (Interface(PI_MAC, PEER[0], "pi", "rack1"),), rpi=RaspberryPi(SERIAL, "rpi4", "arm_64bit=1\n"))
ASKED = [f"{SERIAL}/start4.elf", f"{SERIAL.upper()}/start4.elf", f"{PI_MAC.replace(':', '-')}/start4.elf", "start4.elf"]


def at_a_pi(tmp_path: Path, story: Callable[[World, TftpFront], Awaitable[None]], *machines: Machine) -> None:
    """A world whose plan has one Pi, at PEER's address, and its firmware."""
    folder = tmp_path / "art/rpi4/overlays"
    folder.mkdir(parents=True)
    files = {"rpi4/start4.elf": b"firmware", "rpi4/config.txt": b"the folder's", "rpi4/overlays/vc4.dtbo": b"overlay"}
    for path, data in files.items():
        (tmp_path / "art" / path).write_bytes(data)
    digests = {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}

    async def run() -> None:
        shown = plan(*(machines or (PI, machine(2))), artifacts={"vmlinuz": "0" * 64, **digests})
        async with world(tmp_path / "state", shown, artifacts=tmp_path / "art") as here:
            await story(here, TftpFront(here))

    asyncio.run(run())


@pytest.mark.parametrize("path", ASKED)
def test_a_pi_is_sent_its_firmware_however_it_says_who_it_is(tmp_path: Path, path: str) -> None:
    async def story(here: World, front: TftpFront) -> None:
        assert "firmware" == await text(front, path)
        assert "overlay" == await text(front, path.replace("start4.elf", "overlays/vc4.dtbo"))
        assert "arm_64bit=1\n" == await text(front, path.replace("start4.elf", "config.txt"))
        await refusal(front, path.replace("start4.elf", "recovery.elf"))
        await refusal(front, path.replace("start4.elf", "../vmlinuz"))

    at_a_pi(tmp_path, story)


def test_without_one_in_git_config_txt_is_the_folders(tmp_path: Path) -> None:
    async def story(here: World, front: TftpFront) -> None:
        assert "the folder's" == await text(front, f"{SERIAL}/config.txt")

    at_a_pi(tmp_path, story, replace(PI, rpi=RaspberryPi(SERIAL, "rpi4")))


def test_a_pi_of_nobodys_is_sent_nothing(tmp_path: Path) -> None:
    async def story(here: World, front: TftpFront) -> None:
        assert "git names no start4.elf for 00000001" == await refusal(front, "00000001/start4.elf")
        assert "git names no start4.elf for 02:00:00:00:00:09" == await refusal(front, "02-00-00-00-00-09/start4.elf")

    at_a_pi(tmp_path, story)


def test_a_pi_that_does_not_boot_from_the_network_is_sent_nothing(tmp_path: Path) -> None:
    async def story(here: World, front: TftpFront) -> None:
        for path in ASKED:
            await refusal(front, path)

    at_a_pi(tmp_path, story, replace(PI, interfaces=(replace(PI.interfaces[0], netboot=False),)))


def test_a_pi_keeps_to_the_firmware_its_boot_began_with(tmp_path: Path) -> None:
    async def story(here: World, front: TftpFront) -> None:
        assert here.plans is not None
        old = here.plans.current
        boot = BootOpened(at=here.now(), boot="b1", machine="pi", macs=(PI_MAC,), mac=PI_MAC, plan=old.id, via="dhcp")
        await here.ledger.commit((boot,))
        here.plans = Plans(plan(machine(2)).plan, {old.id: old})
        assert "firmware" == await text(front, f"{SERIAL}/start4.elf")

    at_a_pi(tmp_path, story)


def test_a_files_path_is_enough_where_a_configuration_from_git_names_it(tmp_path: Path) -> None:
    async def story(here: World, front: TftpFront) -> None:
        assert BIG.decode("latin-1") == await text(front, "vmlinuz")
        assert "no network boot program" in await refusal(front, "vmlinux")

    visit(tmp_path, story, machines=(Machine("m", "x86_64", (Interface(mac(1), PEER[0], "m", "rack1"),)),))


def test_curl_gets_a_pis_files_from_the_whole_server(tmp_path: Path) -> None:
    (tmp_path / "art/rpi4").mkdir(parents=True)
    (tmp_path / "art/rpi4/start4.elf").write_bytes(BIG)
    PlanStore(tmp_path / "state/plans").publish(plan(PI, artifacts={"vmlinuz": "0" * 64, "rpi4/start4.elf": DIGEST}))

    async def run() -> None:
        settings = Settings(
            tmp_path / "state", tmp_path / "art", None, "127.0.0.1", None, -1, tftp_port=0, http_port=0, https_port=-1
        )
        async with Netboot(settings, Log(io.StringIO())).running() as server:
            for name, expected in (("start4.elf", BIG), ("config.txt", b"arm_64bit=1\n")):
                url = f"tftp://127.0.0.1:{server.tftp_port}/{SERIAL}/{name}"
                curl = await asyncio.create_subprocess_exec("curl", "-s", url, stdout=asyncio.subprocess.PIPE)
                assert expected == (await curl.communicate())[0]

    asyncio.run(run())
