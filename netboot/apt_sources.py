"""Where this host's apt finds Debian: its sources, read and written again for a private apt.

Core. The law: a mirror is never named here. What the host's administrator configured is used as it is, with other suites in
place of the host's own. Both notations of sources.list(5): one line each, and deb822 stanzas.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

_LINE = re.compile(r"deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.+)")
_SPELLED = {"signed-by": "Signed-By", "trusted": "Trusted"}
"""Options that a source cannot be trusted without, as deb822 spells them."""


@dataclass(frozen=True, slots=True)
class Source:
    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    options: tuple[tuple[str, str], ...] = ()
    """Further fields of the stanza; a key may be written out below its field, in lines that are kept as they stand."""


def read_sources(text: str) -> list[Source]:
    """The binary sources of one `*.sources` or `*.list` file; what is disabled or cannot be read is left out."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    if any(line.startswith("deb") for line in lines):
        return [source for line in lines if (source := _one_line(line))]
    stanzas = re.split(r"\n\s*\n", "\n".join(lines))
    return [source for stanza in stanzas if (source := _stanza(stanza))]


def of_suites(
    sources: Iterable[Source], codename: str, wanted: Iterable[str], components: Iterable[str] = ("main",)
) -> list[Source]:
    """Debian's own sources among these, for the suites `wanted` in place of `codename`, with updates and security as before.

    Of `components` those that a source has."""
    debian = [f"{codename}{pocket}" for pocket in ("", "-updates", "-security")]
    found = []
    for source in sources:
        own = [suite for suite in source.suites if suite in debian]
        if own and "main" in source.components:
            suites = tuple(name.replace(codename, suite) for suite in wanted for name in own)
            having = tuple(name for name in components if name in source.components)
            found.append(replace(source, suites=suites, components=having))
    return found


def write_sources(sources: Iterable[Source]) -> str:
    """Stanzas, as they stand in a `*.sources` file."""
    return "\n".join(
        "\n".join(
            [
                "Types: deb",
                f"URIs: {' '.join(source.uris)}",
                f"Suites: {' '.join(source.suites)}",
                f"Components: {' '.join(source.components)}",
                *(f"{name}: {value}" for name, value in source.options),
                "",
            ]
        )
        for source in sources
    )


def _one_line(line: str) -> Source | None:
    found = _LINE.fullmatch(line.partition("#")[0].strip())
    if not found:
        return None
    given = dict(option.partition("=")[::2] for option in (found[1] or "").split())
    options = tuple((_SPELLED[name.lower()], value) for name, value in given.items() if name.lower() in _SPELLED)
    return Source((found[2],), (found[3],), tuple(found[4].split()), options)


def _stanza(text: str) -> Source | None:
    fields = {name.lower(): value.strip() for name, value in re.findall(r"^([A-Za-z-]+):(.*(?:\n[ \t].*)*)", text, re.M)}
    if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false", "0"):
        return None
    options = tuple((spelled, fields[name]) for name, spelled in _SPELLED.items() if name in fields)
    uris, suites, components = (tuple(fields.get(name, "").split()) for name in ("uris", "suites", "components"))
    return Source(uris, suites, components, options)
