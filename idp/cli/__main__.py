"""`python -m idp.cli`, the `idp` command where none is installed."""

from idp.cli import main

main(prog_name="idp")
