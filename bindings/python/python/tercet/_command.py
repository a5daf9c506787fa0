"""The command `tercet`."""

from __future__ import annotations

import sys


def main() -> int:
    """Runs the command line with the arguments of this process and returns its exit status."""
    from . import _tercet

    run_command = getattr(_tercet, "run_command", None)
    if run_command is None:
        print(
            "error: this build of the Python package has no command line: build it with the feature `full`",
            file=sys.stderr,
        )
        return 1
    return run_command(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
