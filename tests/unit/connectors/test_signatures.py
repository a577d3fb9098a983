"""Who signed a delivery: the vendors' own vectors, rotation, and everything that must not pass."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from batuta.landing.model import Delivery
from sensors.connectors import CONNECTORS, events, github, shopify
from sensors.connectors.protocol import BadSignature, NoSecret, Unsigned, Unverified
from tests.support.vendor_deliveries import RECEIVED_AT, delivery

# From the test suites of Shopify/shopify-app-js and the documentation of GitHub.
SHOPIFY_VECTOR = (b"test_secret_key", b'{"foo": "bar"}', "B23tXN681gZ0qIWNRrgtzBE9XSDo5yaUu6wfmhu3a7g=")
GITHUB_VECTOR = (
    b"It's a Secret to Everybody",
    b"Hello, World!",
    "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
)
SIGNING_SECRET = b"whsec_" + base64.b64encode(b"a signing key of 24 bytes")


def shopify_delivery(signature: str | None, body: bytes = SHOPIFY_VECTOR[1]) -> Delivery:
    return delivery("shopify", {} if signature is None else {shopify.SIGNATURE: signature}, body)


def github_delivery(signature: str | None, body: bytes = GITHUB_VECTOR[1]) -> Delivery:
    return delivery("github", {} if signature is None else {github.SIGNATURE: signature}, body)


def standard_headers(
    body: bytes, *, secret: bytes = SIGNING_SECRET, identifier: str = "msg_1"
) -> dict[str, str]:
    """Signed by the reference implementation."""
    signature = Webhook(secret.decode()).sign(identifier, RECEIVED_AT, body.decode())
    timestamp = str(int(RECEIVED_AT.timestamp()))
    return {"webhook-id": identifier, "webhook-timestamp": timestamp, "webhook-signature": signature}


def test_shopify_s_own_vector_verifies():
    secret, body, signature = SHOPIFY_VECTOR
    shopify.verify(shopify_delivery(signature, body), [secret])


def test_github_s_own_vector_verifies():
    secret, body, signature = GITHUB_VECTOR
    github.verify(github_delivery(signature, body), [secret])


def test_either_of_two_secrets_is_good_while_one_is_being_rotated():
    shopify.verify(shopify_delivery(SHOPIFY_VECTOR[2]), [b"new", SHOPIFY_VECTOR[0]])
    shopify.verify(shopify_delivery(SHOPIFY_VECTOR[2]), [SHOPIFY_VECTOR[0], b"old"])
    github.verify(github_delivery(GITHUB_VECTOR[2]), [b"new", GITHUB_VECTOR[0]])


def test_one_changed_byte_of_the_body_is_refused():
    with pytest.raises(BadSignature):
        shopify.verify(shopify_delivery(SHOPIFY_VECTOR[2], b'{"foo":"bar"}'), [SHOPIFY_VECTOR[0]])
    with pytest.raises(BadSignature):
        github.verify(github_delivery(GITHUB_VECTOR[2], b"Hello, World?"), [GITHUB_VECTOR[0]])


@pytest.mark.parametrize(
    "signature", ["", "é", "====", "QUJD", "B23tXN681gZ0qIWNRrgtzBE9XSDo5yaUu6wfmhu3a7h="]
)
def test_a_wrong_shopify_signature_is_refused(signature: str):
    with pytest.raises((Unsigned, BadSignature)):
        shopify.verify(shopify_delivery(signature), [SHOPIFY_VECTOR[0]])


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        "sha1=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        "sha256=757107",
        "sha256=zz7107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        "sha256=é",
    ],
)
def test_a_wrong_github_signature_is_refused(signature: str):
    with pytest.raises((Unsigned, BadSignature)):
        github.verify(github_delivery(signature), [GITHUB_VECTOR[0]])


def test_a_sha_1_signature_alone_counts_as_unsigned():
    with pytest.raises(Unsigned):
        github.verify(delivery("github", {"x-hub-signature": "sha1=abc"}, b"{}"), [b"secret"])


def test_a_missing_signature_is_unsigned():
    with pytest.raises(Unsigned):
        shopify.verify(shopify_delivery(None), [b"secret"])
    with pytest.raises(Unsigned):
        github.verify(github_delivery(None), [b"secret"])
    with pytest.raises(Unsigned):
        events.verify(delivery("events", {}, b"{}"), [b"secret"])


@pytest.mark.parametrize("name", sorted(CONNECTORS))
@pytest.mark.parametrize("secrets", [[], [b""], [b"good", b""]])
def test_without_a_usable_secret_nothing_verifies(name: str, secrets: list[bytes]):
    with pytest.raises(NoSecret):
        CONNECTORS[name].verify(shopify_delivery(SHOPIFY_VECTOR[2]), secrets)


def test_a_body_signed_with_the_empty_key_is_refused():
    import hmac

    signature = base64.b64encode(hmac.digest(b"", b"{}", "sha256")).decode()
    with pytest.raises(NoSecret):
        shopify.verify(shopify_delivery(signature, b"{}"), [b""])


def test_a_bearer_token_of_the_product_is_accepted_and_no_other():
    signed = delivery("events", {"authorization": "Bearer token-1"}, b"{}")
    events.verify(signed, [b"token-0", b"token-1"])
    for header in ("Bearer token-2", "Bearer token-", "Bearer token-11"):
        with pytest.raises(BadSignature):
            events.verify(delivery("events", {"authorization": header}, b"{}"), [b"token-1"])
    for header in ("token-1", "Basic token-1", "Bearer", "Bearer ", "Bearer a b"):
        with pytest.raises(Unsigned):
            events.verify(delivery("events", {"authorization": header}, b"{}"), [b"token-1"])


def test_a_signing_secret_is_no_bearer_token():
    headers = {"authorization": "Bearer " + SIGNING_SECRET.decode()}
    with pytest.raises(BadSignature):
        events.verify(delivery("events", headers, b"{}"), [SIGNING_SECRET])


@given(st.text(min_size=1, max_size=200), st.text("abcdefgh0123456789_", min_size=1, max_size=30))
def test_what_the_standard_webhooks_library_signs_verifies(text: str, identifier: str):
    body = text.encode("utf-8", "surrogatepass") if text.isascii() else text.encode("utf-8", "ignore")
    signed = delivery("events", standard_headers(body, identifier=identifier), body)
    events.verify(signed, [b"some-token", SIGNING_SECRET])
    with pytest.raises(BadSignature):
        events.verify(delivery("events", signed.headers, body + b" "), [SIGNING_SECRET])


def test_one_of_several_listed_signatures_is_enough():
    headers = standard_headers(b"{}")
    other = "v1," + base64.b64encode(b"x" * 32).decode()
    listed = f"v2,abc {other} {headers['webhook-signature']}"
    events.verify(delivery("events", headers | {"webhook-signature": listed}, b"{}"), [SIGNING_SECRET])


@pytest.mark.parametrize("shift", [timedelta(minutes=6), timedelta(minutes=-6)])
def test_a_signature_of_another_time_is_refused(shift: timedelta):
    late = Delivery("arcsat", "events", None, standard_headers(b"{}"), b"{}", RECEIVED_AT + shift)
    with pytest.raises(BadSignature, match="five minutes"):
        events.verify(late, [SIGNING_SECRET])


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook-id": ""},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "now"},
        {"webhook-timestamp": "²"},
        {"webhook-timestamp": "99999999999"},
        {"webhook-timestamp": "999999999999999999"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,é"},
        {"webhook-signature": "v2,AAAA"},
        {"webhook-id": "msg_2"},
    ],
)
def test_a_damaged_standard_webhooks_header_is_refused(changes: dict[str, str]):
    with pytest.raises(BadSignature):
        events.verify(delivery("events", standard_headers(b"{}") | changes, b"{}"), [SIGNING_SECRET])


SIGNATURE_HEADERS = (
    shopify.SIGNATURE,
    github.SIGNATURE,
    "authorization",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
)


@given(
    st.sampled_from(sorted(CONNECTORS)),
    st.dictionaries(st.sampled_from(SIGNATURE_HEADERS), st.text(max_size=80)),
    st.binary(max_size=50),
    st.lists(st.binary(max_size=40), max_size=3),
)
def test_no_header_makes_a_stranger_s_body_pass_or_the_check_fail_otherwise(
    name: str, headers: dict[str, str], body: bytes, secrets: list[bytes]
):
    with pytest.raises(Unverified):
        CONNECTORS[name].verify(delivery(name, headers, body), [secret + b"-unguessed" for secret in secrets])
