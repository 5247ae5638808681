"""Reading an inventory without a server: what several commands share."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from netboot.artifacts import ArtifactStore
from netboot.plan import Artifact, Binding, BootPlan
from netboot.secrets import Keys
from reconciler.check import as_text
from reconciler.compile import Compiler
from reconciler.errors import BadSource, Unavailable
from reconciler.images import Held
from reconciler.inventory import Inventory
from reconciler.problems import Problem, Rejected
from reconciler.reader import Reader
from reconciler.reconcile import archives_of
from reconciler.secret_refs import unopened
from reconciler.sentence import Sentence
from reconciler.snapshot import Snapshot
from reconciler.target import parse_target, snapshot_of_target
from reconciler.values import mac as normal_mac


def target_at(target: str, rev: str | None) -> str:
    """PATH_OR_REPO[@REV] of both. Raises Sentence when they name two revisions."""
    if rev is None:
        return target
    if (named := parse_target(target).rev) is not None:
        raise Sentence(f"{target} names the revision {named} already; leave that or --at {rev} away.", 2)
    return f"{target}@{rev}"


def read(target: str, artifacts: Path | None, keys: Keys | None = None) -> tuple[BootPlan | None, tuple[Problem, ...]]:
    """The plan a target compiles to, None when there is an error, and all its problems.

    Without `artifacts` the files of profiles are taken at their word, without `keys` the values of secrets. Raises Sentence
    when the target cannot be read at all.
    """
    try:
        inventory, plan, problems = compiled(snapshot_of_target(target), artifacts)
    except Rejected as rejected:
        return None, rejected.problems
    except (Unavailable, BadSource) as error:
        raise Sentence(str(error), 2) from None
    sealed = unopened(inventory, keys) if keys and inventory else ()
    return plan, (*problems, *sealed)


def compiled(snapshot: Snapshot, artifacts: Path | None) -> tuple[Inventory | None, BootPlan | None, tuple[Problem, ...]]:
    """What a snapshot says and the plan it compiles to, None when there is an error, and its problems."""
    inventory, problems = Reader().read(snapshot)
    return inventory, *(compile_found(Compiler(), inventory, artifacts, problems) if inventory else (None, problems))


def compile_found(
    compiler: Compiler, inventory: Inventory, artifacts: Path | None, problems: tuple[Problem, ...]
) -> tuple[BootPlan | None, tuple[Problem, ...]]:
    """The plan of an inventory that was read with these problems, and all of its problems."""
    made = compiler.compile(inventory, *found(inventory, artifacts))
    return made.dump.plan if made.dump else None, (*problems, *made.problems)


def read_plan(target: str, artifacts: Path | None) -> BootPlan:
    """The plan of a target that can be served. Raises Sentence."""
    plan, problems = read(target, artifacts)
    if plan is None:
        raise Sentence(f"This inventory cannot be served:\n{as_text(problems)}")
    return plan


def find_machine(plan: BootPlan, text: str) -> Binding:
    """By name, which means its first interface that boots from the network, or by a MAC in any usual notation."""
    if text in plan.machines:
        machine = plan.machines[text]
        boots = [interface for interface in machine.interfaces if interface.netboot]
        return Binding(machine, (boots or machine.interfaces)[0])
    try:
        found = plan.by_mac.get(normal_mac(text))
    except ValueError:
        found = None
    if found is None:
        close = get_close_matches(text.lower(), plan.machines, n=1)
        hint = f"did you mean {close[0]}?" if close else f"machines in it: {len(plan.machines)}."
        raise Sentence(f"There is no machine {text!r} in this inventory; {hint}", 2)
    return found


def found(inventory: Inventory, folder: Path | None) -> tuple[dict[str, Artifact], dict[str, Held]] | tuple[None, None]:
    """What is in the artefact folder; URLs are taken at their word here, the server fetches and verifies them."""
    if folder is None:
        return None, None
    store = ArtifactStore(folder, None)
    references = [each for profile in inventory.profiles.values() for each in profile.references]
    firmware = [path for each in inventory.firmware for path in store.below(each)]
    here = store.find([*(each.path for each in references if each.path), *inventory.site.images.archives, *firmware])
    archives = archives_of(inventory, here, store)
    return here | {each.url: Artifact(each.url, each.sha256) for each in references if each.url and each.sha256}, archives
