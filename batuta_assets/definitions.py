"""The code location `batuta`: what `workspace.yaml` names.

Reads files, the bundle and contracts that `batuta apply` wrote and dbt's manifest; no database, no network, no secret.
A bundle or manifest that cannot be read is an error, never an empty list.
"""

import gc
import os

import dagster as dg

from batuta.contracts.applied import contracts_in_force
from batuta.manifests.bundle import without_collection
from batuta.quality.reading import enforced, in_force
from batuta.settings import get_settings
from batuta_agents.catalog import catalog
from batuta_assets.dbt_manifest import read_manifest
from batuta_assets.graph import Score, definitions
from batuta_assets.locations import BUNDLE_VARIABLE, load_graph, locations


@dg.definitions
def batuta() -> dg.Definitions:
    """Everything below the event log, as one asset graph."""
    with without_collection():
        made = _definitions()
    # All of it lives as long as the process: the collector need not go through it again and again.
    gc.freeze()
    return made


def _definitions() -> dg.Definitions:
    settings = get_settings()
    found = locations(settings, os.environ.get(BUNDLE_VARIABLE))
    return definitions(
        Score(
            graph=load_graph(found),
            manifest=read_manifest(found.manifest),
            skills=catalog(),
            docs_url=settings.docs_address,
            contracts=contracts_in_force(settings.home),
            data_contracts=enforced(in_force(settings.project, settings.home)),
        )
    )
