"""`python -m reconciler` is the `gitboot` command, for where the script is not on PATH."""

from reconciler.cli import main

main()
