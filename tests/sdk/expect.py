"""Comparing whole answers: every key, every type, with placeholders for what differs from run to run."""

import re


class Placeholder:
    """Equals every value of one kind, and shows its name where the comparison fails."""

    def __init__(self, name, fits):
        self.name = name
        self.fits = fits

    def __eq__(self, value):
        return self.fits(value)

    def __repr__(self):
        return f"<{self.name}>"


def _is_id(value):
    return type(value) is int and value > 0


# UTC, `Z`, microseconds, and no fraction at all when it is zero.
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")

ID = Placeholder("a positive integer", _is_id)
TIME = Placeholder(
    "a time like 2026-03-02T09:15:00.123456Z", lambda value: isinstance(value, str) and bool(_TIME.fullmatch(value))
)
URL = Placeholder("an absolute URL", lambda value: isinstance(value, str) and value.startswith("http://"))


def text_with(*parts):
    """A text that contains every one of `parts`."""
    return Placeholder(
        f"a text with {', '.join(map(repr, parts))}",
        lambda value: isinstance(value, str) and all(part in value for part in parts),
    )


def assert_is(actual, expected):
    """`actual` is `expected`: the same keys, the same types (150 is not 150.0, True is not 1), the same order."""
    differences = list(_differences(actual, expected, "answer", exact=True))
    assert not differences, "\n".join(differences)


def assert_holds(actual, expected):
    """As `assert_is`, but objects may have further keys: what a documentation page promises and nothing more."""
    differences = list(_differences(actual, expected, "answer", exact=False))
    assert not differences, "\n".join(differences)


def _differences(actual, expected, path, exact):
    if isinstance(expected, Placeholder):
        if expected != actual:
            yield f"{path}: {actual!r} is not {expected!r}"
    elif type(actual) is not type(expected):
        yield f"{path}: {actual!r} ({type(actual).__name__}) is not {expected!r} ({type(expected).__name__})"
    elif isinstance(expected, dict):
        for key in expected.keys() - actual.keys():
            yield f"{path}.{key}: missing, expected {expected[key]!r}"
        for key in actual.keys() - expected.keys() if exact else ():
            yield f"{path}.{key}: not expected, is {actual[key]!r}"
        for key in expected.keys() & actual.keys():
            yield from _differences(actual[key], expected[key], f"{path}.{key}", exact)
    elif isinstance(expected, list):
        if len(actual) != len(expected):
            yield f"{path}: {len(actual)} entries instead of {len(expected)}: {actual!r}"
        for index, (one, other) in enumerate(zip(actual, expected)):
            yield from _differences(one, other, f"{path}[{index}]", exact)
    elif actual != expected:
        yield f"{path}: {actual!r} is not {expected!r}"
