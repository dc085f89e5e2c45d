"""Exports made the same for every run, as the captures that crates/otlp/tests/golden keeps.

Ids are numbered, times are counted in the order in which they came, and what tells of the machine is left out.
"""

import json
import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "crates" / "otlp" / "tests" / "golden"
FIRST_NANOSECOND = 1_772_442_900_000_000_000  # 2026-03-02T09:15:00Z
IDS = {"traceId": 32, "spanId": 16, "parentSpanId": 16}
TIMES = ("startTimeUnixNano", "endTimeUnixNano", "timeUnixNano", "observedTimeUnixNano")
# Where the parts of an export stand, and by which of their times they are put in order.
PARTS = {
    "resourceSpans": ("scopeSpans", "spans", "startTimeUnixNano"),
    "resourceLogs": ("scopeLogs", "logRecords", "observedTimeUnixNano"),
}
RESOURCE = {"service.name", "telemetry.sdk.language"}
# What differs from run to run, by the name of its attribute.
VARYING = re.compile(r"stacktrace|timestamp|msTo|PerSecond|time_to|duration|thread\.|process\.|start_time|end_time")
VARYING_TEXTS = [
    (re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"), "00000000-0000-0000-0000-000000000000"),
    (re.compile(r"(127\.0\.0\.1:)\d+"), r"\g<1>8080"),
    (re.compile(r"Traceback \(most recent call last\).*", re.DOTALL), "Traceback"),
    (re.compile(r"aitxt-\w+"), "aitxt-0"),
]


def write(name, exports):
    """Writes a bot's capture; its name is the dialect's, and what follows its first dash the scenario's."""
    dialect, _, scenario = name.partition("-")
    file = FOLDER / dialect / f"{scenario or 'plain'}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(normalised(exports), indent=1, ensure_ascii=False) + "\n")


def normalised(exports):
    """One export with all spans, and all log records where there are any, in the order of their beginnings."""
    found = {part: _found(exports, part) for part in PARTS}
    times = sorted({int(time) for all in found.values() for _, _, one in all for time in _times(one)})
    moments = {time: str(FIRST_NANOSECOND + 1_000_000 * rank) for rank, time in enumerate(times)}
    ids = {}

    def tidy(value, key=""):
        if isinstance(value, dict):
            if "key" in value and VARYING.search(value["key"]):
                return {"key": value["key"], "value": {"stringValue": "…"}}
            return {name: tidy(inner, name) for name, inner in sorted(value.items())}
        if isinstance(value, list):
            return [tidy(inner) for inner in value]
        if key in IDS and value:
            return ids.setdefault(value, f"{len(ids) + 1:0{IDS[key]}x}")
        if key in TIMES:
            return moments.get(int(value), value)
        if isinstance(value, str):
            for pattern, instead in VARYING_TEXTS:
                value = pattern.sub(instead, value)
        return value

    export = {}
    for part, (scopes, items, _) in PARTS.items():
        for resource, scope, one in found[part]:
            kept = [one for one in resource.get("attributes", []) if one["key"] in RESOURCE]
            one = tidy(one)
            one["attributes"] = sorted(one.get("attributes", []), key=lambda attribute: attribute["key"])
            inner = {"scope": tidy(scope), items: [one]}
            export.setdefault(part, []).append({"resource": {"attributes": kept}, scopes: [inner]})
    return export


def _found(exports, part):
    """Every span, or log record, with its resource and its scope."""
    scopes, items, time = PARTS[part]
    found = []
    for resource in [resource for export in exports for resource in export.get(part, [])]:
        for scope in resource[scopes]:
            found += [(resource.get("resource", {}), scope.get("scope", {}), one) for one in scope[items]]
    return sorted(found, key=lambda one: int(one[2][time]))


def _times(one):
    events = [event["timeUnixNano"] for event in one.get("events", [])]
    return [one[time] for time in TIMES if int(one.get(time, 0))] + events
