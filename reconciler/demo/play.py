"""The demo's story: a site comes up, its machines do what git says, a commit changes one, and it is done again.

Shell. Everything that is claimed on the screen was seen from outside: over DHCP, or in a status file over HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.demo import wire
from reconciler.demo.edit import Edit, propose
from reconciler.demo.fleet import Document, Fleet, Observation, observe
from reconciler.demo.machine import Machine, Place
from reconciler.demo.rows import Row
from reconciler.demo.screen import Screen
from reconciler.demo.site import Server, Site, serving, site

DEADLINE = 55.0
"""Seconds for the story when nobody is there to watch it."""
LOOK_SECONDS = 0.1
"""Between two looks at the status files."""
ON_THE_WIRE_SECONDS = 10.0
ASK_SECONDS = 0.005
"""Between two DHCP questions after the commit: how finely its way to the wire is measured."""


@dataclass(frozen=True, slots=True)
class Settings:
    inventory: Path
    artifacts: frozenset[str]
    """Paths that it names."""
    images: frozenset[str]
    """What its work runs in."""
    left: frozenset[str]
    """Names of the machines that stay off."""
    environment: Mapping[str, str]
    once: bool
    pace: float
    """Seconds each step of a simulated machine takes at least."""
    http_port: int
    """0: a free one."""


async def play(settings: Settings, screen: Screen) -> None:
    """Ends after the story with `once`, else when it is cancelled. Raises Failed, or Sentence for what a person can mend."""
    began = time.monotonic()
    with site(settings.inventory, settings.artifacts, settings.environment, settings.images) as made:
        screen.step(f"commit {made.head()} made from {settings.inventory.name}; gitboot serve starts")
        async with serving(made, settings.http_port) as server:
            place = Place(server.network, made.folder / "machines", settings.environment, settings.pace)
            async with Fleet(place, screen.note) as fleet:
                story = Story(made, server, fleet, screen, settings.left)
                if settings.once:
                    await story.tell_within(DEADLINE - (time.monotonic() - began))
                else:
                    await story.tell()
                    await story.go_on()


class Story:
    def __init__(self, site: Site, server: Server, fleet: Fleet, screen: Screen, left: frozenset[str]) -> None:
        self._site = site
        self._server = server
        self._fleet = fleet
        self._screen = screen
        self._left = left
        self._seen = Observation({}, {})
        self._known = ""
        """The last commit that the screen spoke of."""

    async def tell_within(self, seconds: float) -> None:
        """Raises Failed also when a run did not succeed or time is up."""
        try:
            async with asyncio.timeout(seconds):
                await self._begin()
                self._check_runs()
                await self._change()
        except TimeoutError:
            raise self._server.failure(f"time was up after {DEADLINE:.0f} seconds: {self._states()}") from None
        self._check_runs()

    def _check_runs(self) -> None:
        """Raises Failed when one has ended badly: its machine keeps to its plan, so that it would hear of no commit."""
        states = {status["run"]["state"] for status in self._seen.hardware.values() if status["run"]}
        if states & {"FAILED", "TIMEOUT", "CANCELLED"}:
            raise self._server.failure(f"not every run succeeded: {self._states()}")

    async def tell(self) -> None:
        """From an empty site to a machine that a commit changed. Raises Failed when the server does not do its part."""
        await self._begin()
        await self._change()

    async def _begin(self) -> None:
        """The first act: every machine boots, works and is at rest."""
        network = self._server.network
        self._screen.step(f"gitboot serve listens: DHCP {network.dhcp}, TFTP {network.tftp}, HTTP {network.http}")
        await self._until(lambda: bool(self._seen.hardware))
        self._screen.step(f"the commit is served; {len(self._seen.hardware)} machines are switched on")
        if self._left:
            self._screen.step(f"{len(self._left)} stay off: their work needs containers, which the demo has none of")
        self._screen.step(f"status files: {network.url}/status/index.json")
        await self._until(lambda: self._fleet.at_rest)
        self._screen.step("every machine has done its work")

    async def _change(self) -> None:
        """The second act: one commit, seen on the wire, and the machine that it changes."""
        # A machine that waits in its boot loader keeps to its boot's plan until it asks again; one on its disk hears at once.
        last_first = reversed(self._fleet.machines.items())
        for name, machine in sorted(last_first, key=lambda each: each[1].phase != "disk"):
            lease = await wire.offer(self._server.network, machine.firmware)
            run = self._seen.hardware[name]["run"]
            texts = self._site.texts()
            edit = propose(texts, lease.host_name, run["workflow"], run["number"]) if run else propose(texts, lease.host_name)
            if edit is not None:
                break
        else:
            self._screen.step("no machine of this inventory has a host name that can be changed; edit it yourself")
            return
        await self._push(machine, lease.host_name, edit)
        if not edit.work:
            self._fleet.switch_on(name)
        await self._until(lambda: machine.host_name == edit.host_name and self._fleet.at_rest)
        self._screen.step(f"{name} booted as {edit.host_name}" + (f" and did {edit.work}" if edit.work else ""))

    async def _push(self, machine: Machine, old: str, edit: Edit) -> None:
        """The clock starts before git does and stops at the first DHCP answer that says the new name."""
        began = time.monotonic()
        committing = asyncio.create_task(asyncio.to_thread(self._site.commit, edit))
        try:
            async with asyncio.timeout(ON_THE_WIRE_SECONDS):
                while (await wire.offer(self._server.network, machine.firmware)).host_name != edit.host_name:
                    await asyncio.sleep(ASK_SECONDS)
        except TimeoutError:
            raise self._server.failure(f"the commit was not on the wire after {ON_THE_WIRE_SECONDS:.0f} seconds") from None
        took = time.monotonic() - began
        self._screen.step(f"git commit {await committing}: {edit.message}")
        self._screen.step(f"{took * 1000:.0f} ms after `git commit` began, DHCP says {old} -> {edit.host_name}")

    async def go_on(self) -> None:
        """Machines react to commits until it is cancelled."""
        self._screen.explain(self._advice())
        self._known = self._seen.reconcile["head"]
        await self._until(self._announce)

    def _announce(self) -> bool:
        """Say what became of a new commit. Never content: there may always be another."""
        word = self._seen.reconcile
        if word["head"] != self._known:
            self._known = word["head"]
            served = word["head"] == word["revision"]
            self._screen.step(f"commit {word['head'][:7]} is served" if served else _refusal(word))
        return False

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Look, react and show, until the condition holds. Raises Failed when the server has ended."""
        while True:
            self._server.check()
            try:
                self._seen = (await observe(self._server.network.url)).without(self._left)
            except wire.Silence as error:
                self._server.check()
                raise self._server.failure(f"the server does not answer: {error}") from None
            self._fleet.follow(self._seen.hardware)
            self._screen.show(self._rows())
            if condition():
                return
            if not self._seen.reconcile["revision"] and self._seen.reconcile["problems"]:
                raise self._server.failure(_refusal(self._seen.reconcile))
            await asyncio.sleep(LOOK_SECONDS)

    def _rows(self) -> tuple[Row, ...]:
        return self._fleet.rows(self._seen.hardware)

    def _states(self) -> str:
        """Where every machine stands, with what is wrong."""
        return "; ".join(
            " ".join(filter(None, (f"{row.machine}: {row.phase}", row.workflow, row.state, row.reason, row.trouble)))
            for row in self._rows()
        )

    def _advice(self) -> tuple[tuple[str, str], ...]:
        url, name = self._server.network.url, max(self._fleet.machines)
        run = self._seen.hardware[name]["run"]
        return (
            ("Look", f"{url}/status/index.json"),
            ("", f"{url}/status/hardware/{name}.json"),
            *((("", f"{url}/status/workflows/{run['workflow']}.json"),) if run else ()),
            ("Edit", f"{self._site.repository}"),
            ("", "change a file there, `git commit -a`, and see what the machines do"),
            ("Log", f"{self._site.folder}/server.log"),
            ("End", "Ctrl-C ends all of it and removes what it made"),
        )


def _refusal(reconcile: Document) -> str:
    """The first error of a commit that is not served."""
    errors = [problem for problem in reconcile["problems"] if problem["severity"] == "error"]
    first = next((f"{one['file']}:{one['line']}:{one['column']}: {one['message']}" for one in errors), "no reason is given")
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    served = f"; {reconcile['revision'][:7]} stays served" if reconcile["revision"] else ""
    return f"commit {reconcile['head'][:7]} is rejected{served}: {first}{more}"
