"""A service in few lines, for tests of what stands around services: starts in a tenth of a second, has no model."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request

CODE = """
import hashlib, json, os, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
name, share, delay, start_s, words = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]), sys.argv[5]
if words:
    sys.exit(words)
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    labels = 0
    def say(self, status, told, **headers):
        body = told.encode() if isinstance(told, str) else json.dumps(told).encode()
        self.send_response(status)
        for key, value in {"Content-Type": "application/json", "Content-Length": len(body), **headers}.items():
            self.send_header(key, str(value))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        if self.path == "/metrics":
            self.say(200, '# TYPE requests_total counter\\nrequests_total{version="%s",code="200"} 7\\n' % name)
        else:
            ready = time.time() > begin + start_s
            self.say(200 if ready or self.path != "/readyz" else 503, {"state": "ready" if ready else "starting"})
    def do_POST(self):
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/label":
            Handler.labels += 1
            return self.say(200, {"request_id": told["request_id"], "version": name, "learned": name == "v2"})
        time.sleep(delay)
        request_id = self.headers.get("X-Request-Id", "none")
        if hashlib.blake2b(request_id.encode()).digest()[0] < 256 * share:
            return self.say(500, {"error": "model"})
        if "rows" in told:
            return self.say(200, {"predictions": [row["distance"] / 8 for row in told["rows"]], "version": name})
        self.say(200, {"prediction": told["features"]["distance"] / 8, "version": name, "request_id": request_id})
    def log_message(self, *_):
        pass
class Server(ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 128
begin = time.time()
server = Server(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
os._exit(4)
"""


class StandIn:
    """One process with the manners of `run.ServiceProcess`."""

    def __init__(self, config, share=0.0, delay=0.0, start_s=0.0, words=""):
        arguments = [config.version, str(share), str(delay), str(start_s), words]
        self.version = config.version
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", CODE, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if words else None,
            text=True,
            start_new_session=True,
        )
        line = self.process.stdout.readline()
        if not line:
            reason = self.process.stderr.read()
            self.stop()
            raise RuntimeError(reason.strip())
        self.pid, self.port = self.process.pid, int(line)
        self.url = f"http://127.0.0.1:{self.port}"

    def ready(self, timeout=10.0):
        end = time.monotonic() + timeout
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                    return json.load(answer)["state"] == "ready"
            except urllib.error.HTTPError:
                if time.monotonic() > end:
                    raise TimeoutError(f"{self.version} is not ready") from None
            time.sleep(0.01)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    drain = stop


def starts(**by_version):
    """A `start` for a lab: version -> settings of its StandIn."""
    return lambda config: StandIn(config, **by_version.get(config.version, {}))
