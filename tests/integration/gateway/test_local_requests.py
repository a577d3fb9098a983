"""What only this machine's user gets: skills on request, report pages; and the health of the process."""

from __future__ import annotations

import stat
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from batuta_agents.discovery import UnknownSkill
from batuta_agents.model import SkillRequest, SkillResult
from batuta_gateway.app import create_app
from tests.support.gateway_server import Running, gateway_settings, install

CALL = {
    "skill": "sigma.finance.reconcile",
    "input": {},
    "context": {"product": "arcsat", "roles": ["finance.read", "orders.read"], "traceId": "trace-1"},
}


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[SkillRequest]:
    """Stands for the skill runtime; collects what it is asked for. Roles and input decide how a run ends."""
    asked: list[SkillRequest] = []

    def run_skill(name: str, given: dict[str, Any], request: SkillRequest, *_: Any) -> SkillResult:
        asked.append(request)
        if name != CALL["skill"]:
            raise UnknownSkill(f"no skill {name!r}")
        metrics = {"latency_ms": 12}
        if "finance.read" not in request.roles:
            return SkillResult("denied", "run_1", name, None, metrics=metrics, error="lacks finance.read")
        if given:
            return SkillResult("invalid", "run_1", name, None, metrics=metrics, error="unknown field")
        return SkillResult(
            "ok", "run_1", name, {"checked": 3, "narrative": [{"text": "All agree."}]}, metrics=metrics
        )

    monkeypatch.setattr("batuta_agents.runtime.run_skill", run_skill)
    return asked


def call(
    gateway: Running, content: Any = CALL, *, token: str | None = None, **headers: str
) -> httpx.Response:
    token = (gateway.settings.secrets_dir / "local-token").read_text() if token is None else token
    return gateway.http.post(
        "/skill/execute", json=content, headers={"authorization": f"Bearer {token}"} | headers
    )


def test_a_skill_runs_for_the_holder_of_the_local_token(gateway: Running, runs: list[SkillRequest]):
    answered = call(gateway)
    assert answered.status_code == 200
    assert answered.json() == {
        "status": "ok",
        "output": {
            "reportId": "run_1",
            "summary": "All agree.",
            "checked": 3,
            "narrative": [{"text": "All agree."}],
        },
        "metrics": {"latency_ms": 12},
        "runId": "run_1",
    }
    [request] = runs
    assert (request.product, request.roles, request.trace) == (
        "arcsat",
        ("finance.read", "orders.read"),
        "trace-1",
    )
    assert (request.caller, request.currency, str(request.as_of)) == ("local", "BRL", "2025-11-12")


def test_the_day_is_the_one_the_product_s_series_reach_to(gateway: Running, runs: list[SkillRequest]):
    import psycopg

    with psycopg.connect(gateway.database_url) as conn:
        conn.execute("insert into batuta.horizons values ('arcsat', '2025-10-31') on conflict do nothing")
    call(gateway)
    call(gateway, CALL | {"context": {"product": "arcsat", "roles": [], "asOf": "2025-09-01"}})
    assert [str(request.as_of) for request in runs] == ["2025-10-31", "2025-09-01"]


def test_the_token_is_made_once_and_is_its_owner_s_alone(gateway: Running):
    path = gateway.settings.secrets_dir / "local-token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_text()
    create_app(gateway.settings)
    assert path.read_text() == before
    assert len(before) >= 32


@pytest.mark.parametrize("token", ["", "wrong", "é"])
def test_without_the_token_no_skill_runs(gateway: Running, runs: list[SkillRequest], token: str):
    answered = gateway.http.post(
        "/skill/execute", json=CALL, headers={b"authorization": f"Bearer {token}".strip().encode()}
    )
    assert answered.status_code == 401
    assert runs == []


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ([], 400),
        ({}, 400),
        (CALL | {"extra": 1}, 400),
        (CALL | {"skill": ""}, 400),
        (CALL | {"input": []}, 400),
        (CALL | {"context": {"product": "arcsat", "roles": "finance.read"}}, 400),
        (CALL | {"context": {"product": "arcsat", "traceId": "a b\n"}}, 400),
        (CALL | {"context": {"product": "arcsat", "asOf": "tomorrow"}}, 400),
        (CALL | {"context": {"product": "nobody"}}, 404),
        (CALL | {"skill": "sigma.unknown"}, 404),
        (CALL | {"context": {"product": "arcsat", "roles": ["orders.read"]}}, 403),
        (CALL | {"input": {"unknown": 1}}, 422),
    ],
)
@pytest.mark.usefixtures("runs")
def test_a_call_that_cannot_be_served_says_why(gateway: Running, content: Any, status: int):
    answered = call(gateway, content)
    assert answered.status_code == status
    assert answered.json()["status"] == "error"
    assert answered.json()["message"]


def test_the_runtime_itself_decides_and_its_run_is_named(gateway: Running):
    answered = call(gateway, CALL | {"context": {"product": "arcsat"}})
    assert (answered.status_code, answered.json()["code"]) == (403, "denied")
    recorded = gateway.query(
        "select status, caller from batuta.skill_runs where id = %s", answered.json()["runId"]
    )
    assert recorded == [("denied", "local")]


def test_a_call_is_json(gateway: Running):
    token = (gateway.settings.secrets_dir / "local-token").read_text()
    headers = {"authorization": f"Bearer {token}", "content-type": "text/plain"}
    assert gateway.http.post("/skill/execute", content=b"{}", headers=headers).status_code == 415
    headers["content-type"] = "application/json"
    assert gateway.http.post("/skill/execute", content=b"{\xff", headers=headers).status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example.com"},
        {"x-forwarded-for": "10.0.0.1"},
        {"forwarded": "for=10.0.0.1"},
        {"host": ""},
    ],
)
def test_what_comes_through_a_proxy_or_by_another_name_finds_nothing(
    gateway: Running, headers: dict[str, str]
):
    assert call(gateway, **headers).status_code == 404
    assert gateway.http.get("/reports/arcsat/daily_review/2025-11-12", headers=headers).status_code == 404


def test_another_machine_finds_nothing(database_url: str, tmp_path: Any):
    settings = gateway_settings(tmp_path, database_url)
    install(settings)
    with TestClient(create_app(settings), base_url="http://localhost", client=("192.0.2.7", 5000)) as far:
        assert far.post("/skill/execute", json=CALL).status_code == 404
        assert far.get("/reports/arcsat/daily_review/2025-11-12").status_code == 404
        assert far.get("/healthz").status_code == 200


@pytest.fixture
def stored_report(gateway: Running) -> str:
    """A report page in the reports folder, and its row."""
    import psycopg

    folder = gateway.settings.reports_dir / "arcsat" / "daily_review"
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "2025-11-12.html"
    page.write_text("<!doctype html><title>Revis\u00e3o</title>", encoding="utf-8")
    with psycopg.connect(gateway.database_url) as conn:
        conn.execute(
            "insert into batuta.blobs values ('sha256:1', 'text/html', 'x', now()) on conflict do nothing"
        )
        for number, (day, path) in enumerate(
            [
                ("2025-11-12", str(page)),
                ("2025-11-11", "arcsat/daily_review/2025-11-12.html"),
                ("2025-11-10", "/etc/passwd"),
            ]
        ):
            conn.execute(
                "insert into batuta.reports (id, pipeline, product, business_date, digest, path, created_at) "
                "values (%s, 'arcsat-daily-review', 'arcsat', %s, 'sha256:1', %s, now()) on conflict do nothing",
                (f"rep_{number}", day, path),
            )
    return "/reports/arcsat/daily_review"


def test_a_report_page_is_shown_and_may_load_nothing_from_elsewhere(gateway: Running, stored_report: str):
    for day in ("2025-11-12", "2025-11-11"):
        shown = gateway.http.get(f"{stored_report}/{day}")
        assert (shown.status_code, shown.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "Revis\u00e3o" in shown.text
        assert shown.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    "rest", ["2025-11-10", "2025-11-09", "2025-02-30", "yesterday", "..%2f..%2fetc%2fpasswd", "20251112"]
)
def test_what_is_no_report_is_not_found(gateway: Running, stored_report: str, rest: str):
    assert gateway.http.get(f"{stored_report}/{rest}").status_code == 404
    assert gateway.http.get(f"/reports/lojablock/daily_review/{rest}").status_code == 404


def test_health_and_readiness(gateway: Running):
    assert gateway.http.get("/healthz").json() == {"status": "ok"}
    assert gateway.http.get("/readyz").json() == {"status": "ok", "database": True, "products": 4}
