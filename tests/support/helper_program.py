"""A small local program as chains have them: listens, answers, ends, in the ways its arguments say.

    helper_program.py PORT [--upstream URL] [--ready-after S] [--die-after S] [--stubborn] [--grandchild FILE]

``GET /health`` answers 200 once it is ready; everything else is forwarded to the upstream, with one header added.
"""

from __future__ import annotations

import argparse
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--upstream")
    parser.add_argument("--ready-after", type=float, default=0.0)
    parser.add_argument("--die-after", type=float)
    parser.add_argument("--stubborn", action="store_true")
    parser.add_argument("--grandchild")
    options = parser.parse_args()
    begun = time.monotonic()
    if options.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if options.grandchild:
        stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
        child = subprocess.Popen([sys.executable, "-c", stubborn])
        with open(options.grandchild, "w", encoding="ascii") as file:
            file.write(str(child.pid))
    if options.die_after is not None:
        threading.Timer(options.die_after, lambda: os._exit(7)).start()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/health":
                self.send_response(200 if time.monotonic() - begun >= options.ready_after else 503)
                self.send_header("content-length", "0")
                self.end_headers()
            else:
                self._forward(None)

        def do_POST(self) -> None:
            self._forward(self.rfile.read(int(self.headers["content-length"])))

        def _forward(self, body: bytes | None) -> None:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            request = urllib.request.Request(f"{options.upstream}{self.path}", body, {**headers, "x-through": "helper"})
            try:
                answer = urllib.request.urlopen(request)
            except urllib.error.HTTPError as error:
                answer = error
            content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in ("transfer-encoding", "content-length", "connection", "server", "date"):
                    self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_request(self, code: object = "-", size: object = "-") -> None:
            print(self.requestline, code, flush=True)

    print(f"listening on {options.port}, secret {os.environ.get('TEST_KEY')}", flush=True)
    http.server.ThreadingHTTPServer(("127.0.0.1", options.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
