"""An IMAP server, read and never written: EXAMINE, BODY.PEEK[], and every failure a sentence without its words.

imap_tools connects, signs in, lists folders and idles; what it does not speak (CONDSTORE and QRESYNC, RFC 7162; sizes
and times without bodies) is asked through the imaplib client below it. Folder names and the server's texts are
personal data and stand in no message.
"""

from __future__ import annotations

import imaplib
import re
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from imap_tools import BaseMailBox, MailBox, MailBoxStartTls, MailBoxUnencrypted
from imap_tools.errors import ImapToolsError
from imap_tools.utils import encode_folder

from sensors.connectors.email.imap_answers import (
    Changes,
    Folder,
    Opened,
    Summary,
    changes_of,
    folder_of,
    number_of,
    summary_of,
    uid_of,
)
from sensors.connectors.email.settings import EmailSettings
from sensors.connectors.email.uids import UidSet
from sensors.connectors.pulling import Permanent, RateLimited, SourceFailed, Unauthorized

TIMEOUT_S: Final = 60.0
GLANCE_S: Final = 1.0
"""How long one wait within IDLE is, so that who waits can be stopped."""
SEARCHED_FLAGS: Final[Mapping[str, str]] = {
    "seen": "SEEN",
    "answered": "ANSWERED",
    "flagged": "FLAGGED",
    "deleted": "DELETED",
    "draft": "DRAFT",
    "forwarded": "KEYWORD $Forwarded",
    "junk": "KEYWORD $Junk",
    "not_junk": "KEYWORD $NotJunk",
    "phishing": "KEYWORD $Phishing",
}
"""How a server without CONDSTORE is asked which messages have a flag."""

_NEWS: Final = ("EXISTS", "EXPUNGE", "FETCH", "VANISHED")
_BACKOFF: Final = re.compile(r"Suggested Backoff Time: ([0-9]{1,9}) milliseconds", re.IGNORECASE)
_BUSY: Final = re.compile(
    r"\[(LIMIT|THROTTLED|OVERQUOTA|INUSE)\]|too many (simultaneous )?connections", re.IGNORECASE
)
_LATER: Final = re.compile(r"\[(UNAVAILABLE|SERVERBUG|CONTACTADMIN)\]|temporar", re.IGNORECASE)
_LATER_S: Final = 900

Login: TypeAlias = tuple[str, str]
"""(`password` or `token`, the secret)."""


class Lost(SourceFailed):
    """The connection was lost."""


class Refused(SourceFailed):
    """The server says NO to one command; the connection stays."""


class Session:
    """A connection that is signed in; use it as a context manager."""

    def __init__(self, settings: EmailSettings, login: Login, now: datetime) -> None:
        """Connect and sign in.

        Raises:
            Unauthorized, RateLimited, SourceFailed: a sentence with the host.
        """
        self.host = settings.host
        self._now = now
        with self._sentences(
            f"{self.host} cannot be reached", "Are host, port and tls right, and the network up?"
        ):
            self._box = _connected(settings)
        self._client: imaplib.IMAP4 = self._box.client
        try:
            self._sign_in(settings, login)
            self._capabilities = self._ask_capabilities()
            self._qresync = self._enabled()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Say goodbye; a connection that is lost already is no matter."""
        try:
            self._client.logout()
        except (imaplib.IMAP4.error, OSError, ValueError):
            pass
        try:
            self._client.shutdown()
        except (OSError, ValueError, AttributeError):
            pass

    @property
    def quick(self) -> bool:
        """Whether the server tells what vanished (QRESYNC)."""
        return self._qresync

    @property
    def idles(self) -> bool:
        """Whether the server wakes who waits (IDLE)."""
        return "IDLE" in self._capabilities

    def folders(self) -> tuple[Folder, ...]:
        """Every folder that can be read, INBOX first, without views of other folders."""
        with self._sentences(f"{self.host} does not list its folders"):
            listed = self._box.folder.list()
        found = [folder for info in listed if (folder := folder_of(info.name, info.flags)) is not None]
        if not found:
            raise SourceFailed(f"{self.host} lists no folder at all", hint="May this user read the mailbox?")
        return tuple(sorted(found, key=lambda folder: (folder.name != "INBOX", folder.name)))

    def examine(self, folder: str) -> Opened:
        """Open a folder read-only.

        Raises:
            Refused: it is not there, or may not be read.
        """
        # `encode_folder` makes modified UTF-7 and quotes.
        with self._sentences(f"{self.host} does not open a folder"):
            kind, data = self._client.select(encode_folder(folder).decode("ascii"), readonly=True)
            self._expect_ok(kind, data)
            validity = number_of(self._client.response("UIDVALIDITY")[1])
            if validity is None:
                raise SourceFailed(f"{self.host} gives a folder no UIDVALIDITY; it cannot be followed")
            modseq = number_of(self._client.response("HIGHESTMODSEQ")[1])
            return Opened(validity, number_of(data) or 0, modseq if self._condstore else None)

    def search(self, *criteria: str) -> UidSet:
        """The UIDs that meet the criteria, in the open folder."""
        with self._sentences(f"{self.host} does not search a folder"):
            kind, data = self._client.uid("SEARCH", *criteria)
            self._expect_ok(kind, data)
            words = b" ".join(line for line in data if isinstance(line, bytes)).split()
            return UidSet.of(int(word) for word in words if word.isdigit())

    def flagged(self) -> dict[str, UidSet]:
        """Which messages of the open folder have which flag."""
        return {name: self.search(*criterion.split()) for name, criterion in SEARCHED_FLAGS.items()}

    def changes(self, since: int) -> Changes:
        """What changed in the open folder since a modification sequence."""
        with self._sentences(f"{self.host} does not tell what changed"):
            extra = " VANISHED" if self._qresync else ""
            self._client.response("VANISHED")
            lines = self._fetch("1:*", "(UID FLAGS)", f"(CHANGEDSINCE {since}{extra})")
            return changes_of(lines, self._client.response("VANISHED")[1] or ())

    def summaries(self, uids: UidSet) -> list[Summary]:
        """Size, time of receipt and flags of messages of the open folder; those that are gone are left out."""
        with self._sentences(f"{self.host} does not tell the sizes of messages"):
            lines = self._fetch(str(uids), "(UID RFC822.SIZE INTERNALDATE FLAGS)")
            read = (summary_of(line) for line in lines)
            found = {summary.uid: summary for summary in read if summary is not None}
            return [found[uid] for uid in uids if uid in found]

    def bodies(self, uids: UidSet, *, whole: bool = True) -> dict[int, bytes]:
        """The messages, or their headers, by UID; what is gone or not given is left out."""
        with self._sentences(f"{self.host} does not give a message"):
            part = "BODY.PEEK[]" if whole else "BODY.PEEK[HEADER]"
            kind, data = self._client.uid("FETCH", str(uids), f"(UID {part})")
            self._expect_ok(kind, data)
            found: dict[int, bytes] = {}
            for index, item in enumerate(data):
                if not isinstance(item, tuple):
                    continue
                tail = data[index + 1] if index + 1 < len(data) else b""
                uid = uid_of(item[0]) or uid_of(tail)
                if uid is not None and uid in uids:
                    found[uid] = item[1]
            return found

    def idle(self, seconds: float, stop: threading.Event) -> bool:
        """Wait for news of the open folder, at most so long or until `stop` is set; whether any came.

        Raises:
            Lost: the connection broke while waiting.
        """
        with self._sentences(f"{self.host} ends the waiting"):
            self._heard()
            self._box.idle.start()
            until = time.monotonic() + seconds
            news: list[bytes] = []
            while not news and not stop.is_set() and (left := until - time.monotonic()) > 0:
                glance = min(GLANCE_S, left)
                # poll looks at the socket alone; what was read with the line before lies behind it, unseen.
                if self._waiting():
                    break
                began = time.monotonic()
                news = self._box.idle.poll(timeout=glance)
                # poll takes the end of a connection for silence, which would come back at once for ever.
                if not news and time.monotonic() - began < glance / 2:
                    break
            # DONE has to be answered: a connection that is lost shows here.
            self._box.idle.stop()
            # What came while IDLE began or ended is kept by imaplib, not by poll.
            return self._heard() or any(word.encode() in line for line in news for word in _NEWS)

    def _waiting(self) -> bool:
        """Whether anything from the server has not been read yet."""
        self._client.sock.settimeout(0)
        try:
            return bool(self._client.file.peek(1))  # pyright: ignore[reportAttributeAccessIssue]
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        finally:
            self._client.sock.settimeout(TIMEOUT_S)

    def _heard(self) -> bool:
        """Whether imaplib has read news of the open folder since the last call."""
        told = [self._client.response(word)[1] for word in _NEWS]
        return any(line is not None for lines in told for line in lines or ())

    def _fetch(self, uids: str, parts: str, *modifiers: str) -> list[bytes]:
        kind, data = self._client.uid("FETCH", uids, parts, *modifiers)
        self._expect_ok(kind, data)
        return [line for line in data if isinstance(line, bytes)]

    @property
    def _condstore(self) -> bool:
        return bool({"CONDSTORE", "QRESYNC"} & self._capabilities)

    def _sign_in(self, settings: EmailSettings, login: Login) -> None:
        way, secret = login
        capabilities = self._ask_capabilities()
        if way == "password" and "LOGINDISABLED" in capabilities and "AUTH=PLAIN" not in capabilities:
            raise Permanent(
                f"{self.host} takes no password on this connection",
                hint="Set tls to ssl or starttls, or auth to xoauth2.",
            )
        try:
            if way == "token":
                answers = iter((f"user={settings.user}\x01auth=Bearer {secret}\x01\x01".encode(),))
                # A refusal comes as a challenge, which is answered with nothing.
                self._client.authenticate("XOAUTH2", lambda _: next(answers, b""))
            elif "AUTH=PLAIN" in capabilities:
                plain = f"\x00{settings.user}\x00{secret}".encode()
                self._client.authenticate("PLAIN", lambda _: plain)
            else:
                self._box.login(settings.user, secret, initial_folder=None)
        except (imaplib.IMAP4.error, ImapToolsError, OSError, UnicodeError) as error:
            raise self._not_let_in(error) from None

    def _not_let_in(self, error: Exception) -> SourceFailed:
        text = str(error)
        if isinstance(error, imaplib.IMAP4.abort | OSError):
            return Lost(
                f"{self.host} broke the connection off while signing in", hint="It is tried again later."
            )
        if (asked := self._asked_to_wait(text)) is not None:
            return asked
        if _LATER.search(text):
            return SourceFailed(
                f"{self.host} cannot sign anybody in just now", hint="It is tried again later."
            )
        return Unauthorized(
            f"{self.host} refuses the user's name or credential",
            hint="Renew it; Google and Microsoft 365 take no password but one made for an application.",
        )

    def _ask_capabilities(self) -> frozenset[str]:
        with self._sentences(f"{self.host} does not say what it can do"):
            kind, data = self._client.capability()
            self._expect_ok(kind, data)
            words = b" ".join(line for line in data if isinstance(line, bytes)).decode("ascii", "replace")
            return frozenset(words.upper().split())

    def _enabled(self) -> bool:
        """Whether the server takes QRESYNC; ENABLE is for the time between signing in and opening a folder."""
        wanted = "QRESYNC" if "QRESYNC" in self._capabilities else "CONDSTORE"
        if not {wanted, "ENABLE"} <= self._capabilities:
            return False
        # imaplib remembers what it was told before signing in.
        self._client.capabilities = tuple(self._capabilities)
        try:
            kind, _ = self._client.enable(wanted)
            enabled = self._client.response("ENABLED")[1] or ()
        except imaplib.IMAP4.abort as error:
            raise Lost(f"{self.host} broke the connection off") from error
        except imaplib.IMAP4.error:
            return False
        return kind == "OK" and any(b"QRESYNC" in line for line in enabled if isinstance(line, bytes))

    def _expect_ok(self, kind: str, data: Sequence[Any]) -> None:
        if kind == "OK":
            return
        text = " ".join(line.decode("utf-8", "replace") for line in data if isinstance(line, bytes))
        raise self._asked_to_wait(text) or Refused(f"{self.host} answers {kind}")

    def _asked_to_wait(self, text: str) -> RateLimited | None:
        told = _BACKOFF.search(text)
        if told is None and not _BUSY.search(text):
            return None
        wait = int(told[1]) / 1000 if told is not None else _LATER_S
        return RateLimited(f"{self.host} asks to be left alone", self._now + timedelta(seconds=wait))

    @contextmanager
    def _sentences(self, what: str, hint: str = "It is tried again later.") -> Iterator[None]:
        """Failures of the connection and the protocol as sentences; the server's own words are left out."""
        try:
            yield
        except SourceFailed as error:
            raise (Refused(f"{what} ({error.message})") if isinstance(error, Refused) else error) from None
        except ssl.SSLCertVerificationError:
            raise SourceFailed(
                f"the certificate of {self.host} is not trusted",
                hint="Is the host's name the one it is made for?",
            ) from None
        except (imaplib.IMAP4.abort, OSError, EOFError) as error:
            asked = self._asked_to_wait(str(error)) if isinstance(error, imaplib.IMAP4.abort) else None
            raise asked or Lost(f"{what}: the connection was lost", hint=hint) from None
        except (imaplib.IMAP4.error, ImapToolsError) as error:
            asked = self._asked_to_wait(str(error))
            raise asked or Refused(what, hint=hint) from None
        except (ValueError, TypeError, IndexError, AttributeError):
            # imaplib and imap_tools read answers loosely; what they stumble over is no IMAP.
            raise Lost(f"{what}: its answer is no IMAP", hint=hint) from None


def _connected(settings: EmailSettings) -> BaseMailBox:
    host, port = settings.host, settings.imap_port
    if settings.tls == "none":
        return MailBoxUnencrypted(host, port, timeout=TIMEOUT_S)
    context = ssl.create_default_context()
    if settings.tls == "starttls":
        return MailBoxStartTls(host, port, timeout=TIMEOUT_S, ssl_context=context)
    return MailBox(host, port, timeout=TIMEOUT_S, ssl_context=context)
