"""Field types of the manifests: what a name, a schedule, a quantity or a reference may look like.

Every error is a sentence to the author of the manifest; none repeats a value that could be a secret.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.numbers import is_currency
from cronsim import CronSim, CronSimError
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError

VERIFIED: Final[Mapping[str, bool]] = {"verified": True}
"""Context of a validation whose input was validated before, when it was written: what costs most is spared."""
NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
SKILL_PATTERN = r"^[a-z0-9][a-z0-9_-]*(\.[a-z0-9_]+)+$"
SOURCE_PATTERN = r"^[a-z0-9_]+/[a-z0-9_]+$"
EVENT_PATTERN = r"^[a-z0-9_-]+(\.[A-Za-z0-9_-]+)+(\.\*)?$"
ENVIRONMENT_PATTERN = r"^[A-Z_][A-Z0-9_]*$"
FILE_NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$"
QUANTITY_PATTERN = r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$"

_SECRET_WORDS = re.compile(r"secret|token|passw|credential|api_?key|private_?key", re.IGNORECASE)
_ABOUT_ONE = re.compile(r"(Url|_url|Uri|_uri|Scopes?|_scopes?)$")
_SETTING_DEPTH = 4
_CRON_CHARACTERS = re.compile(r"[0-9A-Za-z*/,\- ]+")
_CRON_EXTENSIONS = re.compile(r"\d*[LW]\b|\bL")
_CRON_ORIGIN = datetime(2024, 1, 1, tzinfo=UTC)


def reads_like_a_secret(key: str) -> bool:
    """Whether a field name announces a secret (`token`, `webhookSecret`, ...); `tokenUrl` says where one is got."""
    return _SECRET_WORDS.search(key) is not None and _ABOUT_ONE.search(key) is None


def _schedule(value: str) -> str:
    fields = value.split()
    if (
        len(fields) != 5
        or not _CRON_CHARACTERS.fullmatch(value)
        or _CRON_EXTENSIONS.search(f"{fields[2]} {fields[4]}")
    ):
        raise PydanticCustomError(
            "schedule", "a schedule has five plain fields: minute, hour, day, month, weekday, as in 0 6 * * *"
        )
    try:
        next(CronSim(value, _CRON_ORIGIN))
    except (CronSimError, StopIteration) as error:
        reason = str(error) or "it never comes"
        raise PydanticCustomError(
            "schedule", "not a schedule: {reason}", {"reason": reason.lower()}
        ) from None
    return " ".join(fields)


def _mail_address(value: str, info: ValidationInfo) -> str:
    if info.context is VERIFIED:
        return value
    from email_validator import EmailNotValidError, validate_email

    try:
        validate_email(value, check_deliverability=False)
    except EmailNotValidError as error:
        raise PydanticCustomError(
            "email", "not an e-mail address: {reason}", {"reason": str(error)}
        ) from None
    return value


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, OSError, KeyError):
        raise PydanticCustomError("timezone", "no such time zone; write it as in America/Sao_Paulo") from None
    return value


def _locale(value: str) -> str:
    try:
        Locale.parse(value, sep="-")
    except (ValueError, UnknownLocaleError):
        raise PydanticCustomError("locale", "no such locale; write it as in pt-BR") from None
    return value


def _currency(value: str) -> str:
    if not is_currency(value):
        raise PydanticCustomError("currency", "not an ISO 4217 currency; write it as in BRL")
    return value


def _quantity(value: object) -> object:
    whole = isinstance(value, int) and not isinstance(value, bool) and value > 0
    if not whole and not (isinstance(value, str) and re.fullmatch(QUANTITY_PATTERN, value)):
        raise PydanticCustomError("quantity", 'not a quantity; write it in quotes as in "500m" or "512Mi"')
    return value


def _inside_project(value: str) -> str:
    if value.startswith("/") or "\\" in value or ".." in value.split("/"):
        raise PydanticCustomError(
            "outside", "a file is named relative to the project folder and stays inside it"
        )
    return value


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    repeated = sorted({value for value in values if values.count(value) > 1})
    if repeated:
        raise PydanticCustomError("repeated", "written twice: {names}", {"names": ", ".join(repeated)})
    return values


def _setting(value: object) -> object:
    return _plain(value, _SETTING_DEPTH)


def _plain(value: object, depth: int) -> object:
    if isinstance(value, bool | int | float | str):
        return value
    if depth and isinstance(value, list | tuple):
        return [_plain(item, depth - 1) for item in value]
    if depth and isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        _no_secret_among_settings(value)
        return {key: _plain(item, depth - 1) for key, item in value.items()}
    raise PydanticCustomError(
        "setting", "a setting is a text, a number, true, false, or a list or mapping of these"
    )


def _no_secret_among_settings(value: object) -> object:
    if isinstance(value, Mapping):
        for key in value:
            if isinstance(key, str) and reads_like_a_secret(key):
                raise PydanticCustomError(
                    "clear_secret",
                    '"{key}" reads like a secret; refer to it in secretRefs or credentials '
                    "by env: NAME or file: NAME",
                    {"key": key},
                )
    return value


Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=63)]
Names = Annotated[tuple[Name, ...], Field(max_length=1000), AfterValidator(_distinct)]
SomeNames = Annotated[tuple[Name, ...], Field(min_length=1, max_length=1000), AfterValidator(_distinct)]
Word = Annotated[str, Field(min_length=1, max_length=253)]
Words = Annotated[tuple[Word, ...], Field(max_length=200), AfterValidator(_distinct)]
Description = Annotated[str, Field(max_length=2000)]
SkillName = Annotated[str, Field(pattern=SKILL_PATTERN, max_length=253)]
SkillNames = Annotated[tuple[SkillName, ...], Field(min_length=1, max_length=200), AfterValidator(_distinct)]
SourceName = Annotated[str, Field(pattern=SOURCE_PATTERN, max_length=253)]
SourceNames = Annotated[
    tuple[SourceName, ...], Field(min_length=1, max_length=100), AfterValidator(_distinct)
]
FileRef = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_inside_project)]
EventPattern = Annotated[str, Field(pattern=EVENT_PATTERN, max_length=253)]
Schedule = Annotated[str, Field(max_length=100), AfterValidator(_schedule)]
MailAddress = Annotated[str, Field(max_length=320), AfterValidator(_mail_address)]
Timezone = Annotated[str, Field(max_length=100), AfterValidator(_timezone)]
LocaleName = Annotated[str, Field(max_length=20), AfterValidator(_locale)]
Currency = Annotated[str, AfterValidator(_currency)]
Percent = Annotated[float, Field(ge=50, le=99.999)]
Minutes = Annotated[int, Field(ge=1, le=10_080)]
Quantity = Annotated[StrictInt | StrictStr, BeforeValidator(_quantity)]
Setting = Annotated[
    StrictBool | StrictInt | StrictFloat | StrictStr | list[Any] | dict[str, Any],
    BeforeValidator(_setting),
]
Settings = Annotated[dict[Word, Setting], BeforeValidator(_no_secret_among_settings)]
EnvironmentName = Annotated[str, Field(pattern=ENVIRONMENT_PATTERN, max_length=200)]
SecretFileName = Annotated[str, Field(pattern=FILE_NAME_PATTERN, max_length=200)]
