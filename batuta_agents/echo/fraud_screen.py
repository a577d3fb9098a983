"""Messages that look like fraud, each with its reasons; and how often such a flag has been right."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from pydantic import Field

from batuta_agents.context import SkillContext
from batuta_agents.echo.scoring import (
    Measured,
    Weights,
    learn,
    measure,
    percent,
    shipped_weights,
    signals_of,
)
from batuta_agents.forms import OutputPart, Paragraph, SkillInput, SkillOutput
from batuta_agents.lineage import EventList, FromFacts, FromRows
from batuta_agents.queries import RowSet
from batuta_agents.skill import skill

COLUMNS: Final = (
    "wording",
    "links",
    "pix_keys",
    "sender_messages",
    "sender_frauds",
    "media_frauds",
    "link_frauds",
    "pix_frauds",
    "media_senders",
    "is_fraud",
)

FRAUD: Final = "fraud"
LEGITIMATE: Final = "legitimate"


class ScreenInput(SkillInput):
    """Which messages are looked at, and from which score on they are pointed out."""

    days: int = Field(default=7, ge=1, le=90, description="Latest days whose messages are looked at.")
    history_days: int = Field(
        default=180, ge=1, le=730, description="How far back senders, media and labels are known."
    )
    threshold_percent: int = Field(
        default=50, ge=1, le=99, description="Score from which a message is flagged."
    )
    brands: tuple[str, ...] = Field(
        default=(), description="Domains of one's own, as in arcsat.com.br, that links may imitate."
    )
    limit: int = Field(default=50, ge=1, le=500, description="Flagged messages that are listed.")


class Reason(OutputPart):
    """A signal that speaks for fraud, and how much: log-odds."""

    signal: str
    label: str
    weight: Decimal


class Suspect(OutputPart):
    """A flagged message; fact `<facts>.score`. A forward's origin is not known, and nothing here stands for it."""

    message_id: str
    sender_key: str | None
    sent_at: datetime
    business_date: date
    forwarded: bool
    score: Decimal = Field(description="Probability of fraud, in percent.")
    reasons: tuple[Reason, ...]
    labelled: bool | None = Field(description="What a person has found out meanwhile.")
    facts: str


class ScreenReport(SkillOutput):
    """What was looked at, what stands out, and how often flags have been right."""

    product: str
    since: date
    as_of: date
    messages: int
    flagged: int
    suspects: tuple[Suspect, ...]
    unlisted: int
    labelled: int
    precision: Decimal | None = Field(description="Share of flags that were right, in percent, on labels.")
    precision_low: Decimal | None
    precision_high: Decimal | None
    recall: Decimal | None = Field(description="Share of labelled frauds that were flagged, in percent.")
    method: Paragraph


@skill(
    "echo.fraud.screen",
    input=ScreenInput,
    output=ScreenReport,
    needs=["live_messages", "live_labels"],
    roles=["messages.read"],
    classes=[FRAUD],
)
def screen(request: ScreenInput, context: SkillContext) -> ScreenReport:
    """Point out messages that look like fraud, say why, and say how often that has been right."""
    rows = context.facts("messages", days=request.history_days)
    signals = [signals_of(row, request.brands) for row in rows.rows]
    labelled = sorted(
        (number for number, row in enumerate(rows.rows) if row["is_fraud"] is not None),
        key=lambda number: (rows.rows[number]["labelled_at"], number),
    )
    examples = [(signals[number], bool(rows.rows[number]["is_fraud"])) for number in labelled]
    weights = learn(examples, shipped_weights())
    since = context.as_of - timedelta(days=request.days - 1)
    looked_at = [number for number, row in enumerate(rows.rows) if row["business_date"] >= since]
    scores = {number: weights.score(signals[number]) for number in looked_at}
    flagged = [number for number in looked_at if percent(scores[number]) >= request.threshold_percent]
    flagged.sort(key=lambda number: (-scores[number], number))
    measured = measure(examples, shipped_weights(), request.threshold_percent / 100)
    _record(context, request, rows, looked_at, flagged, labelled, measured)
    found = frozenset(flagged)
    for number in looked_at:
        label = FRAUD if number in found else LEGITIMATE
        context.classify(rows.rows[number]["message_id"], label, percent(scores[number]))
    suspects = tuple(
        _suspect(context, rows, number, scores[number], signals[number], weights)
        for number in flagged[: request.limit]
    )
    return ScreenReport(
        narrative=_narrate(context, len(looked_at), len(flagged), measured),
        product=context.request.product,
        since=since,
        as_of=context.as_of,
        messages=len(looked_at),
        flagged=len(flagged),
        suspects=suspects,
        unlisted=max(0, len(flagged) - request.limit),
        labelled=measured.labelled,
        precision=measured.precision,
        precision_low=measured.low,
        precision_high=measured.high,
        recall=measured.recall,
        method=context.narrate("method"),
    )


def _record(
    context: SkillContext,
    request: ScreenInput,
    rows: RowSet,
    looked_at: list[int],
    flagged: list[int],
    labelled: list[int],
    measured: Measured,
) -> None:
    context.given("as_of", context.as_of, "date", "request.as_of")
    context.given("window", request.days, "days", "input.days")
    context.given("history", request.history_days, "days", "input.history_days")
    context.given("threshold", Decimal(request.threshold_percent), "percent", "input.threshold_percent")
    context.fact("messages", len(looked_at), "count", _lineage(rows, looked_at))
    context.fact("flagged", len(flagged), "count", _lineage(rows, flagged))
    by_labels = _lineage(rows, labelled, labels=True)
    context.fact("labelled", measured.labelled, "count", by_labels)
    if measured.precision is not None:
        context.fact("precision", measured.precision, "percent", by_labels)
        context.fact(
            "precision.low", measured.low, "percent", FromFacts(("precision", "labelled"), "Wilson, 95 %")
        )
        context.fact(
            "precision.high", measured.high, "percent", FromFacts(("precision", "labelled"), "Wilson, 95 %")
        )
    if measured.recall is not None:
        context.fact("recall", measured.recall, "percent", by_labels)


def _suspect(
    context: SkillContext, rows: RowSet, number: int, score: float, present: frozenset[str], weights: Weights
) -> Suspect:
    row = rows.rows[number]
    facts = f"message.{number}"
    context.fact(f"{facts}.score", percent(score), "percent", _lineage(rows, [number]))
    reasons = sorted(
        (
            Reason(signal=name, label=context.words(f"signal.{name}"), weight=_weight(weights, name))
            for name in present
        ),
        key=lambda reason: (-reason.weight, reason.signal),
    )
    return Suspect(
        message_id=row["message_id"],
        sender_key=row["sender_key"],
        sent_at=row["sent_at"],
        business_date=row["business_date"],
        forwarded=row["is_forwarded"],
        score=percent(score),
        reasons=tuple(reason for reason in reasons if reason.weight > 0),
        labelled=row["is_fraud"],
        facts=facts,
    )


def _weight(weights: Weights, name: str) -> Decimal:
    return Decimal(str(round(weights.signals[name], 2)))


def _lineage(rows: RowSet, picked: list[int], *, labels: bool = False) -> FromRows:
    chosen = tuple(sorted(picked))
    found: list[Mapping[str, Any]] = [rows.rows[number] for number in chosen]
    events = [(row["event_source"], row["event_id"]) for row in found]
    if labels:
        events += [(row["label_source"], row["label_id"]) for row in found]
    return FromRows(rows, COLUMNS, EventList.of(events), chosen)


def _narrate(context: SkillContext, messages: int, flagged: int, measured: Measured) -> tuple[Paragraph, ...]:
    if not messages:
        return (context.narrate("empty"),)
    said = [
        context.narrate("looked_at", messages),
        context.narrate("flagged" if flagged else "none", flagged),
    ]
    if measured.precision is not None:
        said.append(context.narrate("precision", measured.labelled))
    else:
        said.append(context.narrate("unmeasured"))
    return tuple(said)
