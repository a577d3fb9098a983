"""Addresses among an account's settings: of services that are given a token, so that it never travels in clear."""

from __future__ import annotations

import ipaddress
from typing import Annotated, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError


def on_this_machine(host: str) -> bool:
    """Whether a host is a loopback, so that what is sent there leaves no machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _service_address(value: str) -> str:
    try:
        parts = urlsplit(value)
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        parts, host = urlsplit(""), None
    if (
        parts.scheme not in ("http", "https")
        or not host
        or parts.query
        or parts.fragment
        or "@" in parts.netloc
    ):
        raise PydanticCustomError("address", "must be an address such as https://api.example.com")
    if parts.scheme == "http" and not on_this_machine(host):
        raise PydanticCustomError(
            "clear_address",
            "must begin with https: over http the credentials travel in clear; only to this machine (127.0.0.1)",
        )
    return value.rstrip("/")


ServiceAddress: TypeAlias = Annotated[str, AfterValidator(_service_address)]
"""`https://`, or `http://` on this machine; without a query, and without a slash at its end."""
