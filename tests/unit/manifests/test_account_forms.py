"""What a manifest says of a connector's account is held against the connector's own form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from batuta.manifests.catalog import AccountForm
from batuta.manifests.compiler import Compilation, compile_manifests
from batuta.manifests.form_errors import settings_problems
from batuta.manifests.load import load
from batuta.manifests.models import ConnectorBinding
from batuta.manifests.yaml_source import Source
from sensors.connectors import CONNECTORS, account_forms
from sensors.connectors.pulling import ConnectorSettings
from tests.support.manifest_catalog import small_catalog

HEAD = """apiVersion: batuta.avila.inc/v1
kind: Product
metadata: {name: shop}
spec:
  datasets: [orders]
  kpis: [LTV]
  owners: [vox]
  connectors:
"""


class Folder(ConnectorSettings):
    """One folder."""

    path: str
    ignore: tuple[str, ...] = ()


class MailSettings(ConnectorSettings):
    """A connector's settings."""

    host: str
    port: int = 993
    folders: tuple[Folder, ...] = ()
    token_url: str = "https://login.example.com/token"

    def pushed(self) -> bool:
        return self.port != 143

    def lacking(self, credentials: frozenset[str]) -> str | None:
        return None if credentials else "needs a password or a token"


def _lacking(settings: BaseModel, credentials: frozenset[str]) -> str | None:
    assert isinstance(settings, ConnectorSettings)
    return settings.lacking(credentials)


def _pushed(settings: BaseModel) -> bool:
    assert isinstance(settings, ConnectorSettings)
    return settings.pushed()


def _misnamed(settings: BaseModel, account: str | None, fetched: bool) -> str | None:
    assert isinstance(settings, ConnectorSettings)
    return settings.misnamed(account, fetched=fetched)


def compiled(tmp_path: Path, text: str, *, push: bool = False) -> Compilation:
    credentials = {"password": "IMAP", "token": "XOAUTH2"}
    mail = AccountForm(MailSettings, credentials, push, True, _pushed, _lacking, _misnamed)
    return compiled_with(tmp_path, text, {"email": mail})


def compiled_with(tmp_path: Path, text: str, forms: Mapping[str, AccountForm]) -> Compilation:
    path = tmp_path / "shop.yaml"
    path.write_text(HEAD + text, encoding="utf-8")
    loaded = load(path)
    assert not loaded.problems, [str(problem) for problem in loaded.problems]
    catalog = small_catalog()
    connectors = {**catalog.connectors, **dict.fromkeys(forms, ("messages",))}
    return compile_manifests(loaded.documents, replace(catalog, connectors=connectors, accounts=forms))


def messages(found: Compilation) -> list[str]:
    return [str(problem).partition("shop.yaml:")[2] for problem in found.problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "  - {type: email, credentials: {password: {env: P}}, settings: {host: h, pord: 1}}\n",
            '9:74: spec.connectors[0].settings.pord: unknown setting; did you mean "port"?',
        ),
        (
            "  - {type: email, credentials: {password: {env: P}}, settings: {host: h, port: many}}\n",
            "9:80: spec.connectors[0].settings.port: must be a whole number",
        ),
        (
            "  - type: email\n    credentials: {password: {env: P}}\n    settings: {port: 1}\n",
            "11:5: spec.connectors[0].settings.host: missing",
        ),
        (
            "  - {type: email, credentials: {pasword: {env: P}}, settings: {host: h}}\n",
            (
                '9:33: spec.connectors[0].credentials.pasword: no credential of email "pasword"; '
                'did you mean "password"?'
            ),
        ),
        (
            "  - type: email\n    settings: {host: h}\n",
            "9:5: spec.connectors[0]: needs a password or a token",
        ),
        (
            (
                "  - type: email\n    credentials: {token: {env: P}}\n    settings:\n      host: h\n"
                "      folders:\n        - {path: INBOX, ignor: [a]}\n"
            ),
            "14:25: spec.connectors[0].settings.folders[0].ignor: unknown setting",
        ),
    ],
)
def test_what_does_not_fit_is_named_at_its_place(tmp_path: Path, text: str, expected: str) -> None:
    found = compiled(tmp_path, text)

    assert found.graph is None
    assert messages(found) == [expected]


def test_several_accounts_of_one_connector_stand_side_by_side(tmp_path: Path) -> None:
    found = compiled(
        tmp_path,
        "  - {type: email, account: a, credentials: {password: {env: A}}, settings: {host: h}}\n"
        "  - {type: email, account: b, credentials: {token: {file: b}}, "
        "settings: {host: h, tokenUrl: 'https://x.example', folders: [{path: INBOX, ignore: [x, y]}]}}\n",
    )

    assert messages(found) == []
    assert found.graph is not None
    second = found.graph.products[0].connectors[1]
    assert MailSettings.model_validate(second.settings).folders[0].ignore == ("x", "y")
    assert second == ConnectorBinding.model_validate_json(second.model_dump_json(by_alias=True))


def test_only_a_connector_that_is_sent_deliveries_is_told_of_a_missing_secret(tmp_path: Path) -> None:
    text = "  - {type: email, credentials: {token: {file: b}}, settings: {host: h}}\n"

    assert messages(compiled(tmp_path, text)) == []
    [warning] = compiled(tmp_path, text, push=True).problems
    assert warning.severity == "warning"
    assert "no secretRefs" in warning.message
    assert messages(compiled(tmp_path, text.replace("host: h", "host: h, port: 143"), push=True)) == []


@pytest.mark.parametrize(
    "setting",
    ["{password: x}", "{deep: {clientSecret: x}}", "{list: [{token: x}]}", "{a: [[[[[[1]]]]]]}", "{a: null}"],
)
def test_a_secret_among_the_settings_is_refused_however_deep(tmp_path: Path, setting: str) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(f"{HEAD}  - {{type: email, settings: {setting}}}\n", encoding="utf-8")

    [problem] = load(path).problems

    assert problem.field.startswith("spec.connectors[0].settings")


def test_every_connector_has_a_form_whose_names_are_no_secrets() -> None:
    forms = account_forms()

    assert set(forms) == set(CONNECTORS)
    for name, form in forms.items():
        properties: dict[str, Any] = form.settings.model_json_schema(by_alias=True).get("properties", {})
        binding = ConnectorBinding.model_validate({"type": name, "settings": dict.fromkeys(properties, "x")})
        assert set(binding.settings) == set(properties)
        assert all(purpose.strip() for purpose in form.credentials.values())


SECRET = "    secretRefs: [{env: S}]\n"
TOKEN = SECRET + "    credentials: {token: {env: T}}\n"
GRAPH = SECRET + "    credentials: {refreshToken: {env: T}}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "  - type: github\n    account: a\n" + TOKEN + '    settings: {apiUrl: "ftp://x"}\n',
            ("13:24: spec.connectors[0].settings.apiUrl: must be an address such as https://api.example.com"),
        ),
        *(
            (
                f"  - type: {connector}\n    account: {account}\n"
                + credentials
                + f'    settings: {{{setting}: "http://example.com"{more}}}\n',
                (
                    f"13:{18 + len(setting)}: spec.connectors[0].settings.{setting}: must begin with https: over http "
                    "the credentials travel in clear; only to this machine (127.0.0.1)"
                ),
            )
            for connector, account, credentials, setting, more in (
                ("github", "a", TOKEN, "apiUrl", ""),
                ("notion", "a", TOKEN, "apiUrl", ""),
                ("shopify", "a", TOKEN.replace("token", "accessToken"), "apiUrl", ""),
                ("whatsapp", '"1"', TOKEN.replace("token", "accessToken"), "apiUrl", ""),
                ("onedrive", "a", GRAPH, "graphUrl", ", clientId: x"),
                ("onedrive", "a", GRAPH, "authorityUrl", ", clientId: x"),
                ("email", "a", TOKEN.replace("token", "password"), "tokenUrl", ", host: h, user: u"),
            )
        ),
        (
            "  - type: github\n" + TOKEN,
            (
                "9:5: spec.connectors[0]: fetching takes an account: "
                "an owner (avila-inc) or one repository (avila-inc/arcsat)"
            ),
        ),
        (
            "  - type: github\n    account: avila inc/arc/sat\n" + SECRET,
            (
                "10:14: spec.connectors[0].account: must be "
                "an owner (avila-inc) or one repository (avila-inc/arcsat)"
            ),
        ),
        (
            "  - type: whatsapp\n    account: my-number\n" + SECRET,
            (
                "10:14: spec.connectors[0].account: must be the digits of a phone number id or of a business "
                "account's id, in quotes"
            ),
        ),
        (
            "  - type: notion\n    account: a\n" + TOKEN + "    settings: {dataSources: [not-an-id]}\n",
            (
                "13:30: spec.connectors[0].settings.dataSources[0]: must be the id of a data source, "
                "such as 11111111-2222-3333-4444-555555555555"
            ),
        ),
    ],
)
def test_what_a_vendor_cannot_take_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    assert messages(compiled_with(tmp_path, text, account_forms())) == [expected]


IMAP = "  - type: email\n    account: a\n    credentials: {password: {env: P}}\n    settings: {host: h, user: u, "


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("pollSeconds: 5}\n", "12:47: spec.connectors[0].settings.pollSeconds: must be at least 10"),
        ("port: 70000}\n", "12:40: spec.connectors[0].settings.port: must be at most 65535"),
        ("since: yes}\n", "12:41: spec.connectors[0].settings.since: must be a day such as 2025-11-12"),
        (
            "freshWithin: P0D}\n",
            "12:47: spec.connectors[0].settings.freshWithin: must be more than 0 seconds",
        ),
        ("folders: 5}\n", "12:43: spec.connectors[0].settings.folders: must be a list of folders, or all"),
        ("folders: al}\n", "12:43: spec.connectors[0].settings.folders: must be a list of folders, or all"),
        (
            "folders: [INBOX, 5]}\n",
            "12:51: spec.connectors[0].settings.folders[1]: must be a text; write it in quotes",
        ),
    ],
)
def test_a_wrong_setting_of_a_mailbox_is_one_error_in_plain_words(
    tmp_path: Path, settings: str, expected: str
) -> None:
    assert messages(compiled_with(tmp_path, IMAP + settings, account_forms())) == [expected]


@pytest.mark.parametrize("folders", ["all", "[INBOX]"])
def test_folders_are_a_list_or_all(tmp_path: Path, folders: str) -> None:
    assert messages(compiled_with(tmp_path, f"{IMAP}folders: {folders}}}\n", account_forms())) == []


@pytest.mark.parametrize("connector", sorted(CONNECTORS))
def test_no_setting_is_refused_in_the_words_of_a_library(connector: str) -> None:
    form = account_forms()[connector].settings
    for name in form.model_json_schema(by_alias=True).get("properties", {}):
        for value in (-1, 10**30, 5.5, True, "x y\n?", "", [], [5], {}, {"x": 1}, None, "P0D", "2025-13-01"):
            _, problems = settings_problems({name: value}, form, Source("x", {}, {}), ("settings",))
            for problem in problems:
                assert not re.search("Input|String|should|valid|Value error", problem.message), problem


def test_a_misspelt_credential_is_all_that_is_told(tmp_path: Path) -> None:
    text = f"  - type: shopify\n    account: a\n{SECRET}    credentials: {{acessToken: {{env: T}}}}\n"

    assert messages(compiled_with(tmp_path, text, account_forms())) == [
        (
            '12:19: spec.connectors[0].credentials.acessToken: no credential of shopify "acessToken"; '
            'did you mean "accessToken"?'
        )
    ]


def test_an_account_whose_settings_are_wrong_is_not_told_of_secrets_it_may_not_need(tmp_path: Path) -> None:
    text = "  - {type: email, account: a, credentials: {password: {env: P}}, settings: {host: h, tls: 1, user: u}}\n"

    [problem] = compiled_with(tmp_path, text, account_forms()).problems
    assert problem.field == "spec.connectors[0].settings.tls"


def test_what_a_vendor_can_take_is_let_through(tmp_path: Path) -> None:
    text = "".join(
        [
            "  - type: github\n" + SECRET,
            "  - type: github\n    account: Avila-inc\n"
            + TOKEN
            + '    settings: {apiUrl: "http://localhost:1"}\n',
            "  - type: github\n    account: avila-inc/arc.sat\n" + TOKEN,
            "  - type: whatsapp\n" + SECRET,
            '  - type: whatsapp\n    account: "106540352242922"\n' + SECRET,
            "  - type: notion\n" + TOKEN + '    settings: {apiUrl: "http://[::1]:8706/", dataSources: '
            '["11111111-2222-3333-4444-555555555555", 1111111122223333AAAA555555555555]}\n',
        ]
    )

    assert messages(compiled_with(tmp_path, text, account_forms())) == []
