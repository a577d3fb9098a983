"""The Admin GraphQL API of one shop: credentials, cost, versions, and what its refusals mean.

Messages to people hold codes and names of fields, never what a query asked for or an answer said.
Protocol: shopify.dev/docs/api/usage/limits, /usage/versioning, /usage/response-codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import orjson

from sensors.connectors.pulling import (
    Account,
    Answer,
    Gone,
    Permanent,
    RateLimited,
    SourceFailed,
    Tools,
    Unauthorized,
)
from sensors.connectors.reading import JsonObject, object_at, text_at
from sensors.connectors.shopify import Settings, shop_domain

_THROTTLED_TRIES: Final = 12
_SHAKY_TRIES: Final = 4
_EXPECTED: Final = (200, 401, 402, 403, 404, 423)
_LEAST_WAIT_S: Final = 1.0
_TOKEN: Final = "x-shopify-access-token"  # noqa: S105 - a header's name
_REINSTALL: Final = (
    "Install the app anew, put its new token into the account's credentials and run `batuta apply`."
)
_FROZEN_S: Final = 3600
# Shopify says so in a page for people, not in JSON.
_NOT_INSTALLED: Final = b"app_not_installed"


class TooDear(SourceFailed):
    """A query costs more than Shopify allows a single one."""


class BadCursor(SourceFailed):
    """A cursor of an earlier answer is not accepted any more."""


class ShopApi:
    """Asks one shop, within its cost budget, for one call of a puller."""

    def __init__(self, account: Account, tools: Tools) -> None:
        settings = account.settings
        assert isinstance(settings, Settings)
        self.settings = settings
        self.tools = tools
        self.shop = shop_of(account)
        self.version_given: str | None = None
        """The API version that the last answer says it is of."""
        self._base = settings.api_url or f"https://{self.shop}"
        self._credentials = account.credentials
        self._token: str | None = None
        self._cost: float = 0.0
        self._available: float | None = None
        self._restore_per_s = 50.0

    def ask(self, query: str, variables: Mapping[str, Any] | None = None) -> JsonObject:
        """The data of an answer.

        Raises:
            Gone: the app is not installed any more, or there is no such shop.
            Unauthorized: the app lacks a right.
            TooDear, BadCursor, RateLimited, SourceFailed: see there.
        """
        self._save_up()
        shaky = 0
        for _ in range(_THROTTLED_TRIES + _SHAKY_TRIES):
            document = self._post(query, variables or {})
            errors = [error for error in document.get("errors") or () if isinstance(error, dict)]
            codes = {_code(error) for error in errors}
            if "THROTTLED" in codes:
                self._pause_for(document)
            elif "INTERNAL_SERVER_ERROR" in codes and shaky < _SHAKY_TRIES:
                shaky += 1
                self.tools.calls.pause(2.0**shaky, "Shopify has an error of its own; it is asked again later")
            elif errors or document.get("errors"):
                raise _refusal(errors, codes, self.settings.api_version)
            else:
                return object_at(document, "data")
        raise RateLimited(
            f"{self.shop} has no room for our queries", self.tools.clock() + timedelta(seconds=60)
        )

    def drift(self) -> str | None:
        """A sentence if another version of the API answers than was asked for, else None."""
        asked = self.settings.api_version
        if self.version_given in (None, asked):
            return None
        return (
            f"Shopify answers in API version {self.version_given} where {asked} was asked for: {asked} is retired. "
            "Set settings.apiVersion to a supported one and watch the quarantine."
        )

    def _post(self, query: str, variables: Mapping[str, Any]) -> JsonObject:
        url = f"{self._base}/admin/api/{self.settings.api_version}/graphql.json"
        answer = self.tools.calls.request(
            "POST",
            url,
            headers={_TOKEN: self._access_token()},
            json={"query": query, "variables": dict(variables)},
            expect=_EXPECTED,
        )
        self._judge(answer)
        self.version_given = answer.headers.get("x-shopify-api-version")
        document = _json(answer.body)
        if document is None:
            raise SourceFailed(f"{self.shop} answers with something that is no JSON object")
        self._note_cost(document)
        return document

    def _judge(self, answer: Answer) -> None:
        """What a status says of the account. A shop that has not paid comes back; an app that was removed does not."""
        match answer.status:
            case 401:
                raise Gone(f"{self.shop} does not know our token: the app was removed there", hint=_REINSTALL)
            case 404:
                raise Gone(f"there is no shop {self.shop}, or it was closed", hint=_REINSTALL)
            case 402 | 423:
                word = "frozen for want of payment" if answer.status == 402 else "locked"
                raise RateLimited(
                    f"the shop {self.shop} is {word}", self.tools.clock() + timedelta(seconds=_FROZEN_S)
                )
            case 403:
                raise Unauthorized(
                    f"{self.shop} refuses our app (403)",
                    hint="Give the app the scopes that docs/connectors/shopify.md names, and install it anew.",
                )
            case _:
                return

    def _access_token(self) -> str:
        if self._token is None:
            given = self._credentials.get("accessToken")
            self._token = given.decode("ascii", "replace").strip() if given else self._token_for_a_day()
        return self._token

    def _token_for_a_day(self) -> str:
        """Client credentials grant: an app of one's own organisation gets a token that lives 24 hours.

        Raises:
            Gone: the app is not installed in the shop.
            Unauthorized: it gets no token for another reason.
        """
        client_id, secret = self._credentials.get("clientId"), self._credentials.get("clientSecret")
        if not client_id or not secret:
            raise Unauthorized(
                f"the account of {self.shop} has no credentials to fetch with",
                hint="Name credentials.accessToken, or credentials.clientId and clientSecret, in the manifest.",
            )
        answer = self.tools.calls.request(
            "POST",
            f"{self._base}/admin/oauth/access_token",
            form={
                "grant_type": "client_credentials",
                "client_id": client_id.decode("utf-8", "replace").strip(),
                "client_secret": secret.decode("utf-8", "replace").strip(),
            },
            expect=(200, 400, 401, 403, 404),
        )
        token = text_at(_json(answer.body) or {}, "access_token") if answer.status == 200 else None
        if token is None and _NOT_INSTALLED in answer.body:
            raise Gone(f"{self.shop} gives our app no token: it is not installed there", hint=_REINSTALL)
        if token is None:
            raise Unauthorized(
                f"{self.shop} gives the app no token ({answer.status})",
                hint="Are client id and secret the app's, is it of the shop's organisation, and installed?",
            )
        return token

    def _note_cost(self, document: JsonObject) -> None:
        cost = object_at(object_at(document, "extensions"), "cost")
        status = object_at(cost, "throttleStatus")
        self._cost = _number(cost.get("requestedQueryCost")) or self._cost
        available = _number(status.get("currentlyAvailable"))
        self._available = self._available if available is None else available
        self._restore_per_s = max(_number(status.get("restoreRate")) or self._restore_per_s, 1.0)

    def _save_up(self) -> None:
        """Wait until the next query of the last one's cost can be paid, rather than be refused."""
        if self._available is not None and self._available < self._cost:
            missing = self._cost - self._available
            self._available = None
            self.tools.calls.pause(missing / self._restore_per_s, "the shop's query budget is used up")

    def _pause_for(self, document: JsonObject) -> None:
        missing = self._cost - (self._available or 0.0)
        seconds = max(missing / self._restore_per_s, _LEAST_WAIT_S)
        self.tools.calls.pause(seconds, "Shopify asks us to ask less often")


def shop_of(account: Account) -> str:
    """The shop an account is.

    Raises:
        Permanent: neither its settings nor its name say so.
    """
    settings = account.settings
    named = (settings.shop if isinstance(settings, Settings) else None) or account.name
    if not named:
        raise Permanent(
            "the account does not say which shop it is",
            hint="Set settings.shop to name.myshopify.com in the product's manifest.",
        )
    return shop_domain(named)


def _refusal(errors: list[JsonObject], codes: set[str], version: str) -> SourceFailed:
    if "ACCESS_DENIED" in codes:
        path = next((error.get("path") for error in errors if _code(error) == "ACCESS_DENIED"), None)
        steps = [step for step in path if isinstance(step, str)] if isinstance(path, list) else []
        field = ".".join(steps) or "a field we ask for"
        return Unauthorized(
            f"Shopify does not let this app read {field}",
            hint="Grant the scope and the access to protected customer data that docs/connectors/shopify.md "
            "names, or leave that out of settings.resources.",
        )
    if "MAX_COST_EXCEEDED" in codes:
        return TooDear("the query costs more than Shopify allows one to", hint="Set settings.pageSize lower.")
    if any("cursor" in str(error.get("message", "")).lower() for error in errors):
        return BadCursor("Shopify does not know its own cursor any more")
    if codes & {"undefinedField", "argumentNotAccepted", "missingRequiredArguments"}:
        return Permanent(
            f"Shopify's API version {version} does not know a field we ask for",
            hint="Set settings.apiVersion to one that docs/connectors/shopify.md names.",
        )
    named = ", ".join(sorted(code for code in codes if code)) or "no code"
    return SourceFailed(f"Shopify refuses the query ({named})")


def _code(error: JsonObject) -> str:
    return text_at(object_at(error, "extensions"), "code") or ""


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _json(body: bytes) -> JsonObject | None:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None
