"""The encoder gives the model's published figures, alone or in company."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from batuta_agents.retrieval.encoder import (
    DIMENSIONS,
    MAX_TOKENS,
    PACKAGE,
    Encoder,
    ModelMissing,
    load_encoder,
)
from batuta_agents.retrieval.texts import fold, plain_text

needs_model = pytest.mark.skipif(
    importlib.util.find_spec(PACKAGE) is None, reason="the embedding model is not installed"
)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder()


@needs_model
@pytest.mark.parametrize(
    ("left", "right", "cosine"),
    [
        # Figures of the sentence-transformers documentation for all-MiniLM-L6-v2.
        ("A man is eating food.", "A man is eating a piece of bread.", 0.7553),
        ("A man is eating pasta.", "A man is eating food.", 0.7035),
        ("A man is eating pasta.", "A man is eating a piece of bread.", 0.5272),
        ("A man is eating pasta.", "A man is riding a horse.", 0.1889),
        ("The weather is lovely today.", "It's so sunny outside!", 0.6660),
        ("The weather is lovely today.", "He drove to the stadium.", 0.1046),
        ("It's so sunny outside!", "He drove to the stadium.", 0.1411),
    ],
)
def test_similarities_are_the_published_ones(encoder: Encoder, left: str, right: str, cosine: float) -> None:
    one, other = encoder.encode([left, right])
    assert float(one @ other) == pytest.approx(cosine, abs=1e-4)


@needs_model
def test_a_text_has_one_vector_whatever_it_is_encoded_with(encoder: Encoder) -> None:
    texts = ["curto", "um texto bem mais longo " * 20, "", "curto", "x" * 5000]
    together = encoder.encode(texts)
    alone = np.vstack([encoder.encode([text]) for text in texts])
    assert together.shape == (5, DIMENSIONS)
    assert np.array_equal(together[0], together[3])
    assert encoder.encode([]).shape == (0, DIMENSIONS)
    assert np.abs(together - alone).max() < 1e-6
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    assert np.array_equal(together, encoder.encode(texts))


@needs_model
def test_beyond_its_length_a_text_is_cut(encoder: Encoder) -> None:
    words = ["word"] * (MAX_TOKENS + 50)
    assert np.array_equal(
        encoder.encode([" ".join(words)]), encoder.encode([" ".join(words + ["more"] * 50)])
    )


@needs_model
def test_windows_cover_the_text_and_overlap(encoder: Encoder) -> None:
    text = " ".join(f"n{number}" for number in range(300))
    windows = encoder.windows(text, 50, 10)
    assert text.startswith(windows[0])
    assert text.endswith(windows[-1])
    assert {word for window in windows for word in window.split()} >= set(text.split()[5:-5])
    assert encoder.windows("curto", 50, 10) == ["curto"]


def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"other")
    monkeypatch.setattr("batuta_agents.retrieval.encoder._model_folder", lambda: tmp_path)
    with pytest.raises(ModelMissing, match="digest"):
        load_encoder.__wrapped__()


def test_accents_and_case_fold_away() -> None:
    assert fold("Emissão ÀÉÎÕÜ ç Straße") == "emissao aeiou c strasse"


def test_markup_leaves_its_words() -> None:
    assert plain_text("<p>Um<br>dois</p><style>p{}</style> &lt;três&gt;").split() == ["Um", "dois", "<três>"]
    assert plain_text("sem marcas &amp; simples") == "sem marcas & simples"
