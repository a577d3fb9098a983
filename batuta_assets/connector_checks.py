"""The checks of connectors on their source assets: made by the sensors without a run, and here by hand.

How each is made stands in `sensors/liveness`; what is decided there is only shown here.
"""

from collections.abc import Iterator

import dagster as dg

from batuta.events.types import datasets
from batuta.manifests.graph import CompiledGraph
from batuta_assets.runtime import Runtime
from sensors.connector_sensor import evidence, severity
from sensors.ears import Ears, bound_accounts
from sensors.liveness.evaluate import ACCOUNT_CHECKS, GAPS, CheckName, check_names, evaluate
from sensors.liveness.gaps import METHOD


def connector_checks(graph: CompiledGraph) -> Iterator[dg.AssetChecksDefinition]:
    """One step per connector, of which each check can be run by itself."""
    for connector in datasets():
        yield _checks_of(connector, graph)


def _checks_of(connector: str, graph: CompiledGraph) -> dg.AssetChecksDefinition:
    names = check_names(datasets()[connector])

    @dg.multi_asset_check(
        name=f"{connector}_checks",
        specs=[check_spec(connector, name) for name in names],
        can_subset=True,
    )
    def check(context: dg.AssetCheckExecutionContext, runtime: Runtime) -> Iterator[dg.AssetCheckResult]:
        wanted = [n for n in names if check_key(connector, n) in context.selected_asset_check_keys]
        ears = Ears(graph, settings=runtime.settings, url=lambda _: runtime.database_url(), clock=runtime.now)
        bound = bound_accounts(graph, connector, ears.accounts(connector))
        with ears.connect() as conn:
            verdicts = evaluate(conn, connector, wanted, bound, runtime.now())
        for name in wanted:
            verdict = verdicts[name]
            yield dg.AssetCheckResult(
                asset_key=check_key(connector, name).asset_key,
                check_name=name[1],
                passed=verdict.passed,
                severity=severity(verdict),
                description=verdict.text,
                metadata=evidence(verdict),
            )

    return check


def check_key(connector: str, name: CheckName) -> dg.AssetCheckKey:
    """The key of a connector's check in the graph."""
    subject, check = name
    return dg.AssetCheckKey(dg.AssetKey([connector, subject]), check)


def check_spec(connector: str, name: CheckName) -> dg.AssetCheckSpec:
    """The check with its method; none blocks, for what landed is sound whether or not more should have."""
    subject, check = name
    return dg.AssetCheckSpec(
        check,
        asset=[connector, subject],
        description=METHOD if check == GAPS else ACCOUNT_CHECKS[check],
    )
