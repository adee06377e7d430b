"""Releases as part of a run: the same bytes as the command's, made once, never in the place of anything else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from statllama.errors import ExportError, GateBroken, Interrupted, RecipeError, StoreError, TrainingError, UsageError
from statllama.recipe import Recipe, load_recipe
from statllama.release.of_recipe import ReleaseMaker
from statllama.runs import runner
from statllama.runs.cluster.fill import RayExecutor
from statllama.runs.loaded import Loaded
from statllama.runs.plan import plan
from statllama.runs.releasing import Releases
from statllama.runs.reporting import Reporter
from statllama.runs.study_file import load_study
from statllama.store import Store
from tests.benchmarks_for_tests import choice_task
from tests.conftest import stage
from tests.running import statllama
from tests.runs.cluster.workers import InProcess, lost, use

FEW = {"steps": 2, "learning_rate": 3e-2}
WORDS = ["adapter", "merged=bf16"]


class Told(Reporter):
    """Keeps what is written and verified."""

    def __init__(self) -> None:
        self.events: list[str] = []

    @contextmanager
    def exporting(self, what: str) -> Iterator[Callable[[int, int], None]]:
        self.events.append(f"exporting {what}")
        yield lambda done, total: self.events.append(f"{done} of {total}")

    def verifying(self, what: str) -> None:
        self.events.append(f"verifying {what}")


class Kept(Reporter):
    """Keeps what is said of releases and stages."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def releasing(self, stage: str, out: Path) -> None:
        self.said.append(f"releasing {stage} {out.name}")

    def released(self, stage: str, out: Path, how: str) -> None:
        self.said.append(f"released {stage} {out.name}: {how}")

    def stage_finished(self, name: str, entry: Any) -> None:
        self.said.append(f"trained {name}")

    def note(self, text: str) -> None:
        self.said.append(f"note: {text}")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which commands are given, with a benchmark."""
    choice_task(tmp_path / "eval", "letters", 12)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    return tmp_path


def recipe_with(write_recipe: Callable[..., Path], release: list[dict[str, Any]], **fields: Any) -> Path:
    evaluate = {"tasks": ["letters"], "micro_tokens": 1600, **fields.pop("evaluate", {})}
    stages = [stage("one", train=FEW), stage("two", train=FEW)]
    return write_recipe(stages, evaluate=evaluate, release=release, **fields)


def run(path: Path | Recipe, workspace: Path, **given: Any) -> tuple[runner.RunResult, list[str]]:
    recipe, kept = path if isinstance(path, Recipe) else load_recipe(path), Kept()
    return runner.run(recipe, Store(workspace), kept, maker=ReleaseMaker(), **given), kept.said


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_run_releases_the_bytes_of_the_command(here: Path, write_recipe: Callable[..., Path]) -> None:
    path = recipe_with(write_recipe, [{"stage": "one", "forms": WORDS}, {"out": "last", "scale": {"one": 0.5}}])
    result, said = run(path, here / "w")
    order = [line.partition(":")[0] for line in said if not line.startswith("note")]
    assert order == [
        "trained one", "releasing one tiny-one", "released one tiny-one",
        "trained two", "releasing two last", "released two last",
    ]  # fmt: skip
    assert result.releases == {"tiny-one": Path.cwd() / "tiny-one", "last": Path.cwd() / "last"}
    for target, options in (("tiny-one", ["tiny:one"]), ("last", ["tiny", "--scale", "one=0.5"])):
        done = statllama("export", *options, "--out", "command", "--workspace", here / "w", cwd=Path.cwd())
        assert done.returncode == 0, done
        assert contents(Path("command")) == contents(Path(target))
        for file in sorted(Path("command").rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
    assert not (here / "w" / "releases").exists() or not list((here / "w" / "releases").iterdir())


def test_a_release_is_made_once_and_never_in_the_place_of_another(
    here: Path, write_recipe: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = recipe_with(write_recipe, [{"forms": ["adapter"]}], evaluate={"tasks": []})
    (here / "cwd" / "tiny-two").mkdir()  # empty: it is free
    run(path, here / "w")
    before = {name: (Path("tiny-two") / name).stat().st_mtime_ns for name in contents(Path("tiny-two"))}
    _, said = run(path, here / "w")
    assert "released two tiny-two: cached" in said and "releasing two tiny-two" not in said
    assert {name: (Path("tiny-two") / name).stat().st_mtime_ns for name in before} == before
    _, said = run(path, here / "elsewhere")  # the same stack, trained anew
    assert "released two tiny-two: cached" in said and "trained two" in said

    def refused(pattern: str, *overrides: str) -> None:
        with pytest.raises(UsageError, match=pattern) as raised:
            run(load_recipe(path, overrides), here / "new")
        assert "rm -r" in str(raised.value) and "another `out`" in str(raised.value)
        assert not (here / "new" / "results").exists(), "nothing was trained"

    refused("tiny-two exists already, and it holds other forms", "release.0.forms=[adapter,rank=2]")
    refused("it is a release of another stack", "stages.one.train.seed=9")
    refused("it is a release of another name", "release.0.name=other")
    (Path("tiny-two") / "adapter" / "adapter_config.json").unlink()
    refused("adapter/adapter_config.json is missing in it")
    (Path("tiny-two") / "verification.json").unlink()
    refused("it is no release of a run")
    said = statllama("run", path, "--workspace", here / "new", cwd=Path.cwd())
    assert said.returncode == 2 and "remove it (rm -r" in said.stderr and not (here / "new" / "results").exists()


def test_forms_that_mean_nothing_are_errors_of_the_recipe(here: Path, write_recipe: Callable[..., Path]) -> None:
    path = recipe_with(write_recipe, [{"forms": ["adapter", "gguf=q8"]}, {"out": "b", "forms": ["lora", "rank=x"]}])
    lines = path.read_text().splitlines()
    at = [i for i, line in enumerate(lines, 1) if line.strip(" -") == "forms:"]
    with pytest.raises(RecipeError) as raised:
        run(path, here / "w")
    said = str(raised.value)
    assert f"line {at[0]}, release[0].forms: there is no GGUF type 'q8'\n    -> did you mean 'q8_0'" in said
    assert f"line {at[1]}, release[1].forms: 'lora' is not one: did you mean 'gguf-lora'" in said
    assert not (here / "w" / "results").exists()
    wrong = load_recipe(path, ["release.0.forms=[merged=f64]", "release.1.forms=[adapter]"])
    with pytest.raises(RecipeError, match=r"  release\[0\].forms: merged weights cannot be written in 'f64'"):
        run(wrong, here / "w")


@pytest.mark.parametrize(
    ("release", "message"),
    [
        ({"stage": "too"}, r"release\[0\].stage: unknown stage 'too': did you mean 'two'"),
        ({"stage": "one", "scale": {"two": 2}}, r"release\[0\].scale: stage 'two' is not in the stack of 'one'"),
        ({"scale": {"two": "half"}}, r"release\[0\].scale: should be finite factors by stage"),
        ({"scale": {"two": float("nan")}}, r"release\[0\].scale: should be finite factors by stage"),
        ({"formats": ["adapter"]}, r"release\[0\].formats: unknown key"),
        ({"forms": "adapter"}, r"release\[0\].forms: should be a list"),
        ({"out": " "}, r"release\[0\].out: is blank"),
    ],
)
def test_wrong_fields_are_told(release: dict[str, Any], message: str, write_recipe: Callable[..., Path]) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe(recipe_with(write_recipe, [release]))


def test_two_releases_take_two_folders(write_recipe: Callable[..., Path]) -> None:
    path = recipe_with(write_recipe, [{"stage": "two"}, {"out": "./tiny-two", "forms": ["adapter"]}])
    with pytest.raises(RecipeError, match=r"release\[1\].out: goes to ./tiny-two, as release\[0\] does"):
        load_recipe(path)


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Stacks whose scores are all wrong; those of the others are all right. Random models tell nothing."""
    from statllama.runs import scorer

    found: set[str] = set()
    compute, score = scorer.Scorer._compute, scorer.Suite.score
    current: list[str] = []

    def noted(self: Any, stack: Any, *given: Any) -> None:
        current.append(stack.name)
        compute(self, stack, *given)

    def fixed(self: Any, *given: Any) -> Any:
        value = 0.0 if current[-1] in found else 1.0
        real = score(self, *given)
        return replace(real, items=tuple(value for _ in real.items), value=value)

    monkeypatch.setattr(scorer.Scorer, "_compute", noted)
    monkeypatch.setattr(scorer.Suite, "score", fixed)
    return found


BOTH = [{"stage": "one", "forms": ["adapter"]}, {"stage": "two", "forms": ["adapter"]}]


def test_until_leaves_out_the_releases_of_later_stages(here: Path, write_recipe: Callable[..., Path]) -> None:
    _, said = run(recipe_with(write_recipe, BOTH, evaluate={"tasks": []}), here / "w", until="one")
    assert any(line.startswith("released one tiny-one: adapter (f32, ") for line in said)
    assert not Path("tiny-two").exists()


@pytest.mark.parametrize("workers", [False, True])
def test_what_a_gate_leaves_out_or_stops_is_not_released(
    here: Path, write_recipe: Callable[..., Path], wrong: set[str], monkeypatch: pytest.MonkeyPatch, workers: bool
) -> None:
    wrong.add("one")
    evaluate = {"gates": {"letters": {"budget": -50.0, "on_break": "parent", "stages": ["one"]}}}
    path, given = recipe_with(write_recipe, BOTH, evaluate=evaluate), dict[str, Any]()
    cluster = InProcess(here / "w", slots=3)
    if workers:
        use(monkeypatch, cluster)
        given["executor"] = RayExecutor()
    _, said = run(path, here / "w", **given)
    assert not Path("tiny-one").exists() and Path("tiny-two").is_dir()
    assert any(line.startswith("note: no release of one is made: one broke its gate on letters") for line in said)
    assert [name for name in cluster.begun if "release" in name] == (["release of two"] if workers else [])

    stopping = load_recipe(path, ["evaluate.gates.letters.on_break=stop", "release.1.out=second"])
    with pytest.raises(GateBroken):
        run(stopping, here / "w", **given)
    assert sorted(p.name for p in Path().iterdir()) == ["tiny-two"]


def test_workers_verify_and_the_driver_publishes_the_same_bytes(
    here: Path, write_recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of a release waits for scores but its card, which is written when they are there."""
    path = recipe_with(write_recipe, [{"stage": "one", "forms": WORDS}, {"out": "other/last", "forms": ["adapter"]}])
    (here / "cwd" / "other").mkdir()
    run(path, here / "w")
    alone = {out: contents(Path(out)) for out in ("tiny-one", "other/last")}
    for out in alone:
        Path(out).rename(here / out.replace("/", "-"))

    died: list[str] = []

    def before(work: Any) -> Any:
        if work.kind == "release" and not died:
            died.append(str(work))
            return lost(work)
        return None

    cluster = InProcess(here / "w", slots=3, before=before)  # all is trained and scored: releases are missing alone
    use(monkeypatch, cluster)
    run(path, here / "w", executor=RayExecutor())
    assert sorted(cluster.begun) == sorted(["release of one", "release of two", *died]) and died
    assert {out: contents(Path(out)) for out in alone} == alone
    assert not list((here / "w" / "releases").iterdir()), "what was prepared is moved, not copied"
    assert not list((here / "w" / "partial").iterdir())

    # From nothing: beside stages and scores. Time and hashes of the training are not those of before.
    cluster = InProcess(here / "v", slots=3)
    use(monkeypatch, cluster)
    for out in alone:
        Path(out).rename(here / f"second-{out.replace('/', '-')}")
    run(path, here / "v", executor=RayExecutor())
    for out, before_ in alone.items():
        now = contents(Path(out))
        assert now.keys() == before_.keys()
        differing = {name for name in now if now[name] != before_[name]}
        assert differing <= {"README.md", "SHA256SUMS"}, "the card tells when each stage was trained, and how long"
    assert cluster.begun.index("release of one") < cluster.begun.index("two on letters")


def test_an_error_of_a_release_ends_no_stage(
    here: Path, write_recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from statllama.release import release as releases

    def bad(*_: Any) -> None:
        raise ExportError("it is not what was trained", remedy="look at it")

    monkeypatch.setattr(releases, "_require_any", bad)
    path = recipe_with(write_recipe, [{"stage": "one", "forms": ["adapter"]}], evaluate={"tasks": []})
    for given in ({}, {"executor": RayExecutor()}):
        workspace = here / f"w{len(given)}"
        cluster = InProcess(workspace)
        use(monkeypatch, cluster)
        with pytest.raises(ExportError, match="it is not what was trained"):
            run(path, workspace, **given)
        assert len(list((workspace / "results").iterdir())) == 2, "both stages are trained"
        assert cluster.begun.count("release of one") == len(given)
        assert not list(Path().iterdir()) and not list((workspace / "partial").iterdir())

    use(monkeypatch, InProcess(here / "w2", before=lambda work: lost(work) if work.kind == "release" else None))
    with pytest.raises(TrainingError, match="release of one: 3 workers died of it"):
        run(path, here / "w2", executor=RayExecutor())
    assert len(list((here / "w2" / "results").iterdir())) == 2


@pytest.mark.slow
def test_beside_unsloth_another_process_verifies(
    here: Path, write_recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unsloth rewrites the libraries that verification asks. Here it is only said to: the child's work is the same."""
    from statllama.release import of_recipe

    monkeypatch.undo()  # the child asks about all texts of the probe
    monkeypatch.chdir(here / "cwd")
    path = recipe_with(write_recipe, [{"forms": ["adapter"]}], evaluate={"tasks": []})
    run(path, here / "w")
    alone = contents(Path("tiny-two"))
    Path("tiny-two").rename(here / "alone")
    monkeypatch.setattr(of_recipe, "rewritten", lambda loaded: True)
    monkeypatch.setattr(of_recipe, "prepare", None)  # not in this process
    said = Told()
    runner.run(load_recipe(path), Store(here / "w"), said, maker=ReleaseMaker())
    assert contents(Path("tiny-two")) == alone
    assert said.events[0] == "exporting adapter" and "verifying adapter" in said.events
    Path("tiny-two").rename(here / "apart")

    # An error of the child is its own: here of a stage that was damaged after it was planned.
    recipe, store = load_recipe(path), Store(here / "w")
    planned = plan(recipe, store)
    ask, _ = next(Releases(recipe, store, said, ReleaseMaker()).asks(planned[1], planned))
    (store.root / "results" / planned[1].key / "adapter_model.safetensors").write_bytes(b"damaged")
    loaded = Loaded(recipe.base, planned[0].material["base"], store, said, 64)
    with pytest.raises(StoreError, match=r"the result of stage 'two' of 'tiny' is not sound: adapter_model"):
        ReleaseMaker().prepare(ask, loaded)


def test_a_run_that_ends_before_its_release_makes_it_later(
    here: Path, write_recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recipe_with(write_recipe, [{"forms": ["adapter"]}], evaluate={"tasks": []})
    with monkeypatch.context() as patch:
        patch.setattr(ReleaseMaker, "publish", lambda *_: (_ for _ in ()).throw(Interrupted("stopped")))
        with pytest.raises(Interrupted):
            run(path, here / "w")
    assert not list(Path().iterdir())
    _, said = run(path, here / "w")
    assert "trained two" not in said and Path("tiny-two").is_dir()


def test_plan_and_the_functions_tell_of_releases(here: Path, write_recipe: Callable[..., Path]) -> None:
    import statllama as front

    body: dict[str, Any] = {"out": "give", "forms": ["adapter", "merged=bf16", "gguf=q8_0"]}
    path = recipe_with(write_recipe, [body], evaluate={"tasks": []})
    said = statllama("plan", path, "--workspace", "w", cwd=Path.cwd())
    assert said.returncode == 0 and "release of" in said.stdout, said
    row = next(line for line in said.stdout.splitlines() if "merged (bf16)" in line)
    assert "adapter, merged (bf16), gguf (q8_0)" in row and row.rstrip().endswith("give")

    only = {"release.0.forms": ["adapter"]}
    (ahead,) = front.plan(path, "w", overrides=only).releases
    done = front.run(path, "w", overrides=only)
    assert done.releases == (Path.cwd() / "give",)
    size = (Path("give") / "adapter" / "adapter_model.safetensors").stat().st_size
    assert ahead.bytes is not None and size < ahead.bytes < size + 2**18 and not ahead.stands
    (there,) = front.plan(path, "w", overrides=only).releases
    assert there.stands and there.bytes == sum(map(len, contents(Path("give")).values()))
    again = statllama("run", path, "--set", "release.0.forms=[adapter]", "--workspace", "w", cwd=Path.cwd())
    assert again.returncode == 0 and "release of two: cached (give)" in again.stdout

    named = statllama("run", path, "--set", "release.0={name: a b, out: c}", "--workspace", "v", cwd=Path.cwd())
    assert named.returncode == 2 and "release: name 'a b': letters, digits" in named.stderr


def test_a_study_releases_nothing_and_a_recipe_inherits_no_release(
    here: Path, write_recipe: Callable[..., Path]
) -> None:
    path = recipe_with(write_recipe, [{"forms": ["adapter"]}], evaluate={"tasks": []})
    (path.parent / "more.yaml").write_text(f"name: more\nextends: {path.name}\n")
    assert load_recipe(path.parent / "more.yaml").release == () and load_recipe(path).release
    assert [one.recipe.release for one in load_study([str(path), str(path.parent / "more.yaml")]).runs] == [(), ()]
    (path.parent / "a.study.yaml").write_text(f"name: a\nrecipes: [{path.name}]\n")
    assert load_study([str(path.parent / "a.study.yaml")]).recipes[0].release == ()
    assert load_recipe(path).down_to("one").release == () != load_recipe(path).down_to("two").release
