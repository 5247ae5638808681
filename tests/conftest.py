"""What holds for every test: Hypothesis finds the same examples on every machine, and never fails for being slow.

A failure in CI must be a fault of the change, so examples are derived from the test itself; new ones are looked for by hand
(`pytest --hypothesis-profile=search`) and by `make fuzz`. And tests may open as many files as the server may, which raises its
limit when it starts.
"""

import resource

from hypothesis import settings

_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

settings.register_profile("check", max_examples=50, deadline=None, derandomize=True)
settings.register_profile("search", max_examples=1000, deadline=None)
settings.load_profile("check")
