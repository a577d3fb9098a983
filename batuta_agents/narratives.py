"""Narratives by template: `narratives/<skill module>.<locale>.toml` of an agent, a text or `{one, other}` per key.

Lines of a text are joined by spaces. TOML, because reading it costs a hundredth of YAML and a run's process is short.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, TypeAlias

from batuta.blobs import digest_of
from batuta_agents.forms import Paragraph

Template: TypeAlias = str | Mapping[str, str]
FALLBACK_LOCALE: Final = "en"
_LINE_ENDS: Final = re.compile(r"\s*\n\s*")


@dataclass(frozen=True, slots=True)
class Narratives:
    """The templates of one skill in one locale."""

    name: str
    locale: str
    digest: str
    content: bytes
    templates: Mapping[str, Template]

    def paragraph(self, key: str, count: int | None = None) -> Paragraph:
        """The paragraph of this key, in the plural form `count` asks for."""
        return Paragraph(key=key, text=self.text(key, count))

    def text(self, key: str, count: int | None = None) -> str:
        """The text of this key, in the plural form `count` asks for."""
        template = self.templates[key]
        if isinstance(template, str):
            return template
        from babel import Locale

        form = "other" if count is None else Locale.parse(self.locale, sep="-").plural_form(count)
        return template.get(form, template["other"])


def load_narratives(package: str, name: str, locale: str) -> Narratives:
    """Read an agent's templates in the locale, else in its language, else in English."""
    folder = files(package).joinpath("narratives")
    path, found = _choose(folder, name, locale)
    content = path.read_bytes()
    return Narratives(f"{name}.{found}", found, digest_of(content), content, _parse(content))


def _choose(folder: Traversable, name: str, locale: str) -> tuple[Traversable, str]:
    language = locale.partition("-")[0]
    there = sorted(
        entry.name.removeprefix(f"{name}.").removesuffix(".toml")
        for entry in folder.iterdir()
        if entry.name.startswith(f"{name}.")
    )
    for candidate in (locale, *(tag for tag in there if tag.partition("-")[0] == language), FALLBACK_LOCALE):
        if candidate in there:
            return folder.joinpath(f"{name}.{candidate}.toml"), candidate
    raise FileNotFoundError(f"no narratives {name} in {locale} or {FALLBACK_LOCALE}")


def _parse(content: bytes) -> dict[str, Template]:
    import tomllib

    return {
        key: _joined(template)
        if isinstance(template, str)
        else {form: _joined(text) for form, text in template.items()}
        for key, template in tomllib.loads(content.decode()).items()
    }


def _joined(text: str) -> str:
    return _LINE_ENDS.sub(" ", text).strip()
