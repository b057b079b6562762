"""The word that says what searches a gallery: what it means, what it never shows, and where it may be said."""

from __future__ import annotations

from pathlib import Path

import pytest

from index.engines import FAISS, LITE, MILVUS, PGVECTOR
from index.errors import AddressError, EngineError, GalleryNotFoundError
from index.gallery import Gallery, GalleryConfig
from index.vectors import Vectors, read_vectors
from tests.servers import new_address


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("faiss", Vectors(FAISS)),
        ("pgvector", Vectors(PGVECTOR)),
        ("milvus://db.example:19531/faces", Vectors(MILVUS, "http://db.example:19531", "faces")),
        ("milvus+tls://db.example:19531/faces", Vectors(MILVUS, "https://db.example:19531", "faces")),
        ("milvus://[::1]:19530/faces_2", Vectors(MILVUS, "http://[::1]:19530", "faces_2")),
        ("/a/lite.db", Vectors(LITE, "/a/lite.db", "faces")),
    ],
)
def test_a_word_means_one_thing_and_is_shown_as_it_was_said(word: str, expected: Vectors) -> None:
    assert read_vectors(word) == expected
    assert str(expected) == word


def test_milvus_listens_where_it_usually_does() -> None:
    assert str(read_vectors("milvus://db/faces")) == "milvus://db:19530/faces"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("", "expected faiss, pgvector"),
        ("milvus", "expected faiss, pgvector"),
        ("http://db:19530/faces", "expected faiss, pgvector"),
        ("lite.db", "give its absolute path"),
        ("/a/lite", "expected faiss, pgvector"),
        ("/a/\0lite.db", "expected faiss, pgvector"),
        ("milvus://db:port/faces", "cannot be read"),
        ("milvus://db:99999/faces", "cannot be read"),
        ("milvus:///faces", "cannot be read"),
        ("milvus://db/faces?x=1", "cannot be read"),
        ("milvus://d b/faces", "cannot be read"),
        ("milvus://db", "the collection is called ''"),
        ("milvus://db/a/b", "the collection is called 'a/b'"),
        ("milvus://db/1", "the collection is called '1'"),
        ("milvus://root:h1dden@db/faces", r"\$MILVUS_TOKEN"),
        ("milvus+tls://h1dden@db/faces", r"\$MILVUS_TOKEN"),
        ("https://root:h1dden@db/faces", "expected faiss, pgvector"),
    ],
)
def test_another_word_is_refused_with_what_was_expected_and_without_its_secret(word: str, expected: str) -> None:
    with pytest.raises(AddressError, match=expected) as refused:
        read_vectors(word)
    assert "h1dden" not in str(refused.value)


@pytest.mark.parametrize("word", ["pgvector", "milvus://db/faces", "/a/lite.db"])
def test_a_folder_is_searched_by_faiss_alone(tmp_path: Path, word: str) -> None:
    config = GalleryConfig("a" * 64, "pose", (-15, 0, 15), 8, Path("/photos").absolute(), word)
    with pytest.raises(AddressError, match="a gallery in a folder is searched by faiss, not by"):
        Gallery.create(tmp_path / "db", config)
    assert not (tmp_path / "db").exists()


@pytest.mark.cluster
def test_where_an_engine_does_not_answer_nothing_is_made(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pymilvus")
    monkeypatch.setenv("FACESEARCH_CACHE", str(tmp_path))
    address, word = new_address(postgres), "milvus://127.0.0.1:1/faces"
    config = GalleryConfig("a" * 64, "pose", (-15, 0, 15), 8, Path("/photos").absolute(), word)
    with pytest.raises(EngineError, match="does not answer"):
        Gallery.create(address, config)
    with pytest.raises(GalleryNotFoundError):
        Gallery.open(address)
