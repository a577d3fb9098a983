"""Settings: where they come from, what they refuse, where folders end up."""

from pathlib import Path

import pytest

from batuta.errors import UsageError
from batuta.settings import describe, find_project, get_settings


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    (folder / "deep" / "deeper").mkdir(parents=True)
    (folder / "pyproject.toml").touch()
    monkeypatch.chdir(folder / "deep" / "deeper")
    monkeypatch.delenv("BATUTA_HOME")
    return folder


def test_the_project_is_the_nearest_parent_that_looks_like_one(project: Path) -> None:
    settings = get_settings()

    assert settings.project == project
    assert settings.home == project / ".batuta"
    assert settings.secrets_dir == project / ".batuta" / "secrets"


def test_a_named_project_wins(project: Path, tmp_path: Path) -> None:
    assert find_project(project, {"BATUTA_PROJECT": str(tmp_path)}) == tmp_path


def test_the_environment_wins_over_the_env_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".env").write_text("BATUTA_DOCS_PORT=7001\nBATUTA_GATEWAY_PORT=7002\nOTHER=1\n")
    monkeypatch.setenv("BATUTA_GATEWAY_PORT", "7003")

    settings = get_settings()
    assert (settings.docs_port, settings.gateway_port) == (7001, 7003)


def test_relative_folders_are_taken_from_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATUTA_HOME", "data/home")
    monkeypatch.setenv("BATUTA_REPORTS_DIR", "pages")

    settings = get_settings()
    assert settings.home == project / "data" / "home"
    assert settings.reports_dir == project / "pages"
    assert settings.outbox_dir == settings.home / "outbox"


def test_an_empty_variable_is_as_good_as_none(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATUTA_DATABASE_URL", "")

    assert get_settings().database_url is None


@pytest.mark.parametrize(
    ("variable", "value"),
    [("BATUTA_GATEWAY_PORT", "0"), ("BATUTA_GATEWAY_PORT", "many"), ("BATUTA_ENVIRONMENT", "prod")],
)
def test_a_value_that_does_not_fit_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(UsageError, match=variable):
        get_settings()


@pytest.mark.parametrize(
    "address",
    [
        *("notaurl", "mysql://user:hidden-word@host/name", "host=db user=me"),
        *("postgresql://user:hidden-word%zz@host/name", "postgresql://user:hidden-word@host:port/name"),
    ],
)
def test_an_address_that_is_none_is_refused_without_showing_it(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("BATUTA_DATABASE_URL", address)

    with pytest.raises(UsageError, match="BATUTA_DATABASE_URL: Input should be an address") as refused:
        get_settings()
    assert "hidden-word" not in refused.value.message


def test_both_spellings_of_an_address_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATUTA_DATABASE_URL", "postgres://user:a%40b@host:5433/name?sslmode=require")

    assert get_settings().database_url == "postgresql://user:a%40b@host:5433/name?sslmode=require"


def test_a_password_of_the_mail_server_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATUTA_SMTP_URL", "smtp://user:hidden-word@mail.example:587")

    assert "hidden-word" not in repr(get_settings())


def test_every_setting_is_described_and_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "settings.md").read_text(encoding="utf-8")

    assert [
        row for row in describe() if not row[2] or f"| `{row[0]}` |" not in page or row[2] not in page
    ] == []


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("https://hooks.example.com/", True),
        ("https://hooks.example.com/batuta", True),
        ("http://127.0.0.1:8600", True),
        ("http://hooks.example.com", False),
        ("hooks.example.com", False),
        ("https://", False),
        ("https://user:word@hooks.example.com", False),
        ("https://hooks.example.com?x=1", False),
        ("https://[half", False),
    ],
)
def test_the_address_vendors_send_to_is_https_or_this_machine(
    project: Path, monkeypatch: pytest.MonkeyPatch, value: str, fits: bool
) -> None:
    monkeypatch.setenv("BATUTA_PUBLIC_URL", value)
    if fits:
        assert get_settings().public_url == value.rstrip("/")
    else:
        with pytest.raises(UsageError, match="BATUTA_PUBLIC_URL"):
            get_settings()
