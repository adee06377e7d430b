"""Datasets of the hub: documents, examples, and the licence on the card."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from statllama.data.build.collect.hub import card_licence
from statllama.errors import DataError, Interrupted
from tests.data.build.collect.running import bytes_of, collect, kept, left_out, spec_of

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ROWS: list[dict[str, Any]] = [
    {"content": "One.\n\nTwo.", "meta": {"title": "A"}, "day": datetime.date(2020, 1, 2), "license": "CC0", "key": 5},
    {"content": " ", "meta": {"title": "B"}, "day": None, "license": None, "key": 6},
    {"content": "Three.", "meta": {"title": "C"}, "day": None, "license": "cc-by-nc-4.0", "key": 7},
    {"content": "Four.", "meta": None, "day": None, "license": None, "key": b"\xff"},
    {"content": "\ud800", "meta": None, "day": None, "license": None, "key": 9},
]


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The dataset's card in the hub's local cache, which needs no network for a commit."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    folder = tmp_path / "cache" / "datasets--owner--name" / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    path = folder / "README.md"
    path.write_text("---\nlicense: cc-by-sa-4.0\n---\n# Card\n")
    return path


def serve(monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Let `datasets` give these rows; what it is asked for."""
    import datasets

    asked: list[dict[str, Any]] = []

    def load(name: str, config: str | None, **options: Any) -> Iterator[dict[str, Any]]:
        asked.append({"name": name, "config": config, **options})
        return iter(rows)

    monkeypatch.setattr(datasets, "load_dataset", load)
    return asked


def one(root: Path, **fields: Any) -> Any:
    return collect(root / "w", root, **{"type": "hub", "hub": "owner/name", "revision": COMMIT, **fields})[0]


COLUMNS = {"text": "content", "title": "meta.title", "year": "day", "licence": "license", "id": "key"}


def test_documents_with_the_licence_of_row_or_card(tmp_path: Path, card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = serve(monkeypatch, ROWS)
    entry = one(tmp_path, columns=COLUMNS, licences=["cc0", "cc-by-sa-4.0"])
    first, second = kept(entry)
    assert first == {
        "id": "hub:owner/name:default:train:1",
        "origin": {
            "collector": "hub",
            "place": "https://huggingface.co/datasets/owner/name",
            "title": "A",
            "year": 2020,
            "licence": "CC0-1.0",
            "ids": {"row": "5"},
        },
        "sections": [{"heading": "", "level": 1, "kind": "other", "text": "One.\n\nTwo."}],
    }
    assert second["origin"]["licence"] == "CC-BY-SA-4.0"
    assert left_out(entry) == {
        "owner/name:train, row 2": "no text",
        "owner/name:train, row 3": "licence CC-BY-NC-4.0 is not among CC0-1.0, CC-BY-SA-4.0",
        "owner/name:train, row 5": "a row with what is no text or number",
    }
    assert {each["revision"] for each in asked} == {COMMIT}


def test_examples_are_read_by_their_format(tmp_path: Path, card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    serve(monkeypatch, [{"chat": chat, "x": 1}, {"chat": [{"role": "nobody", "content": "?"}]}, {"chat": chat}])
    entry = one(tmp_path, format="messages", part="chats", columns={"messages": "chat"}, limit=2, licence="Apache 2")
    assert kept(entry) == [
        {
            "id": "hub:owner/name:default:train:1",
            "part": "chats",
            "format": "messages",
            "row": {"messages": chat},
            "provenance": {
                "document": "hub:owner/name:default:train:1",
                "place": "https://huggingface.co/datasets/owner/name",
                "commit": COMMIT,
                "licence": "Apache-2.0",
            },
        }
    ]
    assert left_out(entry) == {"owner/name:train, row 2": "a row that the format messages cannot read"}


@pytest.mark.parametrize(
    ("head", "licence"),
    [
        ("license: mit", "MIT"),
        ("license: [mit, cc-by-4.0]", "MIT AND CC-BY-4.0"),
        ("license: unknown", None),
        ("license: other\nlicense_name: acme-1", "acme-1"),
        ("tags: [x]", None),
    ],
)
def test_licences_on_cards(card: Path, head: str, licence: str | None) -> None:
    card.write_text(f"---\n{head}\n---\n")
    assert card_licence("owner/name", COMMIT) == licence


def test_without_the_card_the_build_must_say_the_licence(
    tmp_path: Path, card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card.unlink()
    serve(monkeypatch, ROWS[:1])
    with pytest.raises(DataError, match="its card, which names its licence, cannot be read") as error:
        one(tmp_path, columns={"text": "content"})
    assert "licence: unknown" in str(error.value.remedy)
    (record,) = kept(one(tmp_path, columns={"text": "content"}, licence="unknown"))
    assert "licence" not in record["origin"]


def test_stopped_it_goes_on_to_the_same_bytes(tmp_path: Path, card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from statllama.data.build.chain import Watcher

    def stop() -> None:
        raise Interrupted("stopped")

    serve(monkeypatch, [{"text": f"Text {i}"} for i in range(500)])
    fields = {"type": "hub", "hub": "owner/name", "revision": COMMIT}
    with pytest.raises(Interrupted):
        collect(tmp_path / "w", tmp_path, watcher=Watcher(stop=stop), **fields)
    serve(monkeypatch, [{"text": f"Text {i}"} for i in range(500)])
    (sound,) = collect(tmp_path / "sound", tmp_path, **fields)
    serve(monkeypatch, [{"text": f"Text {i}"} for i in range(500)])
    assert bytes_of(one(tmp_path)) == bytes_of(sound) and len(kept(sound)) == 500


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"hub": "noname"}, "pattern"),
        ({"format": "messages"}, "need `part`"),
        ({"part": "x"}, "documents have none"),
        ({"format": "mesages", "part": "x"}, "did you mean 'messages'"),
        ({"format": "messages", "part": "x", "columns": {"mesages": "a"}}, "did you mean 'messages'"),
        ({"columns": {"txt": "a"}}, "did you mean 'text'"),
    ],
)
def test_mistakes_are_told(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        spec_of("hub", **{"hub": "owner/name", **fields})
