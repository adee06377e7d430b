"""Evaluates the part of Go's text/template that Modelfiles use: written from its documentation, to judge ours.

Where a Go compiler is installed, `with_go` asks the real one.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

_PROGRAM = """package main

import (
	"encoding/json"
	"os"
	"text/template"
)

func main() {
	var asked []struct {
		Template string
		Data     map[string]any
	}
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		panic(err)
	}
	var answers []string
	for _, one := range asked {
		var out = new(bytesWriter)
		parsed := template.Must(template.New("").Option("missingkey=zero").Parse(one.Template))
		if err := parsed.Execute(out, one.Data); err != nil {
			panic(err)
		}
		answers = append(answers, string(out.b))
	}
	json.NewEncoder(os.Stdout).Encode(answers)
}

type bytesWriter struct{ b []byte }

func (w *bytesWriter) Write(p []byte) (int, error) { w.b = append(w.b, p...); return len(p), nil }
"""


def ollama_data(messages: list[dict[str, str]]) -> dict[str, Any]:
    """What Ollama hands to a template: all system texts, and the messages with neighbours of one role joined."""
    joined: list[dict[str, str]] = []
    for message in messages:
        if joined and joined[-1]["Role"] == message["role"]:
            joined[-1]["Content"] += "\n\n" + message["content"]
        else:
            joined.append({"Role": message["role"], "Content": message["content"]})
    system = "\n\n".join(m["content"] for m in messages if m["role"] == "system")
    return {"System": system, "Messages": joined}


def with_go(asked: list[tuple[str, dict[str, Any]]], folder: Path) -> list[str] | None:
    """What real Go renders; None without a compiler."""
    go = shutil.which("go")
    if go is None:
        return None
    (folder / "main.go").write_text(_PROGRAM)
    text = json.dumps([{"Template": template, "Data": data} for template, data in asked])
    environment = {"PATH": str(Path(go).parent), "HOME": str(folder), "GOCACHE": str(folder / "cache")}
    done = subprocess.run(
        [go, "run", "main.go"], cwd=folder, input=text, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def render(template: str, data: dict[str, Any]) -> str:
    """The text that the template makes of the data."""
    parts = re.split(r"(\{\{.*?\}\})", template)
    assert not any(part.startswith(("{{-", "{{ -")) or part.endswith("-}}") for part in parts), "trimming is not known"
    tokens = [part[2:-2].strip() if part.startswith("{{") else ("text", part) for part in parts if part]
    tree, rest = _block(tokens)
    assert not rest
    return _run(tree, data, {"$": data})


def _block(tokens: list[Any]) -> tuple[list[Any], list[Any]]:
    """Nodes up to the `else` or `end` that closes the block, and what follows from there."""
    nodes: list[Any] = []
    while tokens and not (isinstance(tokens[0], str) and re.match(r"(else|end)\b", tokens[0])):
        head, tokens = tokens[0], tokens[1:]
        if isinstance(head, str) and head.startswith(("if ", "range ")):
            node, tokens = _branch(head, tokens)
            nodes.append(node)
        else:
            nodes.append(head)
    return nodes, tokens


def _branch(head: str, tokens: list[Any]) -> tuple[Any, list[Any]]:
    body, tokens = _block(tokens)
    closing, tokens = tokens[0], tokens[1:]
    otherwise: list[Any] = []
    if closing.startswith("else if"):
        node, tokens = _branch(closing.removeprefix("else "), tokens)
        otherwise = [node]
    elif closing == "else":
        otherwise, tokens = _block(tokens)
        assert tokens[0] == "end"
        tokens = tokens[1:]
    return (head, body, otherwise), tokens


def _run(nodes: list[Any], dot: Any, variables: dict[str, Any]) -> str:
    out = ""
    for node in nodes:
        if isinstance(node, str):
            name, assigned, expression = node.partition(" := ")
            if assigned:
                variables[name] = _value(expression, dot, variables)
            else:
                out += str(_value(node, dot, variables))
        elif node[0] == "text":
            out += node[1]
        elif node[0].startswith("if "):
            out += _run(node[1] if _value(node[0][3:], dot, variables) else node[2], dot, variables)
        else:
            index, element, over = re.fullmatch(r"range (\$\w+), (\$\w+) := (.+)", node[0]).groups()  # type: ignore
            for i, item in enumerate(_value(over, dot, variables)):
                out += _run(node[1], item, {**variables, index: i, element: item})
    return out


def _value(expression: str, dot: Any, variables: dict[str, Any]) -> Any:
    words = re.findall(r'"[^"]*"|\(|\)|[^\s()]+', expression)
    value, rest = _call(words, dot, variables)
    assert not rest, expression
    return value


def _call(words: list[str], dot: Any, variables: dict[str, Any]) -> tuple[Any, list[str]]:
    functions = {
        "eq": lambda a, b: a == b,
        "ne": lambda a, b: a != b,
        "not": lambda a: not a,
        "and": lambda a, b: a and b,
        "len": len,
        "slice": lambda a, i: a[i:],
    }
    if words[0] not in functions:
        return _operand(words, dot, variables)
    function, words, values = functions[words[0]], words[1:], []
    while words and words[0] != ")":
        value, words = _operand(words, dot, variables)
        values.append(value)
    return function(*values), words


def _operand(words: list[str], dot: Any, variables: dict[str, Any]) -> tuple[Any, list[str]]:
    head, rest = words[0], words[1:]
    if head == "(":
        value, rest = _call(rest, dot, variables)
        assert rest[0] == ")"
        return value, rest[1:]
    if head.startswith('"'):
        return head[1:-1], rest
    if head.isdigit():
        return int(head), rest
    name, *fields = head.split(".")
    value = variables[name] if name else dot
    for field in fields:
        value = value[field]
    return value, rest
