"""``python -m agentsight``: the command."""

import sys

from agentsight._command import main

sys.exit(main())
