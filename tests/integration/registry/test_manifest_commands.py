"""`batuta validate`, `apply`, `registry` and `schema` as a person types them."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from batuta.manifests.catalog import Catalog
from batuta.settings import get_settings
from batuta_cli.dagster_reload import reload_code_location
from batuta_cli.installed import installed_catalog
from batuta_cli.main import main
from tests.support.manifest_catalog import small_catalog

FIXTURES = Path(__file__).parents[2] / "fixtures"
EXAMPLE = Path(__file__).parents[3] / "examples" / "arcsat"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def batuta(
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    unused_tcp_port: int,
) -> Run:
    def small(*_: object) -> Catalog:
        return small_catalog()

    monkeypatch.setenv("BATUTA_DATABASE_URL", database_url)
    monkeypatch.setenv("BATUTA_DAGSTER_PORT", str(unused_tcp_port))
    monkeypatch.setattr("batuta_cli.commands.validate.installed_catalog", small)
    monkeypatch.setattr("batuta_cli.commands.apply.installed_catalog", small)

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        return int(exit_.value.code or 0), shown.out, shown.err

    return run


@pytest.fixture
def unused_tcp_port() -> int:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        return server.server_address[1]


def test_validate_prints_every_problem_and_fails(batuta: Run) -> None:
    folder = FIXTURES / "broken_manifests"
    expected = (folder / "expected.txt").read_text("utf-8").splitlines()

    code, out, err = batuta("validate", folder)

    assert code == 1
    assert [line.removeprefix(f"{folder}/") for line in out.splitlines()[:-1]] == expected
    assert out.splitlines()[-1].startswith("7 readable manifests: ")
    assert err == ""


def test_validate_passes_with_warnings_and_says_so_to_machines(batuta: Run) -> None:
    code, out, _ = batuta("validate", FIXTURES / "user_forms", "--json")
    result = json.loads(out)

    assert code == 0
    assert (result["manifests"], result["errors"], result["warnings"]) == (3, 0, 2)
    assert result["problems"][0]["line"] == 5
    assert result["problems"][0]["column"] == 12


def test_a_path_that_is_not_there_is_bad_usage(batuta: Run, tmp_path: Path) -> None:
    code, _, err = batuta("validate", tmp_path / "nowhere")

    assert code == 2
    assert "is not there" in err


def test_apply_prints_what_changed_and_the_registry_shows_it(batuta: Run, tmp_path: Path) -> None:
    company = tmp_path / "company.yaml"
    company.write_text((FIXTURES / "user_forms" / "company.yaml").read_text("utf-8").split("---\n", 1)[1])

    code, out, _ = batuta("apply", company)
    assert code == 0
    assert "created  Product arcsat (version 1)" in out
    assert "Dagster is not running" in out

    company.write_text(company.read_text("utf-8").replace("0 6 * * *", "30 7 * * *"))
    code, out, _ = batuta("apply", company, "--json")
    changed = [c for c in json.loads(out)["changes"] if c["action"] != "unchanged"]
    assert changed == [{"action": "updated", "kind": "Pipeline", "name": "arcsat-daily-review", "version": 2}]

    assert "arcsat-daily-review" in batuta("registry", "list", "pipeline")[1]
    assert len(json.loads(batuta("registry", "list", "--json")[1])) == 6
    assert json.loads(batuta("registry", "show", "product", "arcsat")[1])["spec"]["owners"] == [
        "vox",
        "sigma",
    ]
    assert len(batuta("registry", "history", "Pipeline", "arcsat-daily-review")[1].splitlines()) == 2
    difference = batuta("registry", "diff", "Pipeline", "arcsat-daily-review")[1].splitlines()
    assert [line.strip() for line in difference if line[:1] in "+-" and line[1:2] == " "] == [
        '-        "schedule": "0 6 * * *"',
        '+        "schedule": "30 7 * * *"',
    ]
    code, _, err = batuta("registry", "show", "Agent", "nobody")
    assert code == 1
    assert "Agent nobody is not registered" in err


def test_apply_tells_of_contracts_that_come_into_force(batuta: Run, tmp_path: Path) -> None:
    for folder in ("agents", "products", "pipelines"):
        (tmp_path / folder).mkdir()
    (tmp_path / "products" / "shop.yaml").write_text(
        "apiVersion: batuta.avila.inc/v1\nkind: Product\nmetadata: {name: shop}\n"
        "spec: {datasets: [orders], kpis: [LTV], owners: [vox]}\n"
        "---\napiVersion: batuta.avila.inc/v1\nkind: Agent\nmetadata: {name: vox}\n"
        "spec: {skills: [vox.crm.playbook]}\n"
    )
    contract = tmp_path / "schemas" / "events" / "com.example.deal.won" / "1.json"
    contract.parent.mkdir(parents=True)
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": {"type": "string"},
    }
    contract.write_text(json.dumps(schema))

    assert "created  EventContract com.example.deal.won/1" in batuta("apply", tmp_path)[1]
    assert "nothing changed" in batuta("apply", tmp_path)[1]

    contract.write_text(json.dumps(schema | {"title": "Deal"}))
    assert "updated  EventContract com.example.deal.won/1\n1 changed" in batuta("apply", tmp_path)[1]
    assert json.loads(batuta("apply", tmp_path, "--json")[1])["contracts"] == [
        {"action": "unchanged", "kind": "EventContract", "name": "com.example.deal.won/1"}
    ]


def test_apply_refuses_errors_and_empty_folders(batuta: Run, tmp_path: Path) -> None:
    code, _, err = batuta("apply", FIXTURES / "broken_manifests")
    assert code == 1
    assert 'did you mean "skills"?' in err
    assert "Nothing was applied" in err

    code, _, err = batuta("apply", tmp_path)
    assert code == 1
    assert "no manifests in" in err


def test_schemas_are_printed_and_written(batuta: Run, tmp_path: Path) -> None:
    assert json.loads(batuta("schema", "json", "agent")[1])["title"] == "Agent"
    assert batuta("schema", "crd")[1].count("kind: CustomResourceDefinition") == 3
    assert "| `BATUTA_DATABASE_URL` |" in batuta("schema", "settings")[1]

    batuta("schema", "crd", "--out", tmp_path / "crds")

    assert len(list((tmp_path / "crds").iterdir())) == 3


@contextmanager
def answering(body: str) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("typename", "extra", "state", "reason"),
    [
        (
            "WorkspaceLocationEntry",
            '"locationOrLoadError": {"__typename": "RepositoryLocation"}',
            "reloaded",
            "",
        ),
        (
            "WorkspaceLocationEntry",
            '"locationOrLoadError": {"__typename": "PythonError", "message": "no bundle"}',
            "failed",
            "no bundle",
        ),
        ("RepositoryLocationNotFound", '"message": "no location batuta"', "failed", "no location batuta"),
    ],
)
def test_what_dagster_answers_to_a_reload_is_understood(
    typename: str, extra: str, state: str, reason: str
) -> None:
    with answering(
        f'{{"data": {{"reloadRepositoryLocation": {{"__typename": "{typename}", {extra}}}}}}}'
    ) as port:
        found = reload_code_location(port)

    assert (found.state, found.reason) == (state, reason)


@pytest.mark.parametrize("body", ["not json", "[]", '{"errors": [{"message": "x"}]}'])
def test_another_program_on_dagsters_port_does_no_harm(body: str) -> None:
    with answering(body) as port:
        assert reload_code_location(port).state == "failed"


def test_the_example_company_is_valid_for_the_installed_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["validate", str(EXAMPLE)])

    assert exit_.value.code in (0, None), capsys.readouterr().out
    assert (
        installed_catalog(get_settings(), lambda _message: None).skill("sigma.finance.reconcile") is not None
    )
    assert "7 readable manifests: no errors" in capsys.readouterr().out
