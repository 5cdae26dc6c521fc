"""`python -m gateway` does what the `gateway` command does."""

from gateway.cli import main

main()
