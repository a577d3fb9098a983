"""A company bound to accounts at GitHub's stand-in, and what its sensors listen with: for tests of the ears."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from batuta.keys import create_keys
from batuta.manifests.graph import CompiledGraph, CompiledPipeline
from batuta.manifests.models import ConnectorBinding, SecretRef
from batuta.settings import Settings
from batuta_assets.partitions import products
from examples.vendors.github import TOKEN, GitHub
from sensors.connector_sensor import connector_sensor
from sensors.ears import Ears
from tests.support.score import company, product

TOKEN_FILE = "github-token"
SECRET_FILE = "github-secret"


def repository(vendor: GitHub, token: str = TOKEN_FILE, **settings: Any) -> ConnectorBinding:
    """An account that is fetched from; its hook is made where the gateway has a public address."""
    return ConnectorBinding(
        type="github",
        account=vendor.repository,
        secret_refs=(SecretRef(file=SECRET_FILE),),
        credentials={"token": SecretRef(file=token)},
        settings={"apiUrl": vendor.url, "streams": ["issues"], **settings},
    )


def bound(
    accounts: Mapping[str, Sequence[ConnectorBinding]], pipelines: Sequence[CompiledPipeline] = ()
) -> CompiledGraph:
    """A company of products with these accounts."""
    made = [product(name).model_copy(update={"connectors": tuple(b)}) for name, b in accounts.items()]
    return company(made, pipelines)


def write_secrets(settings: Settings) -> None:
    """The token that the stand-in takes, and a secret for its webhooks."""
    folder: Path = settings.secrets_dir
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TOKEN_FILE).write_text(TOKEN, "utf-8")
    (folder / SECRET_FILE).write_text("made-up-secret", "utf-8")
    (folder / "wrong-token").write_text("nobody's", "utf-8")


class Listener:
    """The sensor of a connector, ticked by hand over one Dagster instance; the cursor goes from tick to tick."""

    def __init__(
        self, connector: str, graph: CompiledGraph, settings: Settings, url: str, instance: dg.DagsterInstance
    ) -> None:
        if not (settings.home / "keys").exists():
            create_keys(settings.home)
        write_secrets(settings)
        self.later = timedelta()
        """By how much the sensor's clock is ahead."""
        self.ears = Ears(graph, settings=lambda: settings, url=lambda _: url, clock=self._now)
        self.sensor = connector_sensor(connector, self.ears, products=products)
        self.instance = instance
        self.cursor: str | None = None

    def _now(self) -> datetime:
        return datetime.now(UTC) + self.later

    def tick(self) -> dg.SensorResult:
        """One tick; keeps its cursor if it did not fail."""
        context = dg.build_sensor_context(self.instance, cursor=self.cursor)
        result = self.sensor(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        return result
