"""People ask in their own words, and the settings they mean answer."""

from __future__ import annotations

import pytest

from reconciler.asked import answers, nearest
from reconciler.origins import Reason
from reconciler.why import NEXT, Explained

ONE, TWO = "52:54:00:12:34:01", "52:54:00:12:34:02"
NAMES = [
    NEXT,
    f"host name {ONE}",
    f"option 3 (routers) {ONE}",
    f"option 15 (domain-name) {ONE}",
    f"option 15 (domain-name) {TWO}",
    f"option 51 (dhcp-lease-time) {ONE}",
    f"option 119 (domain-search) {ONE}",
    "idle",
    "workflow install actions",
    "workflow install action os/wipe image",
    "workflow install action os/wipe env DISK",
    'workflow install action os/"two words" env IMG_URL',
    "workflow install action os/boot env IMG_URL",
    "workflow later action os/look env IMG_URL",
    "profile inspect kernel",
    "profile inspect kernel argument console",
]
KNOWN = [Explained(name, "value", Reason(())) for name in NAMES]


@pytest.mark.parametrize(
    ("question", "meant"),
    [
        (f"option 15 (domain-name) {TWO}", [4]),
        ("option 15", [3, 4]),
        (f"option 15 {TWO}", [4]),
        ("domain-name", [3, 4]),
        ("domain", [3, 4, 6]),
        ("Lease Time", [5]),
        ("gateway", [2]),
        ("hostname", [1]),
        ("idle", [7]),
        ("kernel argument console", [15]),
        ("console", [15]),
        ("action 3 env IMG_URL", [12]),
        ("action 2 env IMG_URL", [11]),
        ("install action 1", [9, 10]),
        ("action os/boot env IMG_URL", [12]),
        ("action wipe env disk", [10]),
        ("env IMG_URL", [11, 12, 13]),
        ("workflow later env IMG_URL", [13]),
        ("is it netbooting?", [0]),
        ("why does it netboot", [0]),
        ("env NOTHING", []),
        ("is it", []),
    ],
)
def test_a_setting_is_found_by_the_words_that_people_have_for_it(question: str, meant: list[int]) -> None:
    assert [NAMES[at] for at in meant] == [each.setting for each in answers(question, KNOWN)]


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("optoin 15", "option 15 (domain-name)"),
        ("kernel argument consol", "profile inspect kernel argument console"),
        ("IMG_ULR", 'workflow install action os/"two words" env IMG_URL'),
        ("hostnam", "host name"),
    ],
)
def test_what_nobody_has_is_answered_with_the_nearest_names(question: str, first: str) -> None:
    assert (first, ()) == (nearest(question, KNOWN)[0], answers(question, KNOWN))
