"""Graph and policy jobs from the command line to what a worker has made of them, and the request that tells of it."""

import base64
import hashlib
import hmac
import json
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.up_process import UpProcess, private_root, running_up
from tests.samples import HERE, sbom
from tests.support.waiting import wait_until_blocking

PATHS = {"graph": "/graphs/jobs", "policy": "/policy/runs"}
RULES = {"severity_threshold": "high", "licences_allowed": ["Apache-2.0", "MIT", "BSD-3-Clause"]}


@pytest.fixture(scope="module")
def up() -> Iterator[UpProcess]:
    with private_root() as root, running_up(root / "data", "--no-sample") as process:
        yield process


@pytest.fixture
def received() -> Iterator[tuple[str, "queue.Queue[tuple[dict[str, str], bytes]]"]]:
    """The address of a receiver, and the requests that it got: headers in lower case, and body."""
    got: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.put(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Not into the output of the tests."""

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", got
    server.shutdown()
    server.server_close()


def said(up: UpProcess, *arguments: str) -> Any:
    done = up.rota(*arguments, "-o", "json")
    assert done.code == 0, done.err
    return done.json


def ended(up: UpProcess, noun: str, job_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        job = up.ask("GET", f"{PATHS[noun]}/{job_id}")
        return job if job["state"] in {"succeeded", "failed", "cancelled"} else None

    found = wait_until_blocking(look, 30, f"the end of {noun} job {job_id}")
    assert found is not None
    assert found["state"] == "succeeded", found["reason"]
    return found


def test_a_document_becomes_a_graph_and_verdicts(up: UpProcess, tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps(RULES))
    made = said(up, "graph", "build", str(HERE / "shop.cdx.json"), "--sbom-id", "shop", "--idempotency-key", "one")
    again = said(up, "graph", "build", str(HERE / "shop.cdx.json"), "--sbom-id", "shop", "--idempotency-key", "one")
    assert again["id"] == made["id"]
    graph = ended(up, "graph", made["id"])
    assert graph["summary"]["components_count"] == 7
    overlay = ended(up, "graph", said(up, "graph", "overlay", graph["id"], str(HERE / "advisories.json"))["id"])
    over = ("--graph", graph["id"], "--overlay", overlay["id"])
    judged = said(up, "policy", "run", str(rules), "--policy-id", "P-7", "--policy-version", "3", *over)
    verdicts = ended(up, "policy", judged["id"])
    assert verdicts["summary"]["violations_count"] == 4
    assert said(up, "policy", "get", judged["id"])["determinism_hash"] == verdicts["determinism_hash"]
    assert len(said(up, "policy", "items", judged["id"])["items"]) == verdicts["summary"]["verdicts_count"]


def test_the_end_of_a_job_is_told_by_a_signed_request(
    up: UpProcess, received: tuple[str, "queue.Queue[tuple[dict[str, str], bytes]]"]
) -> None:
    url, got = received
    secret = up.ask("POST", "/signing-secrets", {"name": "graphs"})["secret"]
    hook = {"url": url, "signed_with": "graphs"}
    job = up.ask("POST", "/graphs/build", {"sbom": sbom(), "sbom_id": "shop", "webhook": hook})
    headers, body = got.get(timeout=30)
    told = json.loads(body)
    assert (told["kind"], told["eventId"]) == ("scheduler.graph.job.completed", job["id"])
    assert (told["payload"]["status"], told["payload"]["job"]["state"]) == ("completed", "succeeded")
    assert up.ask("GET", told["payload"]["resultUri"].removeprefix("/api/v1"))["total_count"] == 12
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    signature = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{signature}"
