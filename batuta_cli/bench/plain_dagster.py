"""The peer of `batuta bench latency`: Dagster as its tutorial has it. A file in a folder makes a trivial asset."""

import os
from pathlib import Path

import dagster as dg

FOLDER = "BATUTA_BENCH_FOLDER"


@dg.asset
def analysis() -> int:
    """One trivial step."""
    return 1


plain_job = dg.define_asset_job("plain_job", selection=[analysis])


@dg.sensor(job=plain_job, minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
def files(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Asks for a run per new file."""
    seen = int(context.cursor or 0)
    numbers = sorted(int(path.stem) for path in Path(os.environ[FOLDER]).glob("*.event"))
    new = [number for number in numbers if number > seen]
    requests = [dg.RunRequest(run_key=str(number), tags={"number": str(number)}) for number in new]
    return dg.SensorResult(run_requests=requests, cursor=str(max([seen, *new])))


defs = dg.Definitions(assets=[analysis], jobs=[plain_job], sensors=[files])
