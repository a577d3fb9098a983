"""The console has a word, in both languages, for every way an account can stand."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from batuta_gateway.console.accounts import STANDINGS, AccountLine
from batuta_gateway.console.words import words_of
from sensors.pull.overview import AccountView

AT = datetime(2025, 11, 12, 12, tzinfo=UTC)
VIEWS = {
    "well": AccountView("p", "notion", "a", fetched=True, last_success_at=AT),
    "never fetched": AccountView("p", "notion", "a", fetched=True),
    "resting": AccountView("p", "notion", "a", fetched=True, paused_until=AT),
    "failing": AccountView("p", "notion", "a", fetched=True, problem="401"),
    "stopped": AccountView("p", "notion", "a", fetched=True, stopped=True),
    "only sends": AccountView("p", "events", "", fetched=False),
    "refused": AccountView("p", "events", "", fetched=False, refuses="no secret"),
}


@pytest.mark.parametrize("standing", STANDINGS)
@pytest.mark.parametrize("locale", ["pt-BR", "en"])
def test_every_standing_has_its_word(standing: str, locale: str) -> None:
    view = VIEWS[standing]
    assert view.standing == standing
    line = AccountLine(view, "America/Sao_Paulo", locale, words_of(locale))
    assert line.standing
    assert line.notes == [text for text in (view.problem, view.refuses) if text]
