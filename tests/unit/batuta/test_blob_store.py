"""Contents in a folder and at an S3 address: found again by digest, readable with the keys only."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr

from batuta.blob_store import BlobMissing, BlobStore, BlobStoreFailed, BlobUnreadable, StoredBlob, open_blobs
from batuta.errors import BatutaError, UsageError
from batuta.keys import KeyRing, create_keys
from batuta.settings import Settings, get_settings

CONTENT = b"%PDF-1.7 fatura de Maria Exemplo"
DIGEST = f"sha256:{sha256(CONTENT).hexdigest()}"
ACCESS = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """Address of an S3 server with a bucket."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    import httpx

    httpx.put(f"http://{host}:{port}/batuta-blobs").raise_for_status()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def keys(settings: Settings) -> KeyRing:
    return create_keys(settings.home)


def at(url: str) -> Settings:
    """Settings with this blob address."""
    return get_settings().model_copy(update={"blob_url": SecretStr(url)})


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, keys: KeyRing, settings: Settings) -> BlobStore:
    if request.param == "folder":
        return open_blobs(settings, keys)
    endpoint: str = request.getfixturevalue("s3")
    key, secret = ACCESS, SECRET.replace("/", "%2F")
    return open_blobs(at(f"s3://{key}:{secret}@batuta-blobs/kept?endpoint={endpoint}&region=us-east-1"), keys)


def test_a_content_is_found_again_by_its_digest(store: BlobStore) -> None:
    assert store.put("arcsat", CONTENT, "application/pdf") == DIGEST
    assert store.put("arcsat", CONTENT, "application/pdf") == DIGEST
    assert store.get("arcsat", DIGEST) == StoredBlob(CONTENT, "application/pdf")


def test_a_content_is_its_products_alone(store: BlobStore) -> None:
    store.put("arcsat", CONTENT, "application/pdf")
    with pytest.raises(BlobMissing):
        store.get("lojablock", DIGEST)


def test_a_content_can_be_given_up(store: BlobStore) -> None:
    store.put("arcsat", CONTENT, "application/pdf")
    store.delete("arcsat", DIGEST)
    store.delete("arcsat", DIGEST)

    with pytest.raises(BlobMissing):
        store.get("arcsat", DIGEST)


def test_whoever_sees_the_folder_learns_nothing(settings: Settings, keys: KeyRing) -> None:
    open_blobs(settings, keys).put("arcsat", CONTENT, "application/pdf")
    [file] = [path for path in (settings.home / "blobs").rglob("*") if path.is_file()]

    assert b"Maria" not in file.read_bytes()
    assert b"pdf" not in file.read_bytes()
    assert DIGEST.removeprefix("sha256:") not in str(file)


def test_a_content_that_was_changed_does_not_open(settings: Settings, keys: KeyRing) -> None:
    store = open_blobs(settings, keys)
    store.put("arcsat", CONTENT, "application/pdf")
    [file] = [path for path in (settings.home / "blobs").rglob("*") if path.is_file()]
    whole = file.read_bytes()
    for changed in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), b"", b"BATUTA-BLOB-1\x00", b"plain"):
        file.write_bytes(changed)
        with pytest.raises(BlobUnreadable):
            store.get("arcsat", DIGEST)


@hypothesis_settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=3000), media_type=st.text(max_size=20))
def test_any_content_and_any_type_come_back(
    settings: Settings, keys: KeyRing, content: bytes, media_type: str
) -> None:
    store = open_blobs(settings, keys)
    found = store.get("arcsat", store.put("arcsat", content, media_type))

    assert found.content == content


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:../../keys/master.json", "md5:" + "0" * 64])
def test_a_digest_that_is_none_names_nothing(store: BlobStore, digest: str) -> None:
    with pytest.raises(BlobMissing):
        store.get("arcsat", digest)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://bucket/prefix",
        "bucket/prefix",
        "s3://",
        "s3://bucket?endpont=https://s3.example.com",
        "s3://[bucket",
        "s3://bucket?endpoint",
    ],
)
def test_an_address_that_does_not_fit_is_refused(keys: KeyRing, url: str) -> None:
    with pytest.raises(UsageError, match="BATUTA_BLOB_URL"):
        open_blobs(at(url), keys)


def test_a_store_that_does_not_answer_is_a_sentence_without_its_secrets(keys: KeyRing) -> None:
    secret = SECRET.replace("/", "%2F")
    store = open_blobs(at(f"s3://{ACCESS}:{secret}@batuta-blobs?endpoint=http://127.0.0.1:1"), keys)
    calls: list[Callable[[], object]] = [lambda: store.put("arcsat", CONTENT, "text/plain")]
    for call in calls:
        with pytest.raises(BlobStoreFailed, match=r"^s3://batuta-blobs does not keep or give") as caught:
            call()
        error: BaseException | None = caught.value
        assert isinstance(error, BatutaError)
        assert SECRET not in f"{error!r} {error.hint}"


def test_a_folder_that_cannot_be_made_is_a_sentence(settings: Settings, keys: KeyRing) -> None:
    Path(settings.home / "blobs").write_text("a file")
    with pytest.raises(BatutaError, match="blobs"):
        open_blobs(settings, keys).put("arcsat", CONTENT, "text/plain")
