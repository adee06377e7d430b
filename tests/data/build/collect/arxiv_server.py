"""A server on this machine that speaks as arXiv does: the API with paging, OAI-PMH, files; and fails as asked."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

BY, NC = "http://creativecommons.org/licenses/by/4.0/", "http://creativecommons.org/licenses/by-nc-nd/4.0/"
PDF = b"%PDF-1.7\n" + b"0" * 3000 + b"\n%%EOF\n"


class Arxiv:
    """`papers`: {identifier: (day, licence)}; `faults`: (word, what the next request with that word meets)."""

    def __init__(self, papers: dict[str, tuple[str, str | None]], files: dict[str, bytes] | None = None) -> None:
        self.papers, self.files = papers, files or {}
        self.faults: list[tuple[str, str]] = []
        self.asked: list[tuple[float, str, str]] = []
        self.address = ""

    def feed(self, query: dict[str, str]) -> bytes:
        names = sorted(self.papers, key=lambda name: (self.papers[name][0], name))
        if "id_list" in query:
            asked = [re.sub(r"v\d+$", "", each) for each in query["id_list"].split(",")]
            names = [name for name in asked if name in self.papers]
        else:
            if "broken" in query["search_query"]:
                return FEED.format(total=1, entries=ERROR).encode()
            first, last = re.findall(r"\[(\d{8})0000 TO (\d{8})2359\]", query["search_query"])[0]
            names = [name for name in names if first <= self.papers[name][0].replace("-", "") <= last]
            if query["sortOrder"] == "descending":
                names.reverse()
        start, size = int(query["start"]), int(query["max_results"])
        entries = "".join(ENTRY.format(name=name, day=self.papers[name][0]) for name in names[start : start + size])
        return FEED.format(total=len(names), entries=entries).encode()

    def oai(self, query: dict[str, str]) -> bytes:
        name = query["identifier"].removeprefix("oai:arXiv.org:")
        licence = self.papers[name][1]
        return OAI.format(licence=f"<license>{licence}</license>" if licence else "").encode()

    def answer(self, path: str) -> tuple[int, bytes]:
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/api/query":
            return 200, self.feed(query)
        if parts.path == "/oai":
            return 200, self.oai(query)
        body = self.files.get(parts.path.strip("/"), PDF if parts.path.startswith("/pdf/") else None)
        return (404, b"none") if body is None else (200, body)


FEED = """<?xml version="1.0" encoding="UTF-8"?>
<feed xmlns="http://www.w3.org/2005/Atom"><title>ArXiv Query</title>
<opensearch:totalResults xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/">{total}</opensearch:totalResults>
{entries}</feed>"""
ENTRY = """<entry><id>http://arxiv.org/abs/{name}v2</id><published>{day}T10:00:00Z</published>
<title>On {name}:
  a title in two lines</title><summary>  First line
second line.
  Another paragraph.</summary>
<author><name>Ada Example</name></author><author><name>Bo &amp; Co</name></author>
<arxiv:doi xmlns:arxiv="http://arxiv.org/schemas/atom">10.1/{name}</arxiv:doi>
<category term="stat.TH"/><category term="math.ST"/>
<arxiv:primary_category xmlns:arxiv="http://arxiv.org/schemas/atom" term="math.ST"/></entry>"""
ERROR = "<entry><id>http://arxiv.org/api/errors#bad</id><title>Error</title><summary>incorrect query</summary></entry>"
OAI = """<?xml version="1.0"?><OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><GetRecord><record><metadata>
<arXiv xmlns="http://arxiv.org/OAI/arXiv/"><id>x</id>{licence}</arXiv></metadata></record></GetRecord></OAI-PMH>"""
BOMB = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><feed>&b;</feed>'


@contextmanager
def serving(arxiv: Arxiv) -> Iterator[Arxiv]:
    """Serve on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            arxiv.asked.append((time.monotonic(), self.path, self.headers["User-Agent"]))
            fault = next((each for each in arxiv.faults if each[0] in self.path), None)
            if fault is not None:
                arxiv.faults.remove(fault)
            status, body = arxiv.answer(self.path)
            kind = fault[1] if fault else ""
            extra: dict[str, Any] = {}
            if kind.isdigit():
                status, body = int(kind), b"rate exceeded"
                extra["Retry-After"] = "0"
            elif kind == "page":
                body = b"<html><body>One moment</body></html>"
            elif kind == "empty":
                body = FEED.format(total=len(arxiv.papers), entries="").encode()
            elif kind == "short":
                body = re.sub(rb"<entry>.*?</entry>", b"", body, count=1, flags=re.DOTALL)
            elif kind == "bomb":
                body = BOMB
            elif kind == "hang":
                time.sleep(0.6)
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body[: len(body) // 2] if kind == "cut" else body)
            except OSError:
                pass

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    arxiv.address = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield arxiv
    finally:
        server.shutdown()
        server.server_close()
