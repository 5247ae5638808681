"""The catalogue of issues: what each name means, what it comes from, and what to do. `docs/issues.md` is this, printed.

Core. The law: a cause stands before those that are rarer, and each is something that a person can look at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Name = Literal[
    "no-sign-of-life",
    "boot-file-not-fetched",
    "script-not-fetched",
    "kernel-not-fetched",
    "no-agent",
    "agent-lost",
    "action-overdue",
    "run-failed",
    "boot-loop",
    "address-conflict",
    "contested",
    "commit-rejected",
    "git-unreachable",
    "runs-held",
    "other-dhcp-server",
    "unknown-machine",
]


@dataclass(frozen=True, slots=True)
class Kind:
    title: str
    means: str
    causes: tuple[str, ...]
    """The likeliest first."""
    remedy: str


CATALOGUE: Mapping[Name, Kind] = {
    "no-sign-of-life": Kind(
        "Work is due and the machine does not come",
        "Git names work for it, nothing holds it back, and for as long as a boot may take nothing was heard of the machine.",
        (
            "It is powered off, or runs its installed system: nothing here powers machines on or restarts them.",
            "Its disk comes before the network in the boot order.",
            "Its packets do not arrive: cable, VLAN, a relay, a firewall on UDP 67.",
            "The MAC in git is that of another port.",
        ),
        "Restart it with the network first in its boot order. If it does boot from the network, look for its MAC among the "
        "unknown machines, and in the log for `dhcp` lines.",
    ),
    "boot-file-not-fetched": Kind(
        "An address was given, and the boot program did not come up",
        "The firmware asked for an address and was offered one with a boot file, and iPXE has not spoken since.",
        (
            "Another DHCP server answered too, and the firmware took that offer.",
            "TFTP is blocked: a firewall on UDP 69 and above, since answers come from another port.",
            "The boot program is missing: `gitboot doctor` says which, and its package.",
            "Secure Boot refuses an unsigned loader.",
        ),
        "Look at the console of the machine: PXE-E32 is TFTP, PXE-E53 an offer without a boot file. The log has a `tftp` line "
        "for every transfer, also for one that failed.",
    ),
    "script-not-fetched": Kind(
        "iPXE runs and does not fetch its script",
        "iPXE asked for an address and was given one, and no request for its boot script came.",
        (
            "HTTP is not reachable from the machine: a firewall, a gateway, or `spec.server` of the Site.",
            "iPXE waits for an IPv6 router, which takes a quarter of a minute: `--router-advertisement`.",
            "It lost its link: spanning tree on the switch port (set it to edge or portfast).",
        ),
        "Fetch `/healthz` from another host in the machine's network. The console of the machine says the URL it tries.",
    ),
    "kernel-not-fetched": Kind(
        "The script was handed out, and no kernel was fetched",
        "The machine has its boot script and has not begun to load the kernel that it names.",
        (
            "The artefact is gone or has changed since the plan was made: the log has a 404.",
            "The kernel's URL points elsewhere, and that server is not reachable from the machine.",
            "The machine was switched off in between.",
        ),
        "The console of the machine says which file failed and why. `gitboot render` shows the script.",
    ),
    "no-agent": Kind(
        "The kernel was loaded, and no agent came",
        "The in-memory OS was fetched and did not get as far as asking for work.",
        (
            "It has no driver for the network card, or needs firmware that is not in it: `gitboot os build --firmware`.",
            "It has too little memory for its initrd.",
            "The server is not reachable by HTTPS from it: a firewall on `--https-port`.",
            "Its kernel command line lacks what the agent needs, in a profile of your own.",
        ),
        "Its console says it. `gitboot.rescue` on the profile's command line opens a shell.",
    ),
    "agent-lost": Kind(
        "The agent was at work, and is silent",
        "A run is in progress and no heartbeat came for 90 seconds. The run goes on when it is heard again.",
        (
            "Power, or a reset.",
            "The network: a cable, or a workflow that reconfigured the interface.",
            "The system hangs, for instance out of memory.",
        ),
        "Look at its console. A reset fails the task, or begins it anew where the workflow allows `resets`.",
    ),
    "action-overdue": Kind(
        "An action runs longer than it may",
        "Its time limit has passed, the agent is alive, and has not said that it stopped the action.",
        ("The container engine hangs.", "A disk does not answer, so that nothing that waits for it can be stopped."),
        "Look at the action's log and the machine's console; a reset ends it.",
    ),
    "run-failed": Kind(
        "A run has failed",
        "A workflow that git still asks for ended FAILED or TIMEOUT, and no try is left. Nothing after it starts.",
        (
            "The action says why: its reason and its log.",
            "A disk in git matches none or several of the machine's: the reason names it.",
            "An image or a file could not be fetched.",
        ),
        "Mend the cause, raise `run` in the Workflow, and push.",
    ),
    "boot-loop": Kind(
        "The machine comes back from its disk again and again",
        "It was handed over to its disk and asked again within minutes, several times in a row. It is not installed again.",
        (
            "The installed system does not boot: no boot loader, or one for the other firmware.",
            "The way of handing over does not suit its firmware: `handover`.",
            "The installed system restarts by itself.",
        ),
        "Look at its console after the hand-over; docs/handover.md has the ways that firmwares need.",
    ),
    "address-conflict": Kind(
        "Its address is in use by another host",
        "The machine probed the address that git gives it, and somebody answered.",
        (
            "A host with a static address in the range.",
            "Another DHCP server that gives the same addresses.",
            "A copied virtual machine.",
        ),
        "Find the other host (`ip neighbour`, the switch's table), and give one of them another address.",
    ),
    "contested": Kind(
        "Somebody else wants to speak for the machine",
        "While its agent was at work another host came with a good token for it, and has to wait.",
        ("The machine was reset a moment ago, and the new start waits for the old one.", "A host fetched its boot script."),
        "If it does not end within a minute, look who has the address that asks: docs/security.md.",
    ),
    "commit-rejected": Kind(
        "The newest commit is not served",
        "It has errors; the last good plan stays in service, and nothing has changed.",
        ("A mistake in the inventory, at the place that the problem names.", "A commit that nobody listed has signed."),
        "`gitboot check` says all of it; docs/problems.md explains each.",
    ),
    "git-unreachable": Kind(
        "Git cannot be read",
        "The repository was not reachable for minutes. The last good plan serves, and commits are not seen.",
        ("The server of the repository, or the way to it.", "Credentials that have expired.", "A branch that is gone."),
        "The message is git's own. `gitboot check REPO@BRANCH` on the same host tries the same.",
    ),
    "runs-held": Kind(
        "No new run starts",
        "Machines are served, and work that is due waits.",
        (
            "Somebody froze the site: `gitboot unfreeze`.",
            "The state directory has no history, and nobody said that this is right.",
        ),
        "The message says who and why.",
    ),
    "other-dhcp-server": Kind(
        "Another DHCP server answers in this network",
        "Two that give addresses on one wire take turns at being obeyed.",
        ("A home router.", "A forgotten server, or a hypervisor's own."),
        "Turn it off, or use the mode `proxy` in the Site, which leaves addresses to it: docs/networks.md.",
    ),
    "unknown-machine": Kind(
        "A machine that is not in git asks to boot",
        "Its MAC is in no Hardware document.",
        ("It is new.", "It boots from another port than the one in git.", "Its network card was replaced."),
        "Add its MAC to git and push.",
    ),
}
