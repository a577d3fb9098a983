"""Every setting of BATUTA, in one place.

Settings come from the environment (`BATUTA_<NAME>`) and from `.env` in the project folder; the environment
wins. Only the rims (command line, gateway, code location) call `get_settings`; everything else takes settings
as an argument.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, PlainSerializer, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from batuta.errors import UsageError

PREFIX = "BATUTA_"
PROJECT_MARKS = ("batuta.yaml", "pyproject.toml")

Port = Annotated[int, Field(ge=1, le=65535)]
Folder = Annotated[Path, PlainSerializer(str)]


class Settings(BaseSettings):
    """Settings of one installation. Relative paths are taken from the project folder."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, env_file_encoding="utf-8", extra="ignore", frozen=True
    )

    project: Folder = Field(
        default=Path(),
        description="Project folder: the nearest parent of the current folder "
        "with `batuta.yaml` or `pyproject.toml`.",
    )
    home: Folder = Field(
        default=Path(".batuta"), description="Where BATUTA keeps its data, keys, logs and embedded database."
    )
    cache: Folder = Field(
        default=Path(),
        description="Per-user cache of what takes long to build; "
        "by default `$XDG_CACHE_HOME/batuta` or `~/.cache/batuta`.",
    )
    environment: Literal["development", "production"] = Field(
        default="development",
        description="`development` allows what `production` refuses (unsigned webhooks).",
    )

    database_url: str | None = Field(
        default=None,
        description="PostgreSQL with TimescaleDB and pgvector: `postgresql://user:password@host/database`. "
        "Unset: an embedded server under `home`.",
    )
    database_port: Port = Field(default=15432, description="Port of the embedded server, on 127.0.0.1.")

    gateway_host: str = Field(default="127.0.0.1", description="Address the gateway listens on.")
    gateway_port: Port = Field(default=8600, description="Port of the gateway.")
    dagster_port: Port = Field(default=3000, description="Port of the Dagster UI, on 127.0.0.1.")
    docs_port: Port = Field(default=8601, description="Port of the dbt documentation site, on 127.0.0.1.")
    docs_url: str | None = Field(
        default=None,
        description="Where readers reach the documentation site, as `https://docs.example.com`: reports and assets "
        "link there; unset: `http://127.0.0.1` with `docs_port`.",
    )
    max_body_bytes: int = Field(
        default=26_214_400, gt=0, description="Largest request body the gateway accepts, in bytes."
    )

    public_url: str | None = Field(
        default=None,
        description="Where vendors reach the gateway, as `https://hooks.example.com`; "
        "unset: nothing is subscribed at vendors.",
    )
    blob_url: SecretStr | None = Field(
        default=None,
        description="Where attachments and media are kept, encrypted: "
        "`s3://bucket/prefix?endpoint=https://s3.example.com&region=sa-east-1` or `az://container/prefix`; "
        "unset: `blobs` under `home`.",
    )

    bus: SecretStr | None = Field(
        default=None,
        description="Kafka or Redpanda between gateway and landing: `kafka://host:9092,host2:9092/topic`, with "
        "`?product=NAME` if others write CloudEvents to the topic; `kafka+tls://user:password@host:9093/topic` where "
        "the brokers ask for it. Unset: the gateway lands itself.",
    )
    secrets_dir: Folder = Field(
        default=Path(),
        description="Folder of secret files, one secret a file; by default `secrets` under `home`.",
    )
    outbox_dir: Folder = Field(
        default=Path(),
        description="Where mails are written when no SMTP is set; by default `outbox` under `home`.",
    )
    reports_dir: Folder = Field(
        default=Path(), description="Where report pages are written; by default `reports` under `home`."
    )
    quarantine_days: int = Field(
        default=180,
        gt=0,
        description="After how many days without an attempt a delivery in quarantine loses its content.",
    )
    smtp_url: SecretStr | None = Field(
        default=None,
        description="Mail server, as `smtp://user:password@host:587?starttls=1`; "
        "unset: mails go to the outbox.",
    )
    mail_from: str = Field(default="batuta@localhost", description="Sender of the mails.")

    ltv_horizon_days: int = Field(
        default=365, ge=1, le=3650, description="How many days ahead the predicted LTV looks."
    )
    ltv_discount_rate: float = Field(
        default=0.0,
        ge=0,
        lt=10,
        description="What a year's delay takes off a predicted value: `0.1` is ten percent a year.",
    )

    log_format: Literal["console", "json"] = Field(
        default="console", description="Form of the log on standard error."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is logged."
    )

    @property
    def docs_address(self) -> str:
        """Where the data docs are read, without a slash at the end."""
        return self.docs_url or f"http://127.0.0.1:{self.docs_port}"

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, value: str | None) -> str | None:
        return None if value is None else _public_address(value)

    @field_validator("docs_url")
    @classmethod
    def _check_docs_url(cls, value: str | None) -> str | None:
        return None if value is None else _web_address(value)

    @field_validator("database_url")
    @classmethod
    def _check_address(cls, value: str | None) -> str | None:
        return None if value is None else _database_address(value)

    @field_validator("bus")
    @classmethod
    def _check_bus(cls, value: SecretStr | None) -> SecretStr | None:
        from batuta.bus.address import BusAddress

        if value is not None:
            BusAddress.of(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _resolve_paths(self) -> Self:
        project = self.project.expanduser().resolve()
        home = (project / self.home.expanduser()).resolve()
        paths = {
            "project": project,
            "home": home,
            "cache": self.cache if self.cache != Path() else _default_cache(),
            "secrets_dir": self.secrets_dir if self.secrets_dir != Path() else home / "secrets",
            "outbox_dir": self.outbox_dir if self.outbox_dir != Path() else home / "outbox",
            "reports_dir": self.reports_dir if self.reports_dir != Path() else home / "reports",
        }
        for name, path in paths.items():
            object.__setattr__(self, name, (project / path.expanduser()).resolve())
        return self


def get_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment and the project's `.env`, anew at each call.

    Raises:
        UsageError: a value does not fit; the message names the variable.
    """
    environ = os.environ if environ is None else environ
    project = find_project(Path.cwd(), environ)
    try:
        return Settings(project=project, _env_file=project / ".env")  # pyright: ignore[reportCallIssue]
    except ValidationError as error:
        problems = [
            f"{PREFIX}{'.'.join(map(str, e['loc'])).upper()}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors(include_input=False)
        ]
        raise UsageError(
            "; ".join(problems),
            hint=f"Set it in the environment or in {project / '.env'}; docs/settings.md lists all.",
        ) from None


def find_project(start: Path, environ: Mapping[str, str]) -> Path:
    """The project folder: `BATUTA_PROJECT`, else the nearest parent that looks like one, else `start`."""
    named = environ.get(f"{PREFIX}PROJECT")
    if named:
        return Path(named).expanduser().resolve()
    for folder in (start, *start.parents):
        if any((folder / mark).is_file() for mark in PROJECT_MARKS):
            return folder.resolve()
    return start.resolve()


def describe() -> list[tuple[str, str, str]]:
    """Every setting as (variable, default, description), for the documentation."""
    rows: list[tuple[str, str, str]] = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, Path()) else str(field.default)
        rows.append((f"{PREFIX}{name.upper()}", default, field.description or ""))
    return rows


def _public_address(value: str) -> str:
    """`value` without a slash at its end; vendors send to https only, a test server on this machine may do without."""
    try:
        parts = urlsplit(value)
        plain = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost", "::1"}
        sound = (parts.scheme == "https" or plain) and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        sound, parts = False, urlsplit("")
    if not sound or parts.query or parts.fragment or parts.username:
        raise ValueError(
            "Input should be an address such as https://hooks.example.com, without query or user"
        )
    return value.rstrip("/")


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("Input should be an address such as https://docs.example.com, without query")
    return value.rstrip("/")


def _database_address(value: str) -> str:
    """`value` in the one spelling that every part understands; a ValueError never shows it: it has a password."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    scheme, separator, rest = value.partition("://")
    address = f"postgresql://{rest}"
    try:
        if scheme not in {"postgresql", "postgres"} or not separator:
            raise ValueError
        conninfo_to_dict(address)
        _ = urlsplit(address).port
    except (ValueError, ProgrammingError):
        raise ValueError(
            "Input should be an address such as postgresql://user:password@host:5432/database; "
            "letters like @ : / # % in a user or password are written %40 %3A %2F %23 %25"
        ) from None
    return address


def _default_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "batuta"
