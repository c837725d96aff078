"""`python -m adaptax` is the command line."""

from adaptax.cli import main

main()
