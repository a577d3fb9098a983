"""Structured logging and trace ids.

Log what happened, to which product and with which id; never a payload, never a header, never personal data.
Logs go to standard error, so that standard output stays for results. structlog is imported with the first logger:
who loads definitions needs none.
"""

import logging
import random
import sys
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import structlog

    from batuta.settings import Settings

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_logging(settings: "Settings") -> None:
    """Set the form and the least level of the process's log."""
    import structlog

    timestamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        timestamp,
    ]
    if settings.log_format == "json":
        rendering: list[Any] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        rendering = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[settings.log_level]),
        # Looked up at each line: whoever replaced standard error meanwhile gets the log too.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # What it warns of, it also raises.
    logging.getLogger("psycopg").setLevel(logging.ERROR)


def get_logger(name: str) -> "structlog.typing.FilteringBoundLogger":
    """A logger whose lines carry `component=name`."""
    import structlog

    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger(component=name))


def new_trace_id() -> str:
    """A new W3C trace context, `00-<trace>-<span>-01`. Nobody's secret: the process's own generator will do."""
    return f"00-{random.getrandbits(128) or 1:032x}-{random.getrandbits(64) or 1:016x}-01"
