"""`python -m service.cli`, for where the script is not on the path."""

from service.cli import main

main()
