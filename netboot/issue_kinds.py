"""The catalogue of issues: what each name means, what it comes from, and what to do. `docs/issues.md` is this, printed.

Core. The law: a cause stands before those that are rarer, and each is something that a person can look at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Name = Literal[
    "no-sign-of-life",
    "no-address",
    "offer-not-taken",
    "boot-program-missing",
    "boot-file-not-fetched",
    "script-not-fetched",
    "kernel-not-fetched",
    "no-agent",
    "agent-lost",
    "action-overdue",
    "clock-skew",
    "run-failed",
    "disk-not-matched",
    "back-after-success",
    "boot-loop",
    "address-conflict",
    "contested",
    "commit-rejected",
    "git-unreachable",
    "plan-held",
    "plan-not-loaded",
    "forge-unreachable",
    "notices-undelivered",
    "runs-held",
    "secret-unreadable",
    "journal-failed",
    "state-full",
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
        "Git names work for it, nothing holds it back, and for as long as a boot may take nothing was heard of the machine; or "
        "it was told to restart, and did not come back within the time that this takes.",
        (
            "It is powered off, or runs its installed system: nothing here powers machines on or restarts them.",
            "Its disk comes before the network in the boot order.",
            "Its packets do not arrive: cable, VLAN, a relay, a firewall on UDP 67.",
            "The MAC in git is that of another port.",
            "Its last boot came to a standstill, in the phase that the message names.",
        ),
        "Restart it with the network first in its boot order. If it does boot from the network, look for its MAC among the "
        "unknown machines, and in the log for `dhcp` lines.",
    ),
    "no-address": Kind(
        "It asks for an address and is given none",
        "Git names the machine, and its DHCP packets are heard and not answered. The message says why.",
        (
            "It is cabled to another network than the one that git puts it in: the switch port, or its VLAN.",
            "Git gives it no address, and the `range` of its subnet is used up.",
            "The address is another machine's until that one's boot ends, which began before the last push.",
            "Its subnet is not in the Site.",
        ),
        "Correct its address or the Site's subnets and push, or cable it to the network that git names.",
    ),
    "offer-not-taken": Kind(
        "It was offered an address and did not take it",
        "The firmware was offered an address with a boot program, and went with another server, which the message names if it "
        "was heard, or fell silent.",
        (
            "Another DHCP server answers in its network, and the firmware took that offer.",
            "The offer does not reach it: a relay, or a switch that lets DHCP answers in from one port only (DHCP snooping).",
            "Its firmware wants something that the offer lacks: its console says what.",
        ),
        "Turn the other server off, or use the mode `proxy` in the Site, which leaves addresses to it: docs/networks.md. "
        "`gitboot doctor --probe`, run in its network, lists whoever answers.",
    ),
    "boot-program-missing": Kind(
        "There is no boot program for its firmware",
        "The machine asked for an address, and is told to fetch a boot program that the server does not have.",
        (
            "The package with iPXE is not installed on the server.",
            "It is of an architecture that no Debian package has iPXE for: 64-bit ARM, 32-bit UEFI.",
            "`loader` in git names a file that is not in the folder of `--loaders`.",
        ),
        "`gitboot doctor` says how to get each; programs are read when the server starts, so start it again then.",
    ),
    "boot-file-not-fetched": Kind(
        "An address was given, and the boot program did not come up",
        "The firmware was given an address with a boot file, and iPXE has not spoken since.",
        (
            "TFTP is blocked: a firewall on UDP 69 and above, since answers come from another port.",
            "Another DHCP server sent it a boot file of its own.",
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
        "An action runs longer than it should",
        "Its time limit has passed, or it takes more than twice as long as on machines like it: of its model, or, where "
        "that is not known or was seen too seldom, all of them. Its agent is alive.",
        (
            "What it fetches comes slowly: the mirror, the registry, or the network between.",
            "A disk is about to fail, or does not answer, so that nothing that waits for it can be stopped.",
            "The container engine hangs.",
        ),
        "Look at the action's log and the machine's console; a reset ends it.",
    ),
    "clock-skew": Kind(
        "The machine's clock is not the server's",
        "Its agent says another time than the server has, by more than a minute: certificates may seem not to be valid, and "
        "lines of their logs cannot be laid beside each other.",
        (
            "The clock of the server was set, or its host slept, after the machine had taken its time from it.",
            "Its in-memory OS is one of your own that does not take its time from the server.",
            "An action has set the clock, or its battery is empty and the date is that of the firmware.",
        ),
        "Compare both with a third: `timedatectl` on the server shows whether NTP is at work. A machine that is restarted "
        "takes the server's time again.",
    ),
    "run-failed": Kind(
        "A run has failed",
        "A workflow that git still asks for ended FAILED or TIMEOUT, and no try is left. Nothing after it starts.",
        (
            "The action says why: its reason and its log.",
            "An image or a file could not be fetched.",
        ),
        "Mend the cause, raise `run` in the Workflow, and push.",
    ),
    "disk-not-matched": Kind(
        "A disk that git names is not there, or not only once",
        "The work asks for a disk of the machine by what git says of it, and none of its disks is like that, or several are. "
        "Nothing was started, and nothing written.",
        (
            "A disk was replaced, and git has the serial of the old one.",
            "Git says a size only, and the machine has several disks of that size.",
            "The controller hides the disk: RAID mode, a driver or firmware that the in-memory OS lacks.",
        ),
        "The message says what is there. Correct `disks` of the Hardware document, raise `run` in the Workflow, and push.",
    ),
    "back-after-success": Kind(
        "It booted from the network again soon after its work had succeeded",
        "A run ended SUCCESS, the machine was handed over to its disk, and asked again within minutes. It is not installed "
        "again. It goes by itself once the machine has kept away for ten minutes.",
        (
            "The installed system restarts itself after its first start, as many do: then this passes.",
            "The installed system does not boot: no boot loader, or one for the other firmware.",
            "Somebody restarted it.",
        ),
        "Look at its console after the hand-over. Coming back a third time makes it a boot loop.",
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
    "plan-held": Kind(
        "Policy holds work back",
        "The newest commit would do more than the site's policy lets one commit do. What is held starts nowhere until it is "
        "released.",
        (
            "The commit is meant, and somebody else has to approve it: the message says how.",
            "The commit does more than its author meant.",
        ),
        "`gitboot plan` shows what the commit would do; docs/policy.md has the ways to release it, and reverting it is one.",
    ),
    "plan-not-loaded": Kind(
        "The newest plan cannot be served",
        "The reconciler has published a plan that the servers cannot read. The one before it serves on.",
        (
            "The disk of the state directory is damaged or full.",
            "Reconciler and servers are of different versions.",
            "The servers' user may not read what the reconciler wrote.",
        ),
        "The log has a `plan-not-loaded` line with the file. The reconciler writes the plan again at its next look at git.",
    ),
    "forge-unreachable": Kind(
        "The forge is not told of commits",
        "What is to stand beside commits in GitHub, GitLab or Gitea does not get there. Machines are served as always.",
        ("The token has expired, or lacks a permission.", "The forge, or the way to it."),
        "The message is the forge's own answer; docs/reviewing-a-change.md says what the token must be allowed.",
    ),
    "notices-undelivered": Kind(
        "Somebody who is to be told of issues is not",
        "A target of `--notify` has taken nothing for five minutes. What it was to be told waits, over restarts.",
        (
            "The chat, the mail server, or the way to it is down.",
            "Its address, secret or password has changed.",
            "A proxy of the server's environment (`https_proxy`) does not let it through.",
        ),
        "`gitboot notify FILE` tries it again and says what is answered; a change of the file takes a restart of the server.",
    ),
    "runs-held": Kind(
        "No new run starts",
        "Machines are served, and work that is due waits.",
        (
            "Somebody froze the site: `gitboot unfreeze`.",
            "It is outside of the hours in which policy lets runs start.",
            "The state directory has no history, and nobody said that this is right.",
        ),
        "The message says who and why.",
    ),
    "secret-unreadable": Kind(
        "A secret cannot be read",
        "Work that needs it does not start.",
        (
            "The server was not given the key: `--age-identity`.",
            "It is encrypted to other keys than the server's.",
            "Secrets travel by HTTPS only, and `--https-port off` turns that off.",
            "The file was changed by hand.",
        ),
        "The message says which of it. docs/secrets.md says how to encrypt a secret to the server's key; keys are read when "
        "the server starts.",
    ),
    "journal-failed": Kind(
        "Nothing can be recorded",
        "The journal cannot be written. Machines are answered with what needs no record; no boot opens and no run starts until "
        "it can be written again.",
        (
            "The disk of the state directory is full.",
            "The file system was mounted read-only after an error of the disk.",
            "Somebody changed the owner of the directory.",
        ),
        "Make room, or mend the disk; the server tries again by itself.",
    ),
    "state-full": Kind(
        "The disk of the state directory is nearly full",
        "Less than half a gigabyte is left for the journal, plans and logs.",
        ("Logs of actions and consoles.", "Mirrored artefacts.", "Something else on the same disk."),
        "`du -sh STATE/*` shows where it went: `logs/` and `recordings/` may be removed, `journal/` may not.",
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
