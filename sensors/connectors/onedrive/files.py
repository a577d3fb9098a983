"""Delta pages that were saved to files, for `batuta ingest onedrive`: read as a poll reads them.

A file holds one page as Graph gave it, a list of pages, or one page a line; of a folder all `.json` files are read,
page-2 before page-10. Since nobody says whether the pages show the whole drive, nothing is taken for deleted that they
leave out; and an item that is known in a newer state stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson

from sensors.connectors.graph.settings import CLIENT_SECRET
from sensors.connectors.onedrive.settings import OneDriveSettings, SavedSettings
from sensors.connectors.pulling import Account, Answer, SourceFailed
from sensors.connectors.reading import JsonObject, object_at, text_at

LARGEST: Final = 256 * 1024 * 1024
_SAVED: Final = b"saved"
_NUMBERS: Final = re.compile(r"([0-9]+)")


def as_poll(path: Path, account: Account) -> tuple[Account, SavedPages]:
    """The account, reading saved pages in place of Graph's; see `StateFiles.as_poll`.

    Raises:
        SourceFailed: there is no page there.
    """
    # Field by field: the rules of labels stay rules.
    given = dict(account.settings) if isinstance(account.settings, OneDriveSettings) else {}
    settings = SavedSettings.model_construct(None, **(given | {"client_id": "saved", "tenant": "saved"}))
    calls = SavedPages(path, settings)
    return replace(account, settings=settings, credentials={CLIENT_SECRET: _SAVED}), calls


class SavedPages:
    """`Calls` that answer with saved pages, one after the other, whatever their own links say."""

    def __init__(self, path: Path, settings: OneDriveSettings) -> None:
        self._base = f"{settings.graph_url}/v1.0/saved"
        self._drive = settings.drive.removeprefix("drives/")
        self._count = 0
        self._pages = _pages(path)
        self._next: JsonObject | None = next(self._pages, None)
        if self._next is None:
            raise SourceFailed(
                "there is no saved page",
                hint="Name a .json file of Graph's delta, or a folder of such files.",
            )
        self._drive = _drive_of(self._next) or self._drive

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        content: bytes | None = None,
        form: Mapping[str, str] | None = None,
        expect: Collection[int] = (200,),
        max_bytes: int = LARGEST,
        follow_redirects: bool = False,
    ) -> Answer:
        """The token, the drive's id, or the next page."""
        if method == "POST":
            return _answer(url, {"access_token": "saved", "expires_in": 0})
        if not url.startswith(self._base) and "/delta" not in url:
            return _answer(url, {"id": self._drive})
        page, self._next = self._next or {"value": []}, next(self._pages, None)
        link = "@odata.deltaLink" if self._next is None else "@odata.nextLink"
        self._count += 1
        return _answer(url, {"value": page.get("value"), link: f"{self._base}/{self._count}"})

    def stream(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        max_bytes: int,
        follow_redirects: bool = False,
    ) -> Iterator[bytes]:
        """Nothing that is read from saved pages is streamed."""
        yield self.request("GET", url).body

    def pause(self, seconds: float, why: str) -> None:
        """Files ask for no patience."""


def _pages(path: Path) -> Iterator[JsonObject]:
    files = sorted(path.rglob("*.json"), key=_natural) if path.is_dir() else [path]
    for file in files:
        if not file.is_file():
            raise SourceFailed(f"{file.name} is not there")
        if file.stat().st_size > LARGEST:
            raise SourceFailed(f"{file.name} is larger than {LARGEST} bytes; save one page to a file")
        for page in _documents(file):
            if not isinstance(page, dict) or not isinstance(page.get("value"), list):
                raise SourceFailed(f"{file.name} holds no page of a delta: a JSON object with a list `value`")
            yield page


def _documents(file: Path) -> list[Any]:
    content = file.read_bytes()
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        try:
            return [orjson.loads(line) for line in content.splitlines() if line.strip()]
        except orjson.JSONDecodeError as error:
            raise SourceFailed(f"{file.name} is no JSON ({error.msg})") from None
    return found if isinstance(found, list) else [found]


def _drive_of(page: JsonObject) -> str | None:
    items = [item for item in page.get("value", []) if isinstance(item, dict)]
    return next(
        (id for item in items if (id := text_at(object_at(item, "parentReference"), "driveId"))), None
    )


def _natural(path: Path) -> list[Any]:
    return [int(part) if part.isdigit() else part for part in _NUMBERS.split(str(path))]


def _answer(url: str, document: JsonObject) -> Answer:
    return Answer(200, {}, orjson.dumps(document), url)
