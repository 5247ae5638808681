"""What holds for every test: Hypothesis finds the same examples on every machine, and never fails for being slow.

A failure in CI must be a fault of the change, so examples are derived from the test itself; new ones are looked for by hand
(`pytest --hypothesis-profile=search`) and by `make fuzz`, and `make check` tries fewer (`quick`). And tests may open as many
files as the server may, which raises its limit when it starts. And whatever a server recorded in a test is answered again after
it (`tests/replaying.py`).
"""

import resource
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.effort import QUICK
from tests.replaying import assert_all_the_same

_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

settings.register_profile("check", max_examples=50, deadline=None, derandomize=True)
settings.register_profile(QUICK, max_examples=20, deadline=None, derandomize=True)
settings.register_profile("search", max_examples=1000, deadline=None)
settings.load_profile("check")


@pytest.fixture(autouse=True)
def what_servers_recorded_is_answered_the_same_again(request: pytest.FixtureRequest) -> Iterator[None]:
    """First of all fixtures, so that it looks when every server has ended."""
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if folder is not None:
        assert_all_the_same(folder)
