"""`python -m kdexport` is the command `kdexport`."""

from kdexport.cli import main

main()
