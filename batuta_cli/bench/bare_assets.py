"""The peer of `batuta bench graph`: as many assets as we have, with nothing in them, in one module."""

import os

import dagster as dg

COUNT = "BATUTA_BENCH_ASSETS"


def _bare(number: int) -> dg.AssetsDefinition:
    @dg.asset(name=f"asset_{number}")
    def bare() -> None: ...

    return bare


defs = dg.Definitions(assets=[_bare(number) for number in range(int(os.environ[COUNT]))])
