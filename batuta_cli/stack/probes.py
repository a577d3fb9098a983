"""Whether a service answers, and whether Dagster is well."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TIMEOUT_S = 5.0

LOCATIONS_QUERY = """
query { workspaceOrError { __typename ... on Workspace { locationEntries {
  name loadStatus locationOrLoadError { __typename ... on PythonError { message } } } } } }
"""
DAEMONS_QUERY = """
query { instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }
"""


def http_ok(url: str) -> bool:
    """Whether `url` answers with a status below 400."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            return answer.status < 400
    except (OSError, urllib.error.URLError, ValueError):
        return False


def socket_answers(path: Path) -> bool:
    """Whether something accepts connections at a Unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(TIMEOUT_S)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def graphql(port: int, query: str) -> Mapping[str, Any] | None:
    """Dagster's answer to a query; None when it does not answer."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        data=json.dumps({"query": query}).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return json.load(answer).get("data")
    except (OSError, urllib.error.URLError, ValueError):
        return None


def code_problem(port: int) -> str | None:
    """Why the code location is not loaded; None when it is."""
    data = graphql(port, LOCATIONS_QUERY)
    if data is None:
        return "the Dagster webserver does not answer"
    entries = data["workspaceOrError"].get("locationEntries", [])
    for entry in entries:
        loaded = entry["locationOrLoadError"] or {}
        if loaded.get("__typename") == "PythonError":
            return f"code location {entry['name']}: {loaded['message'].strip()}"
        if entry["loadStatus"] != "LOADED":
            return f"code location {entry['name']} is loading"
    return None if entries else "no code location is loaded"


def sick_daemons(port: int) -> list[str] | None:
    """Dagster daemons that should run and do not; None when the webserver does not answer."""
    data = graphql(port, DAEMONS_QUERY)
    if data is None:
        return None
    statuses = data["instance"]["daemonHealth"]["allDaemonStatuses"]
    return [status["daemonType"] for status in statuses if status["required"] and not status["healthy"]]
