"""What is sent to a server, and what becomes of all that servers answer."""

from __future__ import annotations

import json
import pickle
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest

from statllama.data.build.server.asking import Reply, Request, Usage
from statllama.data.build.server.client import KEY_VARIABLE, ChatAsk, Found, Hosted, ServerError, hosted
from statllama.data.build.server.spec import ServerSpec
from statllama.data.chat_server import ChatServer
from statllama.errors import Interrupted, UsageError
from tests.data.build.server.chat_api import (
    SCHEMA,
    Body,
    ChatApi,
    Said,
    by_prompt,
    completion,
    prompt_of,
    request,
    serving,
    taking,
)

KEY = "sk-very-secret-0123"
GOOD = completion('{"answer": "yes"}')


def asker(api: ChatApi, waits: tuple[float, ...] = (), key: str = "", timeout: float = 5.0, **spec: Any) -> ChatAsk:
    settings = ServerSpec(model="small", timeout=timeout, **spec)
    return ChatAsk(ChatServer(api.url, key, settings.timeout), settings, Found(), waits)


def requests(count: int) -> list[Request]:
    return [request(f"question {i}", i) for i in range(count)]


def note(answers: Iterator[tuple[Request, Reply]], found: list[str]) -> None:
    for asked, _ in answers:
        found.append(asked.prompt)


def test_what_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, f" {KEY}\n")
    monkeypatch.setenv("OPENAI_API_KEY", "of another service")
    with serving(lambda body: GOOD) as api:
        model = hosted(ServerSpec(model="small", url="http://elsewhere:1/v1"), api.url + "/chat/completions")
        with model.open() as ask:
            ((asked, reply),) = list(ask(taking([request()])))
    assert asked == request() and reply == Reply('{"answer": "yes"}', "stop", Usage(7, 5))
    assert api.keys == [f"Bearer {KEY}"] and KEY not in repr(model)
    assert api.bodies == [
        {
            "model": "small",
            "messages": [{"role": "user", "content": "What is a median?"}],
            "temperature": 0.5, "top_p": 0.9, "seed": 1, "max_tokens": 64,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "row", "strict": True, "schema": json.loads(SCHEMA)},
            },
        }
    ]  # fmt: skip


def test_several_at_a_time_and_no_more() -> None:
    together = threading.Barrier(3)  # lets nobody pass before three are there

    def say(body: Body) -> Said:
        together.wait(5)
        return GOOD

    with serving(say) as api:
        found = by_prompt(asker(api, parallel=3)(taking(requests(9))))
    assert len(found) == 9 and api.most == 3 and len(api.bodies) == 9


def test_a_reply_may_bring_requests() -> None:
    with serving(lambda body: GOOD) as api:
        queue = requests(1)
        found = []
        for asked, _ in asker(api)(lambda: queue.pop() if queue else None):
            found.append(asked.prompt)
            if len(found) < 4:
                queue.append(request(f"after {asked.prompt}"))
    assert found[3] == "after after after question 0"


@pytest.mark.parametrize(
    "mood", [Said(500, b"oops"), Said(503, b"loading"), Said(0), Said(429), Said(200, b"{", {"Content-Length": "99"})]
)
def test_a_server_with_a_mood_is_asked_again(mood: Said) -> None:
    moods = {f"question {i}": iter([mood, mood]) for i in range(4)}
    with serving(lambda body: next(moods[prompt_of(body)], GOOD)) as api:
        found = by_prompt(asker(api, waits=(0.01, 0.01))(taking(requests(4))))
    assert len(found) == 4 and len(api.bodies) == 12


@pytest.mark.parametrize("after", ["0.4", "date"])
def test_a_server_that_asks_to_wait_is_left_alone(after: str) -> None:
    """All requests wait, not only the one that was told so."""
    told = iter([1])

    def say(body: Body) -> Said:
        if next(told, None):
            return Said(429, b"slow down", {"Retry-After": formatdate(time.time() + 2) if after == "date" else after})
        return GOOD

    with serving(say) as api:
        assert len(by_prompt(asker(api, waits=(0.0,), parallel=1)(taking(requests(3))))) == 3
    assert api.times[1] - api.times[0] > (0.39 if after == "0.4" else 0.5)


def test_a_server_that_asks_to_wait_for_long_ends_it() -> None:
    with (
        serving(lambda body: Said(429, b"quota", {"Retry-After": "7200"})) as api,
        pytest.raises(ServerError, match=r"asks to wait 7,200 s: HTTP 429: quota"),
    ):
        list(asker(api, waits=(0.0,) * 3)(taking(requests(1))))
    assert len(api.bodies) == 1


def test_what_was_under_way_is_not_lost() -> None:
    """One request fails for good; the others under way are still yielded, and no further one is asked."""
    started = threading.Barrier(3)

    def say(body: Body) -> Said:
        started.wait(5)
        return Said(503, b"gone") if prompt_of(body) == "question 1" else Said(200, GOOD.body, after=0.2)

    found: list[str] = []
    with serving(say) as api, pytest.raises(ServerError, match=r"no answer \(1 tries\): HTTP 503: gone"):
        note(asker(api, parallel=3)(taking(requests(9))), found)
    assert sorted(found) == ["question 0", "question 2"] and len(api.bodies) == 3


def test_a_stop_keeps_what_is_under_way() -> None:
    calls, found = [], list[str]()

    def take() -> Request | None:
        calls.append(1)
        if len(calls) == 3:
            raise Interrupted("stopped")
        return request(f"question {len(calls)}")

    with serving(lambda body: Said(200, GOOD.body, after=0.1)) as api, pytest.raises(Interrupted):
        note(asker(api)(take), found)
    assert sorted(found) == ["question 1", "question 2"]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (Said(401, b"Incorrect API key: sk-very-secret-0123"), r"does not take the key: HTTP 401: .*key: \*\*\*"),
        (Said(403, b""), "does not take the key"),
        (Said(404, b"model `small` not found"), "refuses: HTTP 404: model `small` not found"),
        (Said(400, b"messages: wrong"), "refuses: HTTP 400"),
        (Said(302, b"", {"Location": "http://elsewhere/v1"}), "refuses: HTTP 302"),
        (Said(200, b"<html>Welcome to nginx!</html>"), "answers with no JSON: <html>Welcome"),
        (Said(200, b'{"choices": []}'), "gives no chat completion"),
        (Said(200, b'{"error": "sk-very-secret-0123"}'), r"gives no chat completion: .*\*\*\*"),
        (Said(200, b" " * (5 << 20)), "more than 4 MiB"),
    ],
)
def test_what_ends_it_at_once(said: Said, message: str) -> None:
    with serving(lambda body: said) as api, pytest.raises(ServerError, match=message) as caught:
        list(asker(api, waits=(60.0,), key=KEY, parallel=2)(taking(requests(50))))
    assert KEY not in str(caught.value) and len(api.bodies) <= 2 and caught.value.exit_code == 1
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301


def test_a_server_without_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with (
        serving(lambda body: Said(401, b"no key")) as api,
        hosted(ServerSpec(model="small", url=api.url)).open() as ask,
        pytest.raises(ServerError, match="wants a key") as caught,
    ):
        list(ask(taking(requests(1))))
    assert KEY_VARIABLE in str(caught.value.remedy)


def test_a_slow_server_and_one_that_is_not_there() -> None:
    with serving(lambda body: Said(200, GOOD.body, after=0.6)) as api:
        with pytest.raises(ServerError, match=r"no answer \(2 tries\): .*timed out") as caught:
            list(asker(api, waits=(0.0,), timeout=0.2)(taking(requests(1))))
        assert "`timeout` (0.2 s)" in str(caught.value.remedy)
    with pytest.raises(ServerError, match="refused"):
        list(asker(api)(taking(requests(1))))


def strict(*forms: str) -> Any:
    """A server that takes some forms of structured outputs only, and says so."""

    def say(body: Body) -> Said:
        form = body.get("response_format", {}).get("type", "none")
        return GOOD if form in forms else Said(400, f"response_format of type {form} is not supported".encode())

    return say


@pytest.mark.parametrize(
    ("forms", "asked"), [(("json_object",), [1, 1, 1]), (("none",), [2, 1, 1]), (("json_schema",), [0, 1, 1])]
)
def test_structured_outputs_as_far_as_the_server_has_them(forms: tuple[str, ...], asked: list[int]) -> None:
    """What it refuses is learned from one refusal, and known to all further requests, also of another block."""
    with serving(strict(*forms)) as api:
        model = hosted(ServerSpec(model="small", url=api.url, parallel=1))
        for block in (requests(1), requests(2)):
            with model.open() as ask:
                assert all(reply.text == '{"answer": "yes"}' for _, reply in ask(taking(block)))
    assert len(api.bodies) == asked[0] + 3
    assert (SCHEMA in prompt_of(api.bodies[-1])) == (forms != ("json_schema",))
    assert pickle.loads(pickle.dumps(model)) == model  # noqa: S301


def test_a_server_that_takes_the_schema_and_does_not_hold_it() -> None:
    with serving(lambda body: completion("The median is the middle value.")) as api:
        list(asker(api, parallel=1)(taking(requests(3))))
    forms = [body.get("response_format", {}).get("type") for body in api.bodies]
    assert forms == ["json_schema", "json_object", None]


def test_a_request_without_a_schema_is_answered_in_any_words() -> None:
    """And says nothing of how the server holds schemas."""
    with serving(lambda body: completion("The middle value.") if len(api.bodies) < 3 else GOOD) as api:
        asked = [request(seed=1, schema=""), request(seed=2, schema=""), request(seed=3)]
        found = [reply.text for _, reply in asker(api, parallel=1)(taking(asked))]
    assert found == ["The middle value."] * 2 + ['{"answer": "yes"}']
    assert [body.get("response_format", {}).get("type") for body in api.bodies] == [None, None, "json_schema"]
    assert all(prompt_of(body) == "What is a median?" for body in api.bodies)


def test_a_server_that_fails_over_the_schema() -> None:
    def say(body: Body) -> Said:
        return Said(500, b"failed to parse grammar") if "response_format" in body else GOOD

    with serving(say) as api:
        assert len(list(asker(api, parallel=1)(taking(requests(2))))) == 2
    assert len(api.bodies) == 4
    with serving(lambda body: Said(500, b"no seed node")) as api, pytest.raises(ServerError, match="no seed node"):
        list(asker(api)(taking(requests(1))))


UNREAD = Said(500, b"The model produced output that does not match the expected peg-native format")


@pytest.mark.parametrize("forms", [("json_schema",), ("json_schema", None)])
def test_a_reply_that_the_server_cannot_read(forms: tuple[str | None, ...]) -> None:
    """It is asked for by the prompt alone, once; other replies are held to the schema as before."""

    def say(body: Body) -> Said:
        form = body.get("response_format", {}).get("type")
        return UNREAD if prompt_of(body).startswith("question 0") and form in forms else GOOD

    with serving(say) as api:
        found = by_prompt(asker(api, parallel=1, waits=(9.0,))(taking(requests(2))))
    assert [body.get("response_format", {}).get("type") for body in api.bodies] == ["json_schema", None, "json_schema"]
    assert found["question 0"].ended == ("stop" if len(forms) == 1 else "unread")
    assert found["question 1"].text == '{"answer": "yes"}'


def test_fields_that_a_model_refuses() -> None:
    refused = iter([
        "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead.",
        "Unsupported value: 'temperature' does not support 0.5, only the default", "top_p: unknown field",
    ])  # fmt: skip
    with serving(lambda body: next((Said(400, said.encode()) for said in refused), GOOD)) as api:
        list(asker(api, parallel=1)(taking(requests(2))))
    assert len(api.bodies) == 5
    last = api.bodies[-1]
    assert last["max_completion_tokens"] == 64 and last["seed"] == 1
    assert not {"max_tokens", "temperature", "top_p"} & last.keys()


@pytest.mark.parametrize(
    "refusal",
    [
        "This model's maximum context length is 2048 tokens. However, you requested 2500 tokens",
        "request (3100 tokens) exceeds the available context size (2048 tokens), try increasing it",
        "'max_tokens' or 'max_completion_tokens' is too large: 999. This model's maximum context length is 512 tokens",
    ],
)
def test_a_prompt_that_does_not_fit(refusal: str) -> None:
    with serving(lambda body: Said(400, refusal.encode())) as api:
        ((_, reply),) = list(asker(api)(taking(requests(1))))
    assert reply.ended == "too long" and refusal[:40] in reply.text and len(api.bodies) == 1


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        (completion("{", "length"), Reply("{", "length", Usage(7, 5))),
        (completion("", "content_filter"), Reply("", "filtered", Usage(7, 5))),
        (completion(None, refusal="I cannot help."), Reply("I cannot help.", "refused", Usage(7, 5))),
        (completion(None, usage=None), Reply("", "stop", None)),
        (completion("{}", usage=(-1, 2)), Reply("{}", "stop", None)),
        (completion(f"{{}} \ud800 {KEY}"), Reply("{} ? ***", "stop", Usage(7, 5))),
        (Said(200, b'{"choices": [{"message": {"content": [{"type": "text", "text": "{}"}]}}]}'), Reply("{}")),
    ],
)
def test_how_a_reply_ended(said: Said, reply: Reply) -> None:
    with serving(lambda body: said) as api:
        assert [found for _, found in asker(api, key=KEY)(taking(requests(1)))] == [reply]


def test_a_limit_of_requests_in_a_minute() -> None:
    with serving(lambda body: GOOD) as api:
        list(asker(api, per_minute=600, parallel=8)(taking(requests(4))))
    gaps = [after - before for before, after in zip(api.times, api.times[1:], strict=False)]
    assert len(gaps) == 3 and min(gaps) > 0.05 and api.times[-1] - api.times[0] > 0.25


@pytest.mark.parametrize("url", ["localhost:8000", "http://me:secret@x/v1", "http://x/v1?key=secret"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(UsageError, match="--server") as caught:
        hosted(ServerSpec(model="small"), url)
    assert "secret" not in str(caught.value)


def test_a_missing_address_says_how_to_give_it() -> None:
    with pytest.raises(UsageError, match="small") as caught:
        hosted(ServerSpec(model="small"))
    assert "--server" in str(caught.value.remedy)


def test_a_key_that_no_header_holds_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "ключ")
    with pytest.raises(UsageError, match=KEY_VARIABLE) as caught, Hosted(ServerSpec(model="m"), "http://x/v1").open():
        raise AssertionError
    assert "ключ" not in str(caught.value)
