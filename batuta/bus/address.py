"""Where the bus is: `kafka://host:port[,host:port]/topic[?product=P&group=G]`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")
_BROKER: Final = re.compile(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
GROUP: Final = "batuta-landing"


@dataclass(frozen=True, slots=True)
class BusAddress:
    """A topic of a cluster.

    Attributes:
        brokers: Brokers to begin with, `host:port`, by commas.
        topic: The topic.
        product: The product whose events are those that others write to the topic; None: theirs are not taken.
        group: The group that the landing consumers form.
    """

    brokers: str
    topic: str
    product: str | None = None
    group: str = GROUP

    @classmethod
    def of(cls, text: str) -> BusAddress:
        """Read an address.

        Raises:
            ValueError: it is none; the message says how one looks.
        """
        rest = text.removeprefix("kafka://")
        place, _, query = rest.partition("?")
        brokers, _, topic = place.partition("/")
        options = dict(parse_qsl(query, keep_blank_values=True))
        sound = (
            rest != text
            and all(_BROKER.fullmatch(broker) for broker in brokers.split(","))
            and _TOPIC.fullmatch(topic)
            and options.keys() <= {"product", "group"}
            and all(_WORD.fullmatch(value) for value in options.values())
        )
        if not sound:
            raise ValueError(
                "Input should be an address such as kafka://host:9092/topic, kafka://one:9092,two:9092/topic "
                "or kafka://host:9092/topic?product=NAME"
            )
        return cls(brokers, topic, options.get("product"), options.get("group", GROUP))
