"""Make the deliveries of the example company, as its vendors would have sent them.

    python examples/arcsat/generate.py --out DIR --secrets DIR [--scale small] [--seed 7]

Per product three files: `<product>.shopify.jsonl` and `<product>.github.jsonl`, one captured delivery per
line (`{"headers": {...}, "body": "..."}`), and `<product>.events.jsonl`, one CloudEvent per line. Same seed
and secrets, same bytes; other secrets change the signatures only. Nothing here knows BATUTA: it plays the
vendors.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).resolve().parent))

from simulation.company import SCALES, simulate
from simulation.deliveries import (
    Sending,
    event_line,
    event_sendings,
    github_line,
    github_sendings,
    shopify_line,
    shopify_sendings,
)
from simulation.model import ShopSimulation, Simulation

SECRETS = ("arcsat-shopify", "arcsat-github", "lojablock-shopify", "lojablock-github")

Fate = Literal["landed", "duplicate", "quarantined", "filtered"]

__all__ = ["SCALES", "File", "Manifest", "Simulation", "generate", "main", "simulate"]


@dataclass(frozen=True, slots=True)
class File:
    """One generated file and what must become of its deliveries when they are landed."""

    product: str
    connector: str
    path: str
    size: int
    sha256: str
    landed: int
    duplicate: int
    quarantined: int
    filtered: int
    broken: Mapping[int, str]
    """Line number (from 1) of each broken delivery, and what is wrong with it."""

    @property
    def deliveries(self) -> int:
        """Lines in the file."""
        return self.landed + self.duplicate + self.quarantined + self.filtered


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was generated."""

    seed: int
    scale: str
    files: tuple[File, ...]


def generate(
    out_dir: Path,
    secrets: Mapping[str, bytes],
    seed: int = 7,
    scale: str = "demo",
    simulation: Simulation | None = None,
) -> Manifest:
    """Write the deliveries of both products.

    Args:
        out_dir: made if missing; files appear in it whole or not at all.
        secrets: `<product>-shopify` and `<product>-github`, the keys the vendors sign with.
        seed: see `simulate`.
        scale: see `simulate`.
        simulation: what `simulate(seed, scale)` returned, to save making it again.
    """
    company = simulation or simulate(seed, scale)
    out_dir.mkdir(parents=True, exist_ok=True)
    files: list[File] = []
    for product, lived in company.products.items():
        shopify = partial(shopify_line, lived, secrets[f"{product}-shopify"])
        github = partial(github_line, lived, secrets[f"{product}-github"])
        files.append(_write(out_dir, lived, "shopify", shopify_sendings(seed, lived), shopify))
        files.append(_write(out_dir, lived, "github", github_sendings(seed, lived), github))
        files.append(_write(out_dir, lived, "events", event_sendings(seed, lived), event_line))
    manifest = Manifest(seed, scale, tuple(files))
    _replace(
        out_dir / "manifest.json", json.dumps(asdict(manifest), indent=1, ensure_ascii=False).encode() + b"\n"
    )
    return manifest


def _write(
    out_dir: Path,
    lived: ShopSimulation,
    connector: str,
    sendings: list[Sending],
    line: Callable[[Sending], bytes],
) -> File:
    name = f"{lived.shop.product}.{connector}.jsonl"
    counts: dict[Fate, int] = {"landed": 0, "duplicate": 0, "quarantined": 0, "filtered": 0}
    broken: dict[int, str] = {}
    digest, size = hashlib.sha256(), 0
    half_done = out_dir / f".{name}.part"
    with half_done.open("wb") as file:
        for number, sending in enumerate(sendings, start=1):
            counts[_fate(sending)] += 1
            if sending.breakage:
                broken[number] = sending.breakage.name
            text = line(sending) + b"\n"
            digest.update(text)
            size += len(text)
            file.write(text)
    half_done.replace(out_dir / name)
    return File(lived.shop.product, connector, name, size, digest.hexdigest(), **counts, broken=broken)


def _fate(sending: Sending) -> Fate:
    if sending.breakage:
        return "quarantined"
    if sending.filtered:
        return "filtered"
    return "duplicate" if sending.repeated else "landed"


def _replace(path: Path, content: bytes) -> None:
    half_done = path.with_name(f".{path.name}.part")
    half_done.write_bytes(content)
    half_done.replace(path)


def read_secrets(folder: Path) -> dict[str, bytes]:
    """The keys the vendors sign with, one file each; a final line break does not count."""
    return {
        path.name: path.read_bytes().rstrip(b"\r\n") for path in sorted(folder.iterdir()) if path.is_file()
    }


def main() -> int:
    """Write the files and print the manifest."""
    parser = argparse.ArgumentParser(description="Make the deliveries of the example company.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument(
        "--secrets", type=Path, required=True, help=f"folder with the files {', '.join(SECRETS)}"
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--scale", choices=sorted(SCALES), default="demo")
    options = parser.parse_args()
    if not options.secrets.is_dir():
        parser.error(f"{options.secrets} is no folder; put the four secrets there, one file each")
    secrets = read_secrets(options.secrets)
    missing = [name for name in SECRETS if name not in secrets]
    if missing:
        parser.error(f"{options.secrets} lacks {', '.join(missing)}; put the key into a file of that name")
    manifest = generate(options.out, secrets, options.seed, options.scale)
    sys.stdout.write(json.dumps(asdict(manifest), ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
