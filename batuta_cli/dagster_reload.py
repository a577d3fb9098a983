"""Ask a running Dagster web server to load the code location anew, over its GraphQL interface."""

from dataclasses import dataclass
from typing import Any, Literal

import httpx

from batuta_cli.stack.dagster_home import LOCATION

CONNECT_TIMEOUT_S = 1.0
RELOAD_TIMEOUT_S = 120.0

_MUTATION = """
mutation Reload($name: String!) {
  reloadRepositoryLocation(repositoryLocationName: $name) {
    __typename
    ... on WorkspaceLocationEntry { locationOrLoadError { __typename ... on PythonError { message } } }
    ... on PythonError { message }
    ... on ReloadNotSupported { message }
    ... on RepositoryLocationNotFound { message }
    ... on UnauthorizedError { message }
  }
}
"""


@dataclass(frozen=True, slots=True)
class Reload:
    """What came of asking."""

    state: Literal["reloaded", "not running", "failed"]
    reason: str = ""


def reload_code_location(port: int) -> Reload:
    """Reload the code location of the web server on this machine, if there is one."""
    body = {"query": _MUTATION, "variables": {"name": LOCATION}}
    timeout = httpx.Timeout(RELOAD_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    try:
        response = httpx.post(f"http://127.0.0.1:{port}/graphql", json=body, timeout=timeout, trust_env=False)
        answer = response.json()
    except httpx.ConnectError:
        return Reload("not running")
    except (httpx.HTTPError, ValueError) as error:
        return Reload("failed", f"no answer that makes sense from port {port} ({type(error).__name__})")
    return _outcome(answer)


def _outcome(answer: Any) -> Reload:
    data = answer.get("data") if isinstance(answer, dict) else None
    result = data.get("reloadRepositoryLocation") if isinstance(data, dict) else None
    if not isinstance(result, dict):
        return Reload("failed", "the program that answers is not Dagster")
    inner = result.get("locationOrLoadError") or {}
    message = result.get("message") or inner.get("message")
    if message or result.get("__typename") != "WorkspaceLocationEntry":
        return Reload("failed", str(message or result.get("__typename")).strip().splitlines()[0])
    return Reload("reloaded")
