"""Every notation of a value has one normal form, and what is none says why."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas
from reconciler import values

GOOD = [
    ("mac", "52:54:00:12:34:01", "52:54:00:12:34:01"),
    ("mac", "52-54-00-AB-34-01", "52:54:00:ab:34:01"),
    ("mac", "5254.00aB.3401", "52:54:00:ab:34:01"),
    ("mac", "525400123401", "52:54:00:12:34:01"),
    ("duration", 3600, 3600),
    ("duration", "3600", 3600),
    ("duration", "24h", 86400),
    ("duration", "90m", 5400),
    ("duration", "1h30m", 5400),
    ("duration", "2d1h1m1s", 176461),
    ("limit", 0, 0),
    ("limit", "0s", 0),
    ("count", "3", 3),
    ("size", 1, 1),
    ("size", "480G", 480 * 10**9),
    ("size", "1.92TB", 1_920_000_000_000),
    ("size", "512 GiB", 512 * 2**30),
    ("idle", "profile:x", ("profile", "x")),
    ("idle", "wait", ("wait", None)),
    ("name", "node-01.rack", "node-01.rack"),
    ("domain", "Lab.Example.", "lab.example"),
    ("sha256", "sha256:" + "AB" * 32, "ab" * 32),
    ("serial", "D7BB3E8B", "d7bb3e8b"),
    ("serial", "10000000d7bb3e8b", "d7bb3e8b"),
    ("cmdline", " a=1 \n  b=2\n", "a=1 b=2"),
    ("chain", "tftp://10.1.0.1/x", "tftp://10.1.0.1/x"),
    ("chain", "${next}/x", "${next}/x"),
    ("artifact", "debian/12/vmlinuz", "debian/12/vmlinuz"),
    ("image", "quay.io/a/b:v1@sha256:00", "quay.io/a/b:v1@sha256:00"),
    ("volume", "/dev:/dev:ro", "/dev:/dev:ro"),
    ("device", "/dev/disk/by-id/x", "/dev/disk/by-id/x"),
]

BAD = [
    *(
        ("mac", text)
        for text in ("", "52:54:00:12:34", "52:54:00:12:34:0g", "52:54-00:12:34:01", "53:54:00:12:34:01", "0" * 12)
    ),
    *(("mac", text) for text in ("52:54:00:12:34:01\n", "\u0665254.0012.3401", "ff:ff:ff:ff:ff:ff")),
    *(("ipv4", text) for text in ("", "10.1.0", "10.1.0.01", "10.1.0.1/16", "::1", "224.0.0.1", "0.0.0.0", "255.255.255.255")),
    *(("cidr", text) for text in ("10.1.0.0", "10.1.0.1/16", "10.1.0.0/33", "10.0.0.0/255.0.0.0/8", "fd00::/8", "/8", "x/8")),
    *(("duration", value) for value in ("", "0", 0, -1, "-1h", "1h30", "30m1h", "soon", "1.5h", 2**32, "9" * 40, " 1h", "1h ")),
    *(("limit", value) for value in (-1, "", "x", 2**32)),
    *(("count", value) for value in (-1, 1001, "x", "1.5", "")),
    *(("size", value) for value in ("", 0, -1, "0G", "G", "5X", "5Bi", "1e9", "9" * 40)),
    *(("idle", text) for text in ("", "profile:", "Disk", "profile", "diskx")),
    *(("name", text) for text in ("", "Node", "-a", "a-", "a..b", ".", "a/b", "a_b", "a" * 64, "ä", "a\n", "../a")),
    *(("domain", text) for text in ("", ".", "a..b", "-a.b", "a_b", "a" * 64, ".".join(["a" * 60] * 5))),
    *(("artifact", text) for text in ("", "/a", "../a", "a/../b", "a//b", "a/", "./a", "a b", "a\\b", "http://x/y", "a\x00")),
    *(
        ("url", text)
        for text in ("", "x", "ftp://x/y", "http://", "http:///x", "http://x y", "http://x/\x7f", "file:///etc/passwd")
    ),
    *(("chain", text) for text in ("", "x", "file:///x", "http://x y", "http://x\n")),
    *(("serial", text) for text in ("", "d7bb3e8", "d7bb3e8g", "0x7bb3e8b", "00000d7bb3e8b")),
    *(("sha256", text) for text in ("", "ab", "g" * 64, "a" * 65)),
    *(("cmdline", text) for text in ("a\x00b", "a\x1bb", "a\tb", "a\u2028b")),
    *(("script", text) for text in ("", "echo", " #!ipxe")),
    *(("image", text) for text in ("", "a b", "-a", "a\n", "http://a/b", "x" * 600)),
    *(("volume", text) for text in ("", "/dev", "/dev:", "/dev:dev", "a:/b:c:d", "a:/b\n")),
    *(("pid", text) for text in ("container", "HOST")),
    *(("device", text) for text in ("", "sda", "/dev/../etc/passwd", "/dev/", "/etc")),
]


@pytest.mark.parametrize(("name", "written", "expected"), GOOD)
def test_every_usual_notation_gives_the_normal_form(name: str, written: object, expected: object) -> None:
    assert expected == values.FORMATS[name](written)


@pytest.mark.parametrize(("name", "written"), BAD)
def test_what_is_no_such_value_is_refused_with_a_reason(name: str, written: object) -> None:
    with pytest.raises(ValueError, match=r"^\w.*[^.]$"):
        values.FORMATS[name](written)


@pytest.mark.parametrize("name", values.FORMATS)
@given(text=st.text(max_size=40) | st.text("0123456789abcdef:.-/hms", max_size=20))
def test_any_text_gives_a_value_or_a_value_error(name: str, text: str) -> None:
    with suppress(ValueError):
        values.FORMATS[name](text)


def test_every_format_that_a_schema_names_has_its_parser_and_every_parser_its_use() -> None:
    assert set(values.FORMATS) == {
        each for kind in ("site", "hardware", "profile", "template", "workflow", "secret") for each in used(schemas.load(kind))
    } | {"commit"}  # of a trust floor


def used(schema: object) -> set[str]:
    if isinstance(schema, list):
        return {each for item in schema for each in used(item)}
    if not isinstance(schema, dict):
        return set()
    here = {schema["format"]} if isinstance(schema.get("format"), str) else set()
    return here.union(*(used(item) for item in schema.values()))


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", values.FORMATS)
@pytest.mark.parametrize(
    "text", ["http://" + "a" * 500_000 + " ", "a" + " " * 500_000 + "b", "1" * 500_000 + "h", "a:/" * 200_000 + "\n"]
)
def test_a_value_of_half_a_million_characters_is_judged_in_linear_time(name: str, text: str) -> None:
    with suppress(ValueError):
        values.FORMATS[name](text)
