"""The console command ``agentsight``: the server's own code, run from the extension."""

import signal
import sys


def main() -> int:
    """Runs the command with this process's arguments and gives its exit code."""
    from agentsight._native import command

    # Python's own handler would only note a Ctrl-C; the command ends on it, or hears it itself.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return command(["agentsight", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
