"""Addresses of galleries on servers: what they say, and that no secret is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from index.errors import AddressError
from index.truth.address import is_server, read_server

PLAIN = "postgresql+psycopg://anna@db.example:5433/faces"


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg", "postgres"])
def test_it_says_server_database_and_name(scheme: str) -> None:
    server = read_server(f"{scheme}://anna@db.example:5433/faces?sslmode=require&gallery=summer_2026")
    assert (server.gallery, server.schema) == ("summer_2026", "facesearch_summer_2026")
    assert (server.url.username, server.url.host, server.url.port) == ("anna", "db.example", 5433)
    assert dict(server.url.query) == {"sslmode": "require"} and server.url.drivername == "postgresql+psycopg"
    assert str(server) == f"{PLAIN}?sslmode=require&gallery=summer_2026"
    assert read_server(str(server)) == server


def test_a_gallery_without_a_name_is_called_faces() -> None:
    assert str(read_server(PLAIN)) == f"{PLAIN}?gallery=faces"


def test_a_socket_is_an_address_too() -> None:
    server = read_server("postgresql:///faces?host=/run/postgresql")
    assert str(server) == "postgresql+psycopg:///faces?host=/run/postgresql&gallery=faces"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://anna:h1dden@host/faces", "holds a password"),
        ("postgresql://anna:@host/faces", "holds a password"),
        ("postgresql://host/faces?password=h1dden", "holds a password"),
        ("postgresql://host/faces?sslpassword=h1dden", "holds a password"),
        ("postgresql://host:h1dden/faces", "cannot be read"),
        ("mysql://anna@host/faces", "cannot be kept by 'mysql'"),
        ("postgresql+asyncpg://anna@host/faces", "cannot be kept by"),
        ("postgresql://anna@host", "names no database"),
        ("postgresql://anna@host/faces?options=-crole=x", "says `options`"),
        ("postgresql://anna@host/faces?gallery=Summer", "is called 'Summer'"),
        ("postgresql://anna@host/faces?gallery=a;drop", "is called 'a;drop'"),
        ("postgresql://anna@host/faces?gallery=" + "a" * 41, "is called"),
        ("postgresql://anna@host/faces?gallery=a&gallery=b", "is called"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line_without_secrets(text: str, expected: str) -> None:
    assert is_server(text)
    with pytest.raises(AddressError, match=expected) as raised:
        read_server(text)
    assert "h1dden" not in str(raised.value) and "\n" not in str(raised.value) and len(str(raised.value)) < 400


@pytest.mark.parametrize("text", [".facesearch", "/a/b", "C:\\faces", "a:b", "postgresql:/x", "x://"[:1]])
def test_a_folder_is_none(text: str) -> None:
    assert not is_server(text)


def test_what_is_derived_has_a_folder_of_its_own_for_each(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FACESEARCH_CACHE", str(tmp_path))
    folders = {read_server(f"{PLAIN}{name}").folder for name in ("", "?gallery=other", "2", "?sslmode=require")}
    assert len(folders) == 4 and {folder.parent for folder in folders} == {tmp_path}
    monkeypatch.delenv("FACESEARCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert read_server(PLAIN).folder.parent == tmp_path / "cache" / "facesearch"
