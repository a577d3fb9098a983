"""How a drive is configured, and the labels its files get by their path."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, ClassVar, Final

from pydantic import Field, StringConstraints

from sensors.connectors.graph.settings import REFRESH_TOKEN, GraphSettings
from sensors.connectors.pulling import ConnectorSettings

OWN_DRIVE: Final = "me/drive"
DRIVE_FORM: Final = r"^(me/drive|(drives/[^/?#]+)|((users|groups|sites)/[^/?#]+/drive))$"
_WILDCARDS: Final = frozenset("*?[")

Label = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class LabelRule(ConnectorSettings):
    """Labels for the files of a folder, or for those whose path a pattern matches."""

    path: str = Field(
        min_length=1, description="A folder, or a pattern with * and ?; upper and lower case are alike."
    )
    labels: tuple[Label, ...] = ()
    pii: bool = Field(default=False, description="Whether these files hold personal data.")

    def takes_in(self, path: str) -> bool:
        """Whether a file at this path is meant."""
        rule, there = self.path.strip("/").casefold(), path.casefold()
        if _WILDCARDS.isdisjoint(rule):
            return there == rule or there.startswith(f"{rule}/")
        return fnmatchcase(there, rule)


class OneDriveSettings(GraphSettings):
    """Which drive is read, and what its files are called and labelled."""

    saved: ClassVar[bool] = False

    drive: str = Field(
        default=OWN_DRIVE,
        pattern=DRIVE_FORM,
        description="me/drive, drives/{id}, users/{id}/drive, groups/{id}/drive or sites/{id}/drive.",
    )
    root: str = Field(
        default="OneDrive",
        pattern=r"^[^/]{1,200}$",
        description="What paths begin with, in place of the drive.",
    )
    folder_labels_below: tuple[str, ...] = Field(
        default=("OneDrive/Inbox",), description="Folders below which the names of folders are labels."
    )
    labels: tuple[LabelRule, ...] = ()
    pii: bool = Field(default=False, description="Whether all files of the drive hold personal data.")
    subscription_minutes: int = Field(
        default=41_760, ge=60, le=42_300, description="How long a subscription is asked for."
    )
    poll_seconds: int = Field(default=300, ge=10, le=86_400, description="Seconds between two polls.")

    def lacking(self, credentials: frozenset[str]) -> str | None:
        """See `ConnectorSettings.lacking`."""
        lacking = super().lacking(credentials)
        if lacking is None and self.drive == OWN_DRIVE and REFRESH_TOKEN not in credentials:
            return "settings.drive must name a drive, as users/{id}/drive: an app that speaks for itself has no own"
        return lacking

    def labels_of(self, path: str) -> tuple[str, ...]:
        """The labels of a file, each once: its folders' names below a labelled one, then those of the rules."""
        found = [label for root in self.folder_labels_below for label in _folders_below(root, path)]
        found += [label for rule in self.labels if rule.takes_in(path) for label in rule.labels]
        return tuple(dict.fromkeys(found))

    def personal(self, path: str) -> bool:
        """Whether settings say that a file holds personal data."""
        return self.pii or any(rule.pii and rule.takes_in(path) for rule in self.labels)


class SavedSettings(OneDriveSettings):
    """The settings while saved pages are read, which show the drive in part and as it was."""

    saved: ClassVar[bool] = True


def _folders_below(root: str, path: str) -> list[str]:
    start = root.strip("/").casefold() + "/"
    return path[len(start) :].split("/")[:-1] if path.casefold().startswith(start) else []
