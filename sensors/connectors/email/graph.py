"""A mailbox over Microsoft Graph: delta folder by folder, each mail fetched as it was sent, with ids that stay.

Delta is asked for each folder on its own; a mail that is moved is removed in one and shown in another. So what was
removed is taken for deleted at the end of a poll only, if it has turned up nowhere. Where Graph has lost the state
behind a link, the folder is read anew, and what that does not show has gone.
Protocol: learn.microsoft.com/graph/delta-query-messages, outlook-immutable-id.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

from batuta.events.event import format_time
from batuta.landing.model import Delivery
from sensors.connectors.email.graph_folders import Folder, Folders
from sensors.connectors.email.graph_forms import GRAPH_DELETED
from sensors.connectors.email.graph_mail import (
    Mail,
    Mailbox,
    changed_form,
    completed,
    from_item,
    key_of,
    read_mail,
)
from sensors.connectors.email.settings import ALL, EmailSettings
from sensors.connectors.graph import subscriptions
from sensors.connectors.graph.client import document
from sensors.connectors.graph.paging import Chain, Circular
from sensors.connectors.pulling import (
    Account,
    Forgotten,
    ItemChange,
    Page,
    SourceFailed,
    Subscription,
    Tools,
    Window,
)
from sensors.connectors.reading import JsonObject, text_at

CHANGES_A_PAGE: Final = 500
BYTES_A_PAGE: Final = 8 * 1024 * 1024
SUBSCRIPTION: Final = timedelta(minutes=4230)
_LOST: Final = frozenset({400, 404, 410})


def poll(account: Account, settings: EmailSettings, position: Any, tools: Tools) -> Iterator[Page]:
    """See `Puller.poll`."""
    yield from _Poll(Mailbox(account, settings, tools), _begun(position, tools)).pages()


def audit(account: Account, settings: EmailSettings, tools: Tools) -> tuple[Subscription, ...]:
    """See `Puller.audit`: one subscription for the whole mailbox, or one for each folder that settings name."""
    if not settings.notifications:
        return ()
    mailbox = Mailbox(account, settings, tools)
    changes = "created,updated,deleted"
    if settings.folders == ALL:
        wanted = [subscriptions.Wanted("mailbox", f"{mailbox.path}/messages", changes, SUBSCRIPTION)]
    else:
        wanted = [
            subscriptions.Wanted(
                f"folder {number} ({folder.role})",
                f"{mailbox.path}/mailFolders('{folder.id}')/messages",
                changes,
                SUBSCRIPTION,
            )
            for number, folder in enumerate(Folders(mailbox).listed(), 1)
        ]
    return subscriptions.audit(mailbox.graph, account, tools, wanted)


def backfill(
    account: Account, settings: EmailSettings, window: Window, position: Any, tools: Tools
) -> Iterator[Page]:
    """See `Puller.backfill`: what each folder holds that was received within the window."""
    mailbox = Mailbox(account, settings, tools)
    start, end = format_time(window.start), format_time(window.end)
    within = f"receivedDateTime ge {start} and receivedDateTime lt {end}"
    done = set(position["done"]) if isinstance(position, dict) else set[str]()
    link = position["link"] if isinstance(position, dict) else None
    for folder in Folders(mailbox).listed():
        if folder.id in done:
            continue
        link, chain = link or mailbox.messages_link(folder.id, "messages", within), Chain()
        while link is not None:
            if tools.time_left() <= 0:
                return
            chain = _next(chain, link)
            page = mailbox.graph.read(link)
            link = _link(mailbox, page, "@odata.nextLink")
            done |= {folder.id} if link is None else set()
            deliveries = _not_told(mailbox, folder, _values(page))
            yield Page(tuple(deliveries), {"done": sorted(done), "link": link})


def _not_told(mailbox: Mailbox, folder: Folder, listed: list[JsonObject]) -> Iterator[Delivery]:
    """The mails that the poll has not told of; what is known stays as it is."""
    mails = [mail for item in listed if (mail := read_mail(item, folder.id)) is not None]
    known = mailbox.tools.known.get([mail.key for mail in mails])
    for mail in mails:
        if mail.key not in known and not mail.draft:
            found = mailbox.received(mail, folder.name, folder.role)
            if found is not None:
                yield found


def _begun(position: Any, tools: Tools) -> tuple[str, int]:
    if isinstance(position, dict) and isinstance(position.get("epoch"), str):
        return position["epoch"], int(position.get("step", 0))
    return format_time(tools.clock()), 0


@dataclass(slots=True)
class _Poll:
    """One poll of a mailbox. What was removed waits in the items of its folder until the poll is through."""

    mailbox: Mailbox
    begun: tuple[str, int]
    _step: int = field(default=0, init=False)

    def pages(self) -> Iterator[Page]:
        """Every page up to the deadline."""
        epoch, self._step = self.begun
        folders = Folders(self.mailbox)
        known = folders.known()
        listed = {folder.id: folder for folder in folders.listed()}
        for id, folder in listed.items():
            before = known.get(id, folder)
            now = replace(before, name=folder.name, role=folder.role, epoch=epoch)
            yield from self._folder(now if before.epoch == epoch else now.anew())
            if self.mailbox.tools.time_left() <= 0:
                return
        for id, folder in (known | listed).items():
            yield from self._settle(folder, vanished=id not in listed)

    def _folder(self, folder: Folder) -> Iterator[Page]:
        """The pages of one folder, up to its present state."""
        chain = Chain()
        while self.mailbox.tools.time_left() > 0:
            link = folder.link or self.mailbox.delta_link(folder.id)
            try:
                chain = _next(chain, link)
            except SourceFailed:
                yield self._page([], [folder.anew().to_item()])
                raise
            answer = self.mailbox.graph.ask("GET", link, expect=(200, *_LOST))
            if answer.status == 404 and folder.link is None:
                return  # It has gone since it was listed; the next poll sees to what it held.
            if answer.status in _LOST:
                folder, chain = _anew(folder), Chain()
                yield self._page([], [folder.to_item()])
                continue
            page = document(answer)
            following = _link(self.mailbox, page, "@odata.nextLink")
            read = replace(folder, link=following or _link(self.mailbox, page, "@odata.deltaLink"))
            yield from self._mails(read, _values(page))
            folder = read
            if following is None:
                if folder.full:
                    yield from self._sweep(folder)
                return

    def _mails(self, folder: Folder, listed: list[JsonObject]) -> Iterator[Page]:
        """What one answer says, in pages of bounded size; the last of them moves the folder on."""
        ids = [identity for item in listed if (identity := text_at(item, "id")) is not None]
        found = self.mailbox.tools.known.get([key_of(identity) for identity in ids])
        known = {key: from_item(item) for key, item in found.items()}
        whole = (completed(item, known.get(key_of(text_at(item, "id") or ""))) for item in listed)
        mails = {mail.key: mail for item in whole if (mail := read_mail(item, folder.id)) is not None}
        removed = {key_of(id): None for id in ids if key_of(id) not in mails}
        deliveries: list[Delivery] = []
        items: list[ItemChange] = []
        weight = 0
        for key, mail in mails.items():
            told = self._told(mail, known.get(key), folder)
            if told is None:
                continue
            delivery, now = told
            items.append(replace(now, mark=folder.mark).to_item())
            if delivery is not None:
                deliveries.append(delivery)
                weight += len(delivery.body)
            if weight > BYTES_A_PAGE:
                yield self._page(deliveries, items)
                deliveries, items, weight = [], [], 0
        for key in removed:
            before = known.get(key)
            if before is not None and not before.gone and before.folder == folder.id:
                items.append(replace(before, mark=_REMOVED).to_item())
        yield self._page(deliveries, [*items, folder.to_item()])

    def _told(self, mail: Mail, before: Mail | None, folder: Folder) -> tuple[Delivery | None, Mail] | None:
        """What is handed over of a listed mail, and what is known of it then; None for a draft, or one that is gone."""
        if before is None:
            if mail.draft:
                return None
            delivery = self.mailbox.received(mail, folder.name, folder.role)
            return (delivery, replace(mail, events=1)) if delivery is not None else None
        now = replace(mail, events=before.events, lives=before.lives)
        form = changed_form(before, mail)
        if form is None:
            return None, now
        again = str(before.events) if before.gone or before.lives or before.version == mail.version else None
        delivery = self.mailbox.changed(mail, form, folder.name, folder.role, again)
        return delivery, replace(now, events=before.events + 1)

    def _sweep(self, folder: Folder) -> Iterator[Page]:
        """Take for removed what a reading from the beginning has not shown; only then is that reading over."""
        unseen = [m for m in self._held(folder) if m.mark not in (folder.mark, _REMOVED)]
        for start in range(0, len(unseen), CHANGES_A_PAGE):
            some = unseen[start : start + CHANGES_A_PAGE]
            yield self._page([], [replace(mail, mark=_REMOVED).to_item() for mail in some])
        yield self._page([], [replace(folder, full=False).to_item()])

    def _settle(self, folder: Folder, *, vanished: bool) -> Iterator[Page]:
        """Delete what was removed from a folder and is in no other; of a folder that is gone, all it held."""
        gone = [mail for mail in self._held(folder) if vanished or mail.mark == _REMOVED]
        for start in range(0, len(gone), CHANGES_A_PAGE):
            some = gone[start : start + CHANGES_A_PAGE]
            deliveries = [self._deleted(mail, folder) for mail in some]
            yield self._page(deliveries, [_buried(mail).to_item() for mail in some])
        if vanished:
            yield self._page([], [Forgotten(folder.to_item().id)])

    def _deleted(self, mail: Mail, folder: Folder) -> Delivery:
        again = str(mail.lives) if mail.lives else None
        return self.mailbox.changed(mail, GRAPH_DELETED, folder.name, folder.role, again)

    def _held(self, folder: Folder) -> Iterator[Mail]:
        """The mails that are known to lie in a folder."""
        return (from_item(item) for item in self.mailbox.tools.known.children(folder.id))

    def _page(self, deliveries: list[Delivery], items: list[Any]) -> Page:
        self._step += 1
        position = {"epoch": self.begun[0], "step": self._step}
        return Page(tuple(deliveries), position, tuple(items))


_REMOVED: Final = "removed"
"""The mark of a mail that its folder no longer shows, until it is found in another or taken for deleted."""


def _buried(mail: Mail) -> Mail:
    return Mail(mail.id, mail.folder, events=mail.events + 1, lives=mail.lives + 1, gone=True)


def _anew(folder: Folder) -> Folder:
    """The folder, to be read from its beginning because Graph has lost the state behind its link.

    Raises:
        SourceFailed: it was being read from its beginning.
    """
    if folder.link is None:
        raise SourceFailed(
            "Microsoft Graph does not give the messages of a folder",
            hint="Look at settings.user and settings.folders, and at the rights of the app (Mail.Read).",
        )
    return folder.anew()


def _next(chain: Chain, link: str) -> Chain:
    try:
        return chain.next(link)
    except Circular:
        raise SourceFailed(
            "Microsoft Graph leads in a circle through a folder of the mailbox",
            hint="It is tried again later; what was read stays.",
        ) from None


def _link(mailbox: Mailbox, page: JsonObject, name: str) -> str | None:
    link = page.get(name)
    return link if isinstance(link, str) and mailbox.graph.owns(link) else None


def _values(page: JsonObject) -> list[JsonObject]:
    values = page.get("value")
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
