"""The bench of the graph on a small scale: that it measures what it says, not how fast it is."""

from __future__ import annotations

import pytest

from batuta.settings import get_settings
from batuta_cli.bench import graph

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]


def test_both_sizes_have_the_same_assets_and_the_peer_as_many() -> None:
    found = graph.run(get_settings(), lambda _: None, runs=1, products=12)
    assert found["peers"].keys() == {"10 products", "bare assets"}
    assert found["parts"].keys() == {"10 products", "12 products", "bare assets"}
    assert found["ratios"].keys() == {"10 products", "bare assets"}
    assert found["found"]["assets"] > 100
    assert found["value"] > 0
