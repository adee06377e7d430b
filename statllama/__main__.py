"""`python -m statllama`."""

from statllama.cli import main

main()
