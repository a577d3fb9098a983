"""Brokers that ask for TLS and for who we are: what reaches them, and from whom nothing is taken."""

from __future__ import annotations

import ipaddress
import queue
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from batuta.bus.address import BusAddress
from batuta.bus.message import Message
from batuta.bus.producer import BusProducer

API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE = 18, 17, 36
SPOKEN = ((API_VERSIONS, 0, 0), (SASL_HANDSHAKE, 0, 1), (SASL_AUTHENTICATE, 0, 0), (3, 0, 1), (0, 0, 3))
UNSUPPORTED_VERSION = 35


class AskingBroker:
    """A broker over TLS that knows no more of Kafka's protocol than how somebody signs in (KIP-35, KIP-152)."""

    def __init__(self, certificate: Path) -> None:
        self.heard: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        """What each one that signed in said of itself."""
        self.refused = threading.Event()
        """A connection came to nothing before anything was said."""
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            try:
                with self._context.wrap_socket(raw, server_side=True) as line:
                    self._serve(line)
            except OSError:
                self.refused.set()

    def _serve(self, line: ssl.SSLSocket) -> None:
        while True:
            size = line.recv(4)
            if len(size) < 4:
                return
            request = b""
            while len(request) < struct.unpack(">i", size)[0]:
                request += line.recv(65_536)
            key, version, correlation, named = struct.unpack(">hhih", request[:10])
            body = request[10 + max(named, 0) :]
            if key == API_VERSIONS:
                answer = struct.pack(">hi", UNSUPPORTED_VERSION if version else 0, len(SPOKEN))
                answer += b"".join(struct.pack(">hhh", *spoken) for spoken in SPOKEN)
            elif key == SASL_HANDSHAKE:
                answer = struct.pack(">hih", 0, 1, len(b"PLAIN")) + b"PLAIN"
            else:
                self.heard.put(body[4:])
                return
            line.sendall(struct.pack(">ii", 4 + len(answer), correlation) + answer)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of `localhost`, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "localhost.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture
def broker(certificate: Path) -> Iterator[AskingBroker]:
    running = AskingBroker(certificate)
    yield running
    running.close()


@contextmanager
def sending(address: BusAddress) -> Iterator[None]:
    """A gateway's producer that tries to hand over a message; it is not waited for at the end."""
    producer = BusProducer(address)
    try:
        producer.send([Message("arcsat", b"{}", ())], lambda _: None)
        yield
    finally:
        producer.close(0.1)


def test_user_and_password_go_to_a_broker_whose_certificate_is_known(
    broker: AskingBroker, certificate: Path
) -> None:
    user, password = "ana", "p@ss/word"
    who = f"{user}:{quote(password, safe='')}"
    address = BusAddress.of(f"kafka+tls://{who}@localhost:{broker.port}/events?ca={certificate}")
    with sending(address):
        said = broker.heard.get(timeout=20)
    assert said == f"\x00{user}\x00{password}".encode()


def test_nothing_is_said_to_a_broker_with_a_certificate_of_its_own(broker: AskingBroker) -> None:
    address = BusAddress.of(f"kafka+tls://ana:secret@localhost:{broker.port}/events")
    with sending(address):
        assert broker.refused.wait(20)
    assert broker.heard.empty()
