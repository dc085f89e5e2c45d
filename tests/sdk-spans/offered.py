"""Routes that are built after this suite: their tests wait for them, and for nothing else."""

import pytest


def wait_for(bot, method, path, absent=(404, 405)):
    """Skips the test while the server does not know the route."""
    status = bot.request(method, path).status_code
    if status in absent:
        pytest.skip(f"{method} {path} is not there yet ({status})")
