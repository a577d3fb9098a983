"""Nothing lost, nothing doubled: whatever the order, the split, the doubling, the number of landers, and kill -9."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batuta.landing.land import Landing
from batuta.landing.model import Delivery, LandingCounts, Way
from batuta.landing.reader import read
from batuta.warehouse.connection import connect
from tests.support.landing_trials import answer, ids, open_landing, parse, stored

ANSWERS = [answer(n, version=v) for n in range(6) for v in range(2)]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_order_split_and_doubling_gives_the_same_events(
    database_url: str, tmp_path: Path, data: st.DataObject
) -> None:
    landing = open_landing(tmp_path)
    doubled = ANSWERS + data.draw(st.lists(st.sampled_from(ANSWERS), max_size=10))
    order = data.draw(st.permutations(doubled))
    chunk = data.draw(st.integers(1, len(order)))
    runs = data.draw(st.integers(1, 3))
    with psycopg.connect(database_url) as owner:
        owner.execute("truncate batuta.events, batuta.inbox, batuta.batches")
    with connect(database_url, "writer") as conn:
        for run in range(runs):
            landing.land(conn, order[run::runs], parse, way="webhook", chunk=chunk)
        assert stored(conn) == ids(ANSWERS)


def test_concurrent_landers_double_nothing_and_a_reader_misses_no_batch(
    database_url: str, tmp_path: Path
) -> None:
    landing = open_landing(tmp_path)
    everything = [answer(n) for n in range(600)]
    finished = threading.Event()
    failures: list[BaseException] = []

    def land(seed: int) -> None:
        mine = random.Random(seed).sample(everything, 400)
        try:
            with connect(database_url, "writer") as conn:
                landing.land(conn, mine, parse, way="webhook", chunk=random.Random(seed).randint(3, 40))
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    seen: list[str] = []

    def follow() -> None:
        position = 0
        with connect(database_url, "reader", autocommit=True) as conn:
            while True:
                last_round = finished.is_set()
                events = read(conn, position, limit=50)
                seen.extend(event.id for event in events)
                position = events[-1].batch if events else position
                if last_round and not events:
                    return

    follower = threading.Thread(target=follow)
    follower.start()
    landers = [threading.Thread(target=land, args=(seed,)) for seed in range(4)]
    for thread in landers:
        thread.start()
    for thread in landers:
        thread.join()
    finished.set()
    follower.join()
    assert failures == []
    with connect(database_url, "reader") as conn:
        landed = stored(conn)
    assert len(landed) == len(set(landed))
    assert sorted(seen) == landed


LANDER = """
import sys
from pathlib import Path
from batuta.warehouse.connection import connect
from tests.support.landing_trials import answer, open_landing, parse
home, url, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with connect(url, "writer") as conn:
    print("ready", flush=True)
    open_landing(home).land(conn, (answer(n) for n in range(count)), parse, way="file", chunk=50)
"""


def test_a_lander_killed_at_any_moment_and_run_again_lands_the_rest(
    database_url: str, tmp_path: Path
) -> None:
    count = 4000
    landing: Landing = open_landing(tmp_path)
    moments = random.Random(11)
    killed = 0
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", LANDER, str(tmp_path), database_url, str(count)],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(moments.uniform(0, 0.25))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        process.stdout.close()
    assert killed
    everything: list[Delivery] = [answer(n) for n in range(count)]
    with connect(database_url, "writer") as conn:
        before = len(stored(conn))
        counts = landing.land(conn, everything, parse, way="file")
        assert counts.landed == count - before
        assert stored(conn) == ids(everything)
        row = conn.execute(
            "select sum(landed), (select count(*) from batuta.inbox) from batuta.batches"
        ).fetchone()
    assert row == (count, count)


class StallingProxy:
    """Stands between a client and the server, and stops passing on after so many bytes, until it is released."""

    def __init__(self, database_url: str, after: int) -> None:
        self._parts = urlsplit(database_url)
        self._after = after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.stalled = threading.Event()
        self.released = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        user = self._parts.netloc.rpartition("@")[0]
        port = self._listener.getsockname()[1]
        return urlunsplit(self._parts._replace(netloc=f"{user}@127.0.0.1:{port}"))

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection((self._parts.hostname or "", self._parts.port or 5432))
        threading.Thread(target=self._answer, args=(server, client), daemon=True).start()
        passed = 0
        while data := client.recv(16_384):
            passed += len(data)
            if passed > self._after and not self.stalled.is_set():
                self.stalled.set()
                self.released.wait()
            server.sendall(data)
        server.shutdown(socket.SHUT_WR)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with self._listener, server, client:
            while data := server.recv(16_384):
                client.sendall(data)


def test_a_lander_that_stalls_while_it_sends_holds_nobody_up(database_url: str, tmp_path: Path) -> None:
    landing = open_landing(tmp_path)
    proxy = StallingProxy(database_url, after=200_000)
    slow_counts: list[LandingCounts] = []

    def land_slowly() -> None:
        with connect(proxy.url, "writer") as slow:
            prepared = [landing.prepare(answer(n), parse) for n in range(3000)]
            slow_counts.extend(outcome.counts for outcome in landing.commit(slow, prepared, way="file"))

    lander = threading.Thread(target=land_slowly)
    with connect(database_url, "writer") as conn:
        landing.land(conn, [answer(1)], parse, way="webhook")
        conn.execute("set lock_timeout = '20s'")
        conn.commit()
        lander.start()
        assert proxy.stalled.wait(30)
        counts = landing.land(conn, [answer(1), answer(2)], parse, way="webhook")
        proxy.released.set()
        lander.join()
        assert counts == LandingCounts(landed=1, duplicate=1)
        assert sum(slow_counts, LandingCounts()) == LandingCounts(landed=2998, duplicate=2)
        assert len(stored(conn)) == 3000


def test_landers_of_the_same_rows_at_one_time_share_them(database_url: str, tmp_path: Path) -> None:
    landing = open_landing(tmp_path)
    start = threading.Barrier(3)
    counts: list[LandingCounts] = []

    def land(way: Way) -> None:
        with connect(database_url, "writer") as conn:
            start.wait()
            counts.append(landing.land(conn, [answer(n) for n in range(1500)], parse, way=way, chunk=100))

    landers = [threading.Thread(target=land, args=(way,)) for way in ("file", "backfill", "webhook")]
    for thread in landers:
        thread.start()
    for thread in landers:
        thread.join()
    assert sum(counts, LandingCounts()) == LandingCounts(landed=1500, duplicate=3000)
    with connect(database_url, "writer") as conn:
        assert len(stored(conn)) == 1500
        row = conn.execute(
            "select (select sum(landed) from batuta.intake_counts), (select sum(duplicate) from batuta.intake_counts),"
            " (select sum(landed) from batuta.batches), (select count(*) from batuta.inbox)"
        ).fetchone()
    assert row == (1500, 3000, 1500, 1500)
