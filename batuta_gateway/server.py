"""Serve the gateway with uvicorn. `python -m batuta_gateway` does just that."""

from __future__ import annotations

import gc
import sys

import uvicorn

from batuta.errors import BatutaError
from batuta.ports import require_free
from batuta.settings import Settings, get_settings
from batuta.telemetry import configure_logging
from batuta_gateway.app import create_app


def serve(settings: Settings) -> None:
    """Serve until told to stop; deliveries under way are finished first."""
    configure_logging(settings)
    app = create_app(settings)
    gc.collect()
    gc.freeze()
    require_free(settings.gateway_host, settings.gateway_port, "BATUTA_GATEWAY_PORT")
    uvicorn.run(
        app,
        host=settings.gateway_host,
        port=settings.gateway_port,
        access_log=False,
        log_level="warning",
        # An address a proxy claims to forward for is never taken as the caller's.
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=15,
    )


def main() -> int:
    """Serve with the settings of the environment; problems are sentences."""
    try:
        serve(get_settings())
    except BatutaError as error:
        print(error.message, file=sys.stderr)  # noqa: T201
        if error.hint:
            print(error.hint, file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0
