"""The commands chat and serve: to talk to what was trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from statllama.cli.options import WORKSPACE, EvaluateSetOption, ScaleOption, StageOption, TargetArg, WorkspaceOption
from statllama.errors import UsageError


def chat(
    target: TargetArg,
    stage: StageOption = None,
    scale: ScaleOption = None,
    versus: Annotated[
        str | None,
        typer.Option(
            "--versus", metavar="NAME", help="Also answer as an earlier stage of the stack, or `base`, side by side."
        ),
    ] = None,
    system: Annotated[str | None, typer.Option("--system", metavar="TEXT", help="System prompt.")] = None,
    temperature: Annotated[
        float, typer.Option(min=0, max=5, help="0 always takes the likeliest token; above 0 tokens are sampled.")
    ] = 0.0,
    top_p: Annotated[
        float,
        typer.Option(
            min=0.01,
            max=1,
            help="With a temperature: sample from the likeliest tokens that hold this share of the probability.",
        ),
    ] = 1.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Maximum number of reply tokens.")] = 512,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sampling.")] = 0,
    overrides: EvaluateSetOption = None,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Talk to a trained stage, a whole model, or the base, in the terminal.

    Piped lines are turns too. Ctrl-C ends a reply, Ctrl-D the conversation.
    """
    from statllama.cli.console.chat import converse
    from statllama.cli.console.run import ConsoleReporter
    from statllama.runs import chat as talk
    from statllama.runs.loaded import Loaded
    from statllama.runs.scorer import reading_here
    from statllama.runs.targets import chosen_stack
    from statllama.store import Store

    store = Store(workspace)
    subject, stack = chosen_stack(target, store, stage, scale, overrides)
    beside_keys = subject.stack(versus).keys if versus else ()
    if versus and (versus == stack.name or stack.keys[: len(beside_keys)] != beside_keys):
        raise UsageError(f"--versus {versus}: only a stage below {stack.name}, or `base`, can answer beside it")
    loaded = Loaded(subject.base, subject.identity, store, ConsoleReporter(), subject.evaluate.max_length)
    versions = talk.Versions(loaded, stack, subject.precision)
    sampling = talk.Sampling(temperature, top_p, max_tokens, seed)
    with reading_here(store, subject), versions.attached() as model:
        positions = talk.positions_of(model, subject.evaluate.max_length)
        sides = {stack.name: talk.Conversation(loaded.tokenizer, positions, system)}
        if versus:
            sides[versus] = talk.Conversation(loaded.tokenizer, positions, system)

        def reply(side: str, ids: list[int]) -> Iterator[str]:
            with versions.only(model, stack.keys if side == stack.name else beside_keys):
                yield from talk.stream(model, loaded.tokenizer, ids, positions, sampling)

        converse(sides, reply)


def serve(
    target: Annotated[str, typer.Argument(metavar="RELEASE", help="A folder made by `export`, or a GGUF file.")],
    engine: Annotated[
        str | None,
        typer.Option(
            "--with", metavar="SERVER", help="llama.cpp (for GGUF) or vllm. Default: the one that fits the release."
        ),
    ] = None,
    gguf: Annotated[
        str | None,
        typer.Option(
            "--gguf", metavar="TYPE", help="Type of the GGUF file, such as q4_k_m. Default: the smallest file."
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 accepts other machines.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8080,
    context: Annotated[int, typer.Option(min=64, help="Maximum number of tokens in a conversation.")] = 4096,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the server's command line and exit.")] = False,
    extra: Annotated[
        list[str] | None, typer.Argument(metavar="[-- ARGS]", help="More arguments for the server itself.")
    ] = None,
) -> None:
    """Serve a release over an OpenAI-compatible API, by llama.cpp's (with a chat page) or vLLM's own server.

    Uses an installed `llama-server` of llama.cpp, else the same server from the extra `gguf`. It answers as `chat`
    does, unless a request asks for something else.
    """
    import shlex

    from statllama.cli.console.terminal import Err, Out, plain
    from statllama.release import serve as server

    served = server.find_served(target)
    chosen = server.choose(served, engine)
    command = server.command(served, chosen, server.Listening(host, port, context), gguf, extra or ())
    if served.forced:
        Err.print(f"[yellow]warning:[/] {plain(served.name)} was published despite a failed verification")
    if dry_run:
        Out.print(plain(shlex.join(command)), soft_wrap=True)
        return
    server.hand_over(command)
