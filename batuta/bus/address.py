"""Where the bus is: `kafka[+tls]://[user:password@]host:port[,host:port]/topic[?product=P&group=G&sasl=M&ca=FILE]`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote

_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")
_BROKER: Final = re.compile(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SCHEMES: Final = {"kafka": False, "kafka+tls": True}
PLAIN: Final = "PLAIN"
MECHANISMS: Final = (PLAIN, "SCRAM-SHA-256", "SCRAM-SHA-512")
GROUP: Final = "batuta-landing"


@dataclass(frozen=True, slots=True)
class BusAddress:
    """A topic of a cluster, and how its brokers let us in.

    Attributes:
        brokers: Brokers to begin with, `host:port`, by commas.
        topic: The topic.
        product: The product whose events are those that others write to the topic; None: theirs are not taken.
        group: The group that the landing consumers form.
        tls: Whether the connection is encrypted and the brokers' certificates are checked.
        user: Whom we sign in as (SASL), "" for nobody.
        password: What with.
        mechanism: How, one of `MECHANISMS`.
        ca: File of certificates that the brokers' are checked against; "": those of the machine.
    """

    brokers: str
    topic: str
    product: str | None = None
    group: str = GROUP
    tls: bool = False
    user: str = ""
    password: str = field(default="", repr=False)
    mechanism: str = PLAIN
    ca: str = ""

    @classmethod
    def of(cls, text: str) -> BusAddress:
        """Read an address. User and password are percent-encoded.

        Raises:
            ValueError: it is none; the message says how one looks, and repeats nothing of it.
        """
        scheme, _, rest = text.partition("://")
        place, _, query = rest.partition("?")
        authority, _, topic = place.partition("/")
        credentials, at, brokers = authority.rpartition("@")
        user, _, password = (unquote(part) for part in credentials.partition(":"))
        options = dict(parse_qsl(query, keep_blank_values=True))
        words = [value for name, value in options.items() if name != "ca"]
        sound = (
            scheme in _SCHEMES
            and all(_BROKER.fullmatch(broker) for broker in brokers.split(","))
            and _TOPIC.fullmatch(topic)
            and options.keys() <= {"product", "group", "sasl", "ca"}
            and all(_WORD.fullmatch(value) for value in words)
            and options.get("sasl", PLAIN) in MECHANISMS
            and bool(at) == bool(user and password)
            and options.get("ca") != ""
        )
        if not sound:
            raise ValueError(
                "Input should be an address such as kafka://host:9092/topic, kafka://one:9092,two:9092/topic, "
                "kafka://host:9092/topic?product=NAME or kafka+tls://user:password@host:9093/topic?sasl=SCRAM-SHA-256"
            )
        tls, mechanism = _SCHEMES[scheme], options.get("sasl", PLAIN)
        if not tls and user and mechanism == PLAIN:
            raise ValueError(
                "With sasl=PLAIN the password would go out in clear: write kafka+tls://, or sasl=SCRAM-SHA-256"
            )
        if not tls and "ca" in options:
            raise ValueError("ca is for kafka+tls://")
        product, group = options.get("product"), options.get("group", GROUP)
        return cls(brokers, topic, product, group, tls, user, password, mechanism, options.get("ca", ""))

    def connection(self) -> dict[str, str]:
        """How librdkafka is to connect."""
        protocol = ("SASL_" if self.user else "") + ("SSL" if self.tls else "PLAINTEXT")
        settings = {"bootstrap.servers": self.brokers, "security.protocol": protocol.lower()}
        if self.tls:
            settings |= {"ssl.endpoint.identification.algorithm": "https"}
        if self.ca:
            settings |= {"ssl.ca.location": self.ca}
        if self.user:
            settings |= {
                "sasl.mechanism": self.mechanism,
                "sasl.username": self.user,
                "sasl.password": self.password,
            }
        return settings
