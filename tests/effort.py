"""How many examples a costly property gets: all of them in CI, a third where a person waits (`make check`).

Core. Law: which they are follows from the test and the number alone, so both are the same on every machine.
"""

from hypothesis import settings

QUICK = "quick"
"""The profile of `make check`."""


def examples(all_of_them: int) -> int:
    return all_of_them // 3 if settings.get_current_profile_name() == QUICK else all_of_them
