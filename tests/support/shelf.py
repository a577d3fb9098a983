"""A run launcher that launches nothing and remembers what it was to launch."""

from collections.abc import Mapping
from typing import Any, Self

import dagster as dg

from batuta_assets import compat


class ShelfLauncher(compat.RunLauncher[dg.DagsterInstance], compat.ConfigurableClass):
    """Keeps the ids of the runs it is given."""

    def __init__(self, inst_data: compat.ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        self.launched: list[str] = []
        super().__init__()

    @property
    def inst_data(self) -> compat.ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: compat.ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> Self:
        return cls(inst_data)

    def launch_run(self, context: compat.LaunchRunContext) -> None:
        self.launched.append(context.dagster_run.run_id)

    def terminate(self, run_id: str) -> bool:
        return False
