"""Origins of a workflow's values: the template's line, and the values of the workflow and the machine that filled it.

Core. The law: the template is rendered again exactly as the compiler did, and what that prints is followed back to the
character of the template and to the keys of the data that it came from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from reconciler.inventory import Hardware, Inventory, WorkflowDoc
from reconciler.origins import Origin, Port, Reason, both, chosen, default, origin, said
from reconciler.places import Mark, Path, Place, Source
from reconciler.render import networks, template_data
from reconciler.template import Trace, compile_template
from reconciler.yaml import read

Keys = tuple[str | int, ...]

_SETTINGS: Mapping[str, tuple[str, str]] = {
    "run": ("run", "1"),
    "repeat": ("repeat", "once"),
    "resets": ("resets", "0"),
    "overwrites": ("overwrites", "of nothing"),
    "retry": ("retry", "0"),
    "on failure": ("onFailure", "rescue"),
    "pending timeout": ("pendingTimeout", "0"),
    "cancel": ("cancel", "false"),
}
"""What a fact calls it → the workflow's field, and what holds without it."""
_WRITTEN = {"on failure": "on-failure", "on timeout": "on-timeout"}
"""What a fact calls it → the template's field, where they differ."""


class WorkOrigins:
    """Of one workflow as it is for `machine`, which does it; the template may have been rendered for another."""

    def __init__(self, inventory: Inventory, machine: Hardware, workflow: WorkflowDoc) -> None:
        self.inventory, self.machine, self.workflow = inventory, machine, workflow
        self.template = inventory.templates[workflow.template]
        named = inventory.machines(workflow)
        self.hardware = machine if machine in named else named[0]

    def setting(self, name: str) -> Reason:
        """A setting of the workflow itself."""
        field, otherwise = _SETTINGS[name]
        return chosen(
            said(self.workflow, ("spec", field), f"workflow {self.workflow.name}'s {field}"),
            otherwise=default(f"{field} {otherwise}"),
        )

    def profile(self) -> Reason:
        return chosen(
            said(self.workflow, ("spec", "profile"), f"workflow {self.workflow.name}'s profile"),
            said(self.machine, ("spec", "profile"), "the machine's profile"),
        )

    def assignment(self) -> Reason:
        """Why the workflow is this machine's."""
        name, labels = self.workflow.name, self.workflow.match_labels
        if labels is None:
            return Reason((origin(self.workflow, ("spec", "hardware"), f"workflow {name} names {self.hardware.name}"),))
        chooses = origin(self.workflow, ("spec", "hardware", "matchLabels"), f"workflow {name} is for all with these labels")
        bears = (origin(self.machine, ("metadata", "labels", key), f"the machine's label {key}") for key in labels)
        return Reason((chooses, *bears))

    def document(self, said_as: str) -> Reason:
        """A value of the document outside of its tasks."""
        key = said_as.replace(" ", "_")
        if key in self._document:
            return self._value((key,))
        return chosen(otherwise=default({"then": "reboot"}.get(key, f"no {said_as}")) if key != "name" else self._named())

    def tasks(self) -> Reason:
        return self._value(("tasks",), leaves=False)

    def worker(self, task: str) -> Reason:
        path = self._task(task)
        if "worker" in self._at(path):
            return self._value((*path, "worker"))
        return Reason((origin(self.machine, ("metadata", "name"), "the machine's name"), self._line(path)))

    def environment(self, task: str, action: str, name: str) -> Reason:
        """An action's own beats its task's."""
        here, around = self._action(task, action), self._task(task)
        own, shared = ((*path, "environment", name) for path in (here, around))
        given = [path for path in (own, shared) if name in self._at(path[:-2]).get("environment", {})]
        value = self._value(given[0])
        return Reason(value.by, tuple(Origin(f"the environment of task {task}", self._line(path).line) for path in given[1:]))

    def image(self, task: str, action: str, known: str) -> Reason:
        """`known`: the reference that the compiler made of it."""
        path = (*self._action(task, action), "image")
        site, value = self.inventory.site, self._value(path)
        prefix = site.images.prefix
        added = prefix and known.startswith(prefix) and not self._rendered(path).startswith(prefix)
        return both(value, Reason(said(site, ("spec", "images", "prefix"), "the site's prefix of images") if added else ()))

    def archive(self, task: str, action: str) -> Reason:
        site, image = self.inventory.site, self._value((*self._action(task, action), "image"))
        archives = (
            said(site, ("spec", "images", "archives", at), "the site's archive") for at in range(len(site.images.archives))
        )
        return both(Reason(tuple(each for archive in archives for each in archive)), image)

    def login(self, task: str, action: str, registry: str) -> Reason:
        site = self.inventory.site
        at = next(at for at, each in enumerate(site.images.pull_secrets) if each.registry == registry)
        secret = origin(site, ("spec", "images", "pullSecrets", at), f"the site's login of {registry}")
        return both(Reason((secret,)), self._value((*self._action(task, action), "image")))

    def secret(self, task: str, action: str, kind: str, target: str) -> Reason:
        path = (*self._action(task, action), "secrets")
        found = (at for at, each in enumerate(self._at(path)) if each.get(kind) == target)
        return self._value((*path, next(found)))

    def field(self, task: str, action: str, name: str) -> Reason:
        """Any other value of an action. Volumes of its task come before its own."""
        path, key = self._action(task, action), _WRITTEN.get(name, name)
        shared = [self._value((*path[:2], key))] if key == "volumes" and key in self._at(path[:2]) else []
        own = [self._value((*path, key))] if key in self._at(path) else []
        return both(*shared, *own) if shared or own else chosen(otherwise=default(f"no {name}"))

    # Where things are in the template ----------------------------------------------------------------------------------

    def _task(self, name: str) -> Path:
        """By the name it has as rendered."""
        tasks = self._document["tasks"]
        return "tasks", next(at for at in range(len(tasks)) if self._rendered(("tasks", at, "name")) == name)

    def _action(self, task: str, name: str) -> Path:
        path = (*self._task(task), "actions")
        found = (at for at in range(len(self._at(path))) if self._rendered((*path, at, "name")) == name)
        return *path, next(found)

    def _at(self, path: Path) -> Any:
        value: Any = self._document
        for step in path:
            value = value[step]
        return value

    def _rendered(self, path: Path) -> str:
        value = self._at(path)
        return self._leaf(value).text if self._whole is None and isinstance(value, str) else str(value)

    def _named(self) -> Origin:
        return origin(self.template, ("metadata", "name"), f"the name of template {self.template.name}")

    def _value(self, path: Path, leaves: bool = True) -> Reason:
        """The template's lines first, then what filled them."""
        parts = tuple(_leaves(self._at(path), path)) if leaves else (path,)
        lines = dict.fromkeys(map(self._line, parts or (path,)))
        filled = dict.fromkeys(keys for leaf in parts for keys in self._read(leaf)) if leaves else ()
        return Reason((*lines, *(found for keys in filled for found in self._datum(keys))))

    def _line(self, path: Path) -> Origin:
        place = self.template.where(("spec", *path)) if self._whole is None else self._place(self._marks.at(path))
        return Origin(f"template {self.template.name}", (place.file, place.line))

    def _place(self, rendered: Place) -> Place:
        """The place in the file of one in the rendered text."""
        whole, text = self._whole, self.template.text or ""
        at = whole.source(_offset(whole.text, rendered)) if whole else 0
        return self.template.place_in_text(text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))

    def _read(self, path: Path) -> tuple[Keys, ...]:
        value = self._at(path)
        if self._whole is None:
            return self._leaf(value).read(0, max(1, len(self._leaf(value).text))) if isinstance(value, str) else ()
        begin = _offset(self._whole.text, self._marks.at(path))
        after = _offset(self._whole.text, self._marks.text(path))
        folded = str(value).count("\n") * 64  # what a block was indented by
        return self._whole.read(begin, max(begin, after) + len(str(value)) + 2 + folded)

    # As rendered -------------------------------------------------------------------------------------------------------

    @cached_property
    def _data(self) -> dict[str, object]:
        return template_data(self.hardware, self.workflow, networks(self.inventory.site, self.hardware))

    def _leaf(self, text: str) -> Trace:
        return compile_template(text).trace(self._data)

    @cached_property
    def _whole(self) -> Trace | None:
        """Of a template that is text; None for fields."""
        return None if self.template.text is None else compile_template(self.template.text).trace(self._data)

    @cached_property
    def _document(self) -> Any:
        """As it was written, or for text as it was rendered."""
        if self._whole is None:
            return dict(self.template.document or {})
        return read(self._whole.text.encode("utf-8", "surrogatepass")).documents[0].value

    @cached_property
    def _marks(self) -> Source:
        text = self._whole.text if self._whole else ""
        documents = read(text.encode("utf-8", "surrogatepass")).documents
        return Source("", documents[0].root if documents else Mark(1, 1, (1, 1)))

    # What filled it ----------------------------------------------------------------------------------------------------

    def _datum(self, keys: Keys) -> tuple[Origin, ...]:
        """Who said a value that a template looked up."""
        first, *rest = keys
        if first in self.workflow.hardware_map:
            what = f"hardwareMap.{first} of workflow {self.workflow.name}"
            return (origin(self.workflow, ("spec", "hardwareMap", *keys), what),)
        if first == "device_1":
            return (origin(self.hardware, ("spec", "interfaces", 0, "mac"), f"the first MAC of {self.hardware.name}"),)
        if first == "hardware":
            return self._hardware(tuple(rest))
        if first == "Hardware":
            return self._hardware(_in_ours(tuple(rest)))
        names = [disk.name for disk in self.hardware.disks]
        at = names.index(str(rest[0])) if rest and rest[0] in names else None
        return (
            origin(
                self.hardware, ("spec", "disks") if at is None else ("spec", "disks", at), f"a disk of {self.hardware.name}"
            ),
        )

    def _hardware(self, path: Path) -> tuple[Origin, ...]:
        """A value of the machine's document, or of its subnet where that says it."""
        match path:
            case ("spec", "interfaces", int(at), ("netmask" | "gateway" | "nameServers") as name):
                port = Port(self.inventory, self.hardware, self.hardware.interfaces[at].mac)
                return port.option({"netmask": 1, "gateway": 3}.get(name, 6)).by
        return (origin(self.hardware, path, f"{'.'.join(map(str, path))} of {self.hardware.name}"),)


_OLDER = {"MAC": "mac", "Hostname": "hostname", "NameServers": "nameServers", "VLANID": "vlan"}
_ADDRESS = {"Address": "address", "Netmask": "netmask", "Gateway": "gateway"}


def _in_ours(path: Path) -> Path:
    """The way to a value that Tinkerbell's older spelling names."""
    match path:
        case ("Disks", *rest):
            return ("spec", "disks", *rest)
        case ("Interfaces", at, "DHCP", "IP", str(name)):
            return ("spec", "interfaces", at, _ADDRESS.get(name, name))
        case ("Interfaces", _, "DHCP", "Arch"):
            return ("spec", "arch")
        case ("Interfaces", at, "DHCP", str(name)):
            return ("spec", "interfaces", at, _OLDER.get(name, name))
    return ("spec", "interfaces")


def _leaves(value: object, path: Path) -> Iterator[Path]:
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else None
    if items is None:
        yield path
    for key, below in items or ():
        yield from _leaves(below, (*path, key))


def _offset(text: str, place: Place) -> int:
    """Of a line and column, both from 1."""
    at = 0
    for _ in range(place.line - 1):
        at = text.index("\n", at) + 1
    return at + place.column - 1
