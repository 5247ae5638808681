"""Formats: one file's bytes become objects of the inventory and problems.

Core. The law: whatever the bytes, the answer is a `FileContent`, and nothing of a file is skipped without a problem that
says so. One module reads each format; all give the same objects.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from reconciler.formats.document import bare_template, is_bare
from reconciler.formats.native import API_VERSION, KINDS, lower
from reconciler.inventory import Object, TemplateDoc
from reconciler.places import Mark, Source
from reconciler.problems import Problem
from reconciler.shape import Complaints, shown, suggestion
from reconciler.yaml import Document, Unreadable, decode, read


@dataclass(frozen=True, slots=True)
class FileContent:
    """What one file says."""

    objects: tuple[Object, ...]
    problems: tuple[Problem, ...]
    broken: frozenset[tuple[str, str]]
    """Kind and name of documents that have problems: known, though there is no object."""
    unread: frozenset[str]
    """The words of a text that could not be read; none as a rule. Whatever it mentions is not missing, but hidden."""

    def moved(self, file: str) -> FileContent:
        """The same content in a file of another name."""
        objects = tuple(replace(each, source=replace(each.source, file=file)) for each in self.objects)
        return replace(self, objects=objects, problems=tuple(replace(problem, file=file) for problem in self.problems))


def words(text: str) -> frozenset[str]:
    """What names in a text are made of."""
    return frozenset(re.findall(r"[\w.-]+", text))


def read_file(file: str, data: bytes) -> FileContent:
    """Reads one file; `file` is what problems call it."""
    if is_bare(data):
        return _bare(file, data)
    reading = read(data)
    nowhere = Complaints(Source(file, Mark(1, 1, (1, 1))))
    for fault in reading.faults:
        nowhere.fault(fault)
    objects: list[Object] = []
    problems = dict(nowhere.found)
    broken: set[tuple[str, str]] = set()
    for document in reading.documents:
        complaints = Complaints(Source(file, document.root))
        if len(reading.documents) > 1 and _is_sops(document.value):
            message = "SOPS takes a file as a whole: give this document a file of its own, and encrypt it there."
            complaints.at(("sops",), "bad-secret", message)
        lowered = _document(document, complaints)
        problems |= complaints.found
        if lowered is not None and not complaints.errors:
            objects.append(lowered)
        elif (named := _named(document.value)) is not None:
            broken.add(named)
    unread = frozenset[str]() if reading.whole else words(data.decode("utf-8", "replace"))
    return FileContent(tuple(objects), tuple(problems), frozenset(broken), unread)


def _bare(file: str, data: bytes) -> FileContent:
    complaints = Complaints(Source(file, Mark(1, 1, (1, 1))))
    template: TemplateDoc | None = None
    try:
        template = bare_template(decode(data), file, complaints)
    except Unreadable as unreadable:
        complaints.fault(unreadable.fault)
    unread = frozenset[str]() if template else words(data.decode("utf-8", "replace"))
    return FileContent((template,) if template else (), tuple(complaints.found), frozenset(), unread)


def _document(document: Document, complaints: Complaints) -> Object | None:
    value = document.value
    if not isinstance(value, dict) or not ("apiVersion" in value or "kind" in value):
        message = "This is not gitboot's and is ignored: a document of gitboot begins with 'apiVersion: gitboot/v1'."
        complaints.at((), "not-gitboot", message, "warning")
        return None
    return lower(value, complaints.source, complaints) if _is_known(value, complaints) else None


def _is_sops(value: object) -> bool:
    return isinstance(value, dict) and value.get("kind") == "Secret" and "sops" in value


def _is_known(value: dict[str, Any], complaints: Complaints) -> bool:
    """Whether format and kind are ones that are read."""
    version, kind = value.get("apiVersion"), value.get("kind")
    if version is None:
        complaints.at((), "missing-field", f"The document needs the field 'apiVersion': add 'apiVersion: {API_VERSION}'.")
    elif version != API_VERSION:
        message = (
            f"{shown(version)} is no format that gitboot reads: write 'apiVersion: {API_VERSION}', or move the file elsewhere."
        )
        complaints.at(("apiVersion",), "unknown-api-version", message)
    elif kind is None:
        complaints.at((), "missing-field", f"The document needs the field 'kind': one of {', '.join(KINDS)}.")
    elif not isinstance(kind, str) or kind not in KINDS:
        hint = suggestion(str(kind), KINDS) or f": there are {', '.join(KINDS)}."
        complaints.at(("kind",), "unknown-kind", f"There is no kind {shown(kind)}{hint}")
    return version == API_VERSION and isinstance(kind, str) and kind in KINDS


def _named(value: object) -> tuple[str, str] | None:
    """Kind and name of a document, as far as they can be told."""
    match value:
        case {"kind": str(kind), "metadata": {"name": str(name)}}:
            return suggested_kind(kind), name
    return None


def suggested_kind(kind: str) -> str:
    """The kind that was meant."""
    close = suggestion(kind, KINDS)
    return next((known for known in KINDS if repr(known) in close), kind)
