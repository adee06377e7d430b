"""What was said is kept: at a kill, between processes, in a file of its own."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from statllama.data.build.server.asking import Reply, Usage
from statllama.data.build.server.responses import Payer, Responses
from statllama.errors import StoreError
from tests.conftest import REPO
from tests.data.build.server.chat_api import request

MOST = Usage(100, 64)
PAYER = Payer("build", "step")


def test_what_is_kept_is_found_and_counted(tmp_path: Path) -> None:
    with Responses(tmp_path / "w" / "responses.sqlite") as responses:
        assert responses.find(request()) is None and responses.characters_per_token("small") is None
        said = Reply('{"answer": "μ\u0000\n"}', "length", Usage(10, 20))
        assert responses.keep(request(), said, MOST, PAYER) == said == responses.find(request())
        responses.keep(request(seed=2), Reply("", "refused"), MOST, Payer("build", "other"))
        assert responses.spent("build") == Usage(110, 84) and responses.spent("build", "step") == Usage(10, 20)
        assert responses.spent("nobody") == Usage()
        assert responses.characters_per_token("small") == len(request().prompt) / 10  # the second was not counted


@pytest.mark.parametrize(
    "changed",
    [{"model": "large"}, {"schema": "{}"}, {"temperature": 0.6}, {"top_p": 0.8}, {"max_tokens": 65}, {"seed": 2},
     {"prompt": "other"}],
)  # fmt: skip
def test_another_request_is_not_answered_with_it(tmp_path: Path, changed: dict[str, object]) -> None:
    with Responses(tmp_path / "responses.sqlite") as responses:
        responses.keep(request(), Reply("x"), MOST, PAYER)
        assert responses.find(request(**changed)) is None and responses.find(request()) is not None  # type: ignore[arg-type]


def test_of_two_processes_the_first_one_is_believed(tmp_path: Path) -> None:
    with Responses(tmp_path / "responses.sqlite") as one, Responses(tmp_path / "responses.sqlite") as two:
        assert one.keep(request(), Reply("first"), MOST, PAYER).text == "first"
        assert two.keep(request(), Reply("second"), MOST, PAYER).text == "first"
        assert one.spent("build") == MOST


def test_a_killed_process_has_kept_all_that_it_was_told(tmp_path: Path) -> None:
    """Two processes write at the same time, and are killed without a word: each row that was kept is there."""
    script = """
        import os, signal, sys
        from pathlib import Path
        from statllama.data.build.server.asking import Reply
        from statllama.data.build.server.responses import Responses
        from tests.data.build.server.chat_api import request
        from tests.data.build.server.test_responses import MOST, PAYER
        responses = Responses(Path(sys.argv[1]))
        for seed in range(int(sys.argv[2]), int(sys.argv[2]) + 20):
            responses.keep(request(seed=seed), Reply(str(seed)), MOST, PAYER)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    file = tmp_path / "responses.sqlite"
    argv = [sys.executable, "-c", textwrap.dedent(script), str(file)]
    both = [subprocess.Popen([*argv, str(start)], cwd=REPO) for start in (0, 20)]
    assert [each.wait() for each in both] == [-signal.SIGKILL] * 2
    with Responses(file) as responses:
        assert all(responses.find(request(seed=seed)) == Reply(str(seed), "stop", MOST) for seed in range(40))


def test_a_damaged_file_is_told_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "responses.sqlite"
    file.write_bytes(b"no database at all, but long enough to be taken for one" * 100)
    before = file.read_bytes()
    with pytest.raises(StoreError, match=r"responses\.sqlite is damaged") as caught:
        Responses(file)
    assert "mv " in str(caught.value.remedy) and file.read_bytes() == before


def test_a_file_of_another_version(tmp_path: Path) -> None:
    file = tmp_path / "responses.sqlite"
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA user_version = 9")
    with pytest.raises(StoreError, match="another version"):
        Responses(file)


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with Responses(tmp_path / "responses.sqlite") as responses:
        responses._database.execute("PRAGMA max_page_count = 6")
        with pytest.raises(StoreError, match="full") as caught:
            responses.keep(request(), Reply("x" * 100_000), MOST, PAYER)
        assert "the disk has free space" in str(caught.value.remedy)
