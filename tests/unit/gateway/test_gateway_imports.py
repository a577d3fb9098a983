"""What the gateway and the connectors may not load."""

from __future__ import annotations

import subprocess
import sys


def test_neither_gateway_nor_connectors_load_dagster():
    script = (
        "import sys, batuta_gateway.app, batuta_gateway.server, sensors.connectors; "
        "sys.exit(any(name.partition('.')[0].startswith('dagster') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_connectors_load_no_web_framework_and_no_database_driver():
    script = (
        "import sys, sensors.connectors; "
        "sys.exit(any(name in sys.modules for name in ('starlette', 'uvicorn', 'psycopg')))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
