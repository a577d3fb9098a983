"""How likely a message is fraud, from signals a person can check; learned from labels, and measured on them.

A logistic model. Its weights begin where `weights.toml` has them and are moved by labels as far as these speak: the
maximum a posteriori estimate under a normal prior of variance 1 about the shipped weights, by Newton's method.
Measured as it would have been used: each label is predicted by what was known before its message came.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, Final

from batuta.fraud.lookalikes import decoded, imitated

_PRIOR_VARIANCE: Final = 1.0
_STEPS: Final = 25
_REFITS: Final = 20
_Z: Final = 1.959964
_PLACES: Final = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Weights:
    """Log-odds: of a message without any signal, and what each signal adds."""

    base: float
    signals: Mapping[str, float]

    def score(self, present: frozenset[str]) -> float:
        """The probability of fraud, 0 to 1; the same to the last bit in whatever order a set gives its names."""
        return _sigmoid(math.fsum([self.base, *(self.signals[name] for name in present)]))


@dataclass(frozen=True, slots=True)
class Measured:
    """How often flags were right, with a 95 % interval (Wilson), and how much of the fraud was flagged; in percent."""

    labelled: int
    frauds: int
    flagged: int
    precision: Decimal | None
    low: Decimal | None
    high: Decimal | None
    recall: Decimal | None


@cache
def shipped_weights() -> Weights:
    """The weights before any label."""
    document = tomllib.loads((files("batuta_agents.echo") / "weights.toml").read_text(encoding="utf-8"))
    return Weights(document["base"], document["signals"])


def signals_of(message: Mapping[str, Any], brands: Sequence[str] = ()) -> frozenset[str]:
    """The signals of a row of `messages`; `brands` are domains of one's own that links may imitate."""
    found = {f"wording.{name}" for name in message["wording"]}
    for link in message["links"]:
        found |= {f"link.{kind}" for kind in ("shortener", "address", "punycode") if link.get(kind)}
        if link.get("imitates") or (brands and imitated(decoded(link["host"]), brands)):
            found.add("link.imitates")
    named = {
        "pix.key": message["pix_keys"],
        "file.program": message["is_executable"],
        "forward.once": message["is_forwarded"],
        "forward.often": message["is_frequently_forwarded"],
        "sender.first": message["sender_messages"] == 0,
        "sender.frauds": message["sender_frauds"],
        "media.frauds": message["media_frauds"],
        "media.spread": message["media_senders"] >= 2,
        "link.frauds": message["link_frauds"],
        "pix.frauds": message["pix_frauds"],
    }
    found |= {name for name, present in named.items() if present}
    for first, second in (("new_number", "money"), ("impersonation", "credentials")):
        if {f"wording.{first}", f"wording.{second}"} <= found:
            found.add(f"together.{first}_and_{second}")
    if "wording.threat" in found and message["links"]:
        found.add("together.threat_and_link")
    return frozenset(found & shipped_weights().signals.keys())


def learn(examples: Sequence[tuple[frozenset[str], bool]], prior: Weights) -> Weights:
    """The weights that labelled examples and the prior agree on."""
    if not examples:
        return prior
    import numpy as np

    names = sorted(prior.signals)
    start = np.array([prior.base, *(prior.signals[name] for name in names)])
    seen = np.array([[1.0, *(float(name in present) for name in names)] for present, _ in examples])
    truth = np.array([float(fraud) for _, fraud in examples])
    weights = start.copy()
    precision = np.eye(len(start)) / _PRIOR_VARIANCE
    for _ in range(_STEPS):
        likely = 1.0 / (1.0 + np.exp(-np.clip(seen @ weights, -35, 35)))
        slope = seen.T @ (truth - likely) - precision @ (weights - start)
        curve = (seen * (likely * (1 - likely))[:, None]).T @ seen + precision
        step = np.linalg.solve(curve, slope)
        weights += step
        if float(np.abs(step).max()) < 1e-9:
            break
    # Rounded, so that another machine's arithmetic gives the same scores.
    values = [round(float(weight), 4) for weight in weights]
    return Weights(values[0], dict(zip(names, values[1:], strict=True)))


def measure(labelled: Sequence[tuple[frozenset[str], bool]], prior: Weights, threshold: float) -> Measured:
    """Predict each label, in their order, from those before it, and count; refitted at most 20 times."""
    stride = max(1, math.ceil(len(labelled) / _REFITS))
    right = flagged = 0
    for start in range(0, len(labelled), stride):
        weights = learn(labelled[:start], prior)
        for present, fraud in labelled[start : start + stride]:
            if weights.score(present) >= threshold:
                flagged += 1
                right += fraud
    frauds = sum(fraud for _, fraud in labelled)
    low, high = _wilson(right, flagged)
    return Measured(
        labelled=len(labelled),
        frauds=frauds,
        flagged=flagged,
        precision=percent(right / flagged) if flagged else None,
        low=low,
        high=high,
        recall=percent(right / frauds) if frauds else None,
    )


def percent(share: float) -> Decimal:
    """A share as percent, to one place."""
    return Decimal(str(round(100 * share, 6))).quantize(_PLACES)


def _wilson(right: int, total: int) -> tuple[Decimal | None, Decimal | None]:
    if not total:
        return None, None
    share, square = right / total, _Z * _Z
    middle = share + square / (2 * total)
    spread = _Z * math.sqrt(share * (1 - share) / total + square / (4 * total * total))
    whole = 1 + square / total
    return percent(max(0.0, (middle - spread) / whole)), percent(min(1.0, (middle + spread) / whole))


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-max(-35.0, min(35.0, value))))
