"""The log goes to standard error as it is now, not as it was when logging was set up."""

import io
import sys

import pytest
import structlog

from batuta.settings import Settings
from batuta.telemetry import configure_logging, get_logger


def test_a_replaced_standard_error_gets_the_log(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    before, after = io.StringIO(), io.StringIO()
    log = get_logger("test")
    try:
        monkeypatch.setattr(sys, "stderr", before)
        configure_logging(settings)
        log.info("first")
        before.close()
        monkeypatch.setattr(sys, "stderr", after)
        log.info("second")
    finally:
        structlog.reset_defaults()
    assert "second" in after.getvalue()
