"""The command line: ``anatomend serve | generate | repair | detect | models | jobs | keys | config``.

Pictures are written as PNG. An existing file is overwritten, as ``cp`` and ``curl -o`` do, but only by a
complete new one: a run that fails leaves the old file unchanged. Exit codes: 0, 1 for an internal failure,
2 for a mistake in the request, 3 for a model that cannot be loaded, 4 for a busy or unreachable service.
"""

from service.cli.commands import app, main

__all__ = ["app", "main"]
