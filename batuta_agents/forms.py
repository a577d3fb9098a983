"""What skills take and give, as frozen pydantic models: their JSON Schemas come from here."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class SkillInput(BaseModel):
    """Options of a skill; product and day come with the request."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class OutputPart(BaseModel):
    """A part of an output: frozen, nothing unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Paragraph(OutputPart):
    """Words with `{{fact:name}}` slots, made from the template `key`."""

    key: str
    text: str


class SkillOutput(OutputPart):
    """What every skill gives: its numbers in fields of its own, and a narrative over recorded facts."""

    narrative: tuple[Paragraph, ...] = Field(
        min_length=1, description="Paragraphs with fact slots, in the product's locale."
    )
