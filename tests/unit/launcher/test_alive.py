"""The containers' health check."""

from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from posewire.launcher import alive


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/good" else 503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its name there
        """Keep quiet."""


def test_it_tells_the_living_from_the_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    server = HTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    base = f"http://127.0.0.1:{server.server_port}"
    try:
        monkeypatch.setattr(sys, "argv", ["posewire-alive", f"{base}/good"])
        alive.main()
        monkeypatch.setattr(sys, "argv", ["posewire-alive", f"{base}/bad"])
        with pytest.raises(SystemExit, match="answers 503"):
            alive.main()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    with pytest.raises(SystemExit, match="does not answer"):
        alive.main()
    monkeypatch.setattr(sys, "argv", ["posewire-alive"])
    with pytest.raises(SystemExit, match="usage"):
        alive.main()
