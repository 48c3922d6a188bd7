"""The command line: ``anatomend serve | generate | repair | detect | models | jobs | keys | config``.

Pictures are written as PNG. A file that is there is overwritten, as ``cp`` and ``curl -o`` do, but only by a
whole new one: a run that fails leaves the old file as it was. Exit codes: 0, 1 for a failure inside, 2 for a
mistake in the request, 3 for a model that cannot be loaded, 4 for a service that is busy or out of reach.
"""

from service.cli.commands import app, main

__all__ = ["app", "main"]
