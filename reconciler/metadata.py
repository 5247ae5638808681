"""Metadata: what a machine's own system is told on request, as a person wrote it and as the plan has it.

Core. The law: what is here is read by everybody on the machine and by everybody who listens, so it can hold no secret: one that
is encrypted would reach the machine as it is, which helps nobody, and rejects the commit. User-data that calls itself
`#cloud-config` is YAML, or the commit is rejected with its line: cloud-init would ignore all of it, and nobody would know why.
"""

from __future__ import annotations

from dataclasses import dataclass

from netboot import plan as boot
from reconciler.inventory import Hardware, Site
from reconciler.places import Path
from reconciler.shape import Complaints
from reconciler.yaml import read

LONGEST = 64 * 1024
"""Bytes of user-data and of vendor-data; AWS has 16 KiB."""
_CLOUD_CONFIG = "#cloud-config"
_ENCRYPTED = ("ENC[AES256_GCM,", "-----BEGIN AGE ENCRYPTED FILE-----")
_PRIVATE = "PRIVATE KEY-----"


@dataclass(frozen=True, slots=True)
class _Text:
    what: str
    path: Path
    text: str


def check_metadata(lowered: Site | Hardware, complaints: Complaints) -> None:
    """Complains of every text of a site or a machine that its systems could not use, or that everybody could."""
    texts = [_Text("vendor-data", ("spec", "vendorData"), lowered.vendor_data or "")]
    if isinstance(lowered, Hardware):
        texts.append(_Text("user-data", ("spec", "userData"), lowered.user_data))
    for each in texts:
        size = len(each.text.encode("utf-8", "surrogatepass"))
        if size > LONGEST:
            message = f"This {each.what} has {size} bytes, and {LONGEST} are allowed: let it fetch the rest (#include)."
            complaints.at(each.path, "bad-value", message)
        _check_secrets(each, complaints)
        if each.text.split("\n", 1)[0].rstrip() == _CLOUD_CONFIG:
            _check_cloud_config(each, complaints)


def _check_secrets(said: _Text, complaints: Complaints) -> None:
    if any(mark in said.text for mark in _ENCRYPTED):
        message = (
            f"This {said.what} holds something encrypted, which the machine would get as it is, for everybody to read: let an "
            "action of a workflow write the secret (docs/security.md)."
        )
        complaints.at(said.path, "secret-in-metadata", message)
    elif _PRIVATE in said.text:
        message = (
            f"This {said.what} holds a private key, which everybody on the machine and on its network can read: let an action "
            "of a workflow write it."
        )
        complaints.at(said.path, "secret-in-metadata", message, "warning")


def _check_cloud_config(said: _Text, complaints: Complaints) -> None:
    """In a literal block (`|`) a fault has the line of the file that it is in; else that of the value."""
    reading = read(said.text.encode("utf-8", "surrogatepass"))
    written = complaints.source.at(said.path)
    begin = complaints.source.text(said.path)
    for fault in reading.faults:
        message = f"This {said.what} begins with {_CLOUD_CONFIG} and is not YAML, in line {fault.line} of it: {fault.message}"
        if begin == written:
            complaints.at(said.path, "bad-cloud-config", message)
        else:
            complaints.in_text(said.path, fault.line - 1, fault.column - 1, "bad-cloud-config", message)
    if not reading.faults and not (len(reading.documents) == 1 and isinstance(reading.documents[0].value, dict)):
        message = f"This {said.what} begins with {_CLOUD_CONFIG}, so the rest must be one map, such as 'packages: [chrony]'."
        complaints.at(said.path, "bad-cloud-config", message)


def metadata_of(site: Site, hardware: Hardware) -> boot.Metadata | None:
    """As the plan has it; None when neither the machine nor the site says anything."""
    keys = site.public_keys if hardware.public_keys is None else hardware.public_keys
    made = boot.Metadata(hardware.instance_id or "", keys, hardware.user_data, hardware.vendor_data)
    return None if made == boot.Metadata() else made
