"""`python -m agent`. Law: nothing is decided here."""

import sys

from agent.main import main

sys.exit(main())
