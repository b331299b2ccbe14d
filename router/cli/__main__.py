"""``python -m router.cli``: how a server in the background is started, and shows in a list of processes."""

from router.cli.main import main

main()
