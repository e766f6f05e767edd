"""The exports of a plan: HAProxy itself reads its configuration, and documented schemas hold the Kubernetes resources."""

import http.server
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.request

import jsonschema
import pytest

from mlprod_helpers.rollout import BigBang, BlueGreen, Canary, Plan, Shadow

NAME = {"type": "string", "pattern": "^[a-z]([a-z0-9-]*[a-z0-9])?$", "maxLength": 63}
WORKLOAD = {"apiVersion": {"const": "apps/v1"}, "kind": {"const": "Deployment"}, "name": NAME}
PERCENT = {"type": "integer", "minimum": 0, "maximum": 100}
COUNT = {"type": "integer", "minimum": 1}


def closed(properties, required=None):
    """The schema of an object that has no other fields."""
    required = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def resource(api, kind, spec):
    metadata = closed({"name": NAME})
    return closed({"apiVersion": {"const": api}, "kind": {"const": kind}, "metadata": metadata, "spec": spec})


# The documented types and limits of the fields that the exports write, in our own words; fields that they do not write are
# missing here. Sources: docs.flagger.app/usage/deployment-strategies (analysis) and docs.flagger.app/usage/how-it-works.
ANALYSIS = closed(
    {
        "interval": {"type": "string", "pattern": "^[0-9]+(m|s)$"},
        "threshold": COUNT,
        "iterations": COUNT,
        "mirror": {"type": "boolean"},
        "mirrorWeight": PERCENT,
        "stepWeight": PERCENT,
        "maxWeight": PERCENT,
        "stepWeights": {"type": "array", "items": PERCENT, "minItems": 1},
    },
    ["interval", "threshold"],
) | {"oneOf": [{"required": [name]} for name in ("iterations", "stepWeight", "stepWeights")]}
FLAGGER = resource(
    "flagger.app/v1beta1",
    "Canary",
    closed({"targetRef": closed(WORKLOAD), "service": closed({"port": COUNT}), "analysis": ANALYSIS}),
)
# Sources: argo-rollouts.readthedocs.io/en/stable/features/specification, .../features/canary, .../features/bluegreen
ARGUMENT = closed({"name": NAME, "value": {"type": "string"}})
JUDGE = closed(
    {
        "templates": {"type": "array", "items": closed({"templateName": NAME}), "minItems": 1},
        "args": {"type": "array", "items": ARGUMENT},
    },
    ["templates"],
)
PAUSE = closed({"duration": {"type": "string", "pattern": "^[0-9]+(s|m|h)$"}})
STEP = {
    "anyOf": [
        closed({name: kind})
        for name, kind in {"setWeight": PERCENT, "pause": PAUSE, "analysis": JUDGE}.items()
    ]
}
ARGO_CANARY = closed(
    {
        "canaryService": NAME,
        "stableService": NAME,
        "scaleDownDelaySeconds": COUNT,
        "steps": {"type": "array", "items": STEP},
    },
    ["canaryService", "stableService", "steps"],
)
ARGO_BLUE_GREEN = closed(
    {
        "activeService": NAME,
        "previewService": NAME,
        "autoPromotionSeconds": COUNT,
        "scaleDownDelaySeconds": COUNT,
        "postPromotionAnalysis": JUDGE,
    },
    ["activeService", "previewService"],
)
ARGO = resource(
    "argoproj.io/v1alpha1",
    "Rollout",
    closed(
        {
            "workloadRef": closed(WORKLOAD),
            "strategy": {"oneOf": [closed({"canary": ARGO_CANARY}), closed({"blueGreen": ARGO_BLUE_GREEN})]},
        }
    ),
)

LESSON = Plan.from_dict(
    {"strategy": "canary", "step_weights": [10, 25, 50], "interval": 300, "threshold": 1}
)  # as exercise 6.8
FOR_FLAGGER = [
    LESSON,
    Canary(),
    Canary(step_weight=20.0, max_weight=50, interval=90),
    BlueGreen(preview=600, copies=100, watch=0, keep_old=0),
]
FOR_ARGO = [
    LESSON,
    Canary(step_weights=[50, 100], threshold=1, keep_old=600),
    BlueGreen(watch=600),
    BlueGreen(watch=0, keep_old=0, preview=300),
]
FOR_HAPROXY = [
    LESSON,
    Canary(step_weights=[0.05, 1]),
    BlueGreen(preview=300),
    Canary(step_weight=25, max_weight=100),
]


@pytest.mark.parametrize("plan", FOR_FLAGGER)
def test_flagger_takes_the_canary(plan):
    jsonschema.validate(plan.to_flagger("eta"), FLAGGER)


@pytest.mark.parametrize("plan", FOR_ARGO)
def test_argo_takes_the_rollout(plan):
    jsonschema.validate(plan.to_argo("eta"), ARGO)


@pytest.mark.parametrize("schema", [FLAGGER, ARGO])
def test_the_schemas_refuse_a_fraction_and_an_unknown_field(schema):
    plan = Canary(step_weights=[10], threshold=1)
    text = json.dumps(plan.to_flagger() if schema is FLAGGER else plan.to_argo())
    for before, after in (("10", "10.5"), ('"spec": {', '"spec": {"weight": 1, ')):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(json.loads(text.replace(before, after, 1)), schema)


def test_what_a_blue_green_rollout_checks_stands_in_the_resource():
    analysis = BlueGreen(preview=300, copies=50, watch=0, keep_old=0, threshold=2).to_flagger()["spec"][
        "analysis"
    ]
    assert analysis == {"interval": "1m", "threshold": 2, "iterations": 5, "mirror": True, "mirrorWeight": 50}
    strategy = BlueGreen(preview=300, watch=590, threshold=2).to_argo()["spec"]["strategy"]["blueGreen"]
    assert (strategy["autoPromotionSeconds"], strategy["scaleDownDelaySeconds"]) == (300, 600)
    values = {each["name"]: each["value"] for each in strategy["postPromotionAnalysis"]["args"]}
    assert values == {"interval": "1m", "count": "10", "failure-limit": "1"}


@pytest.mark.parametrize(
    ("plan", "tool", "sentence"),
    [
        (Canary(step_weights=[0.5, 5]), "flagger", "whole percents, but step_weights is 0.5: round it"),
        (Canary(step_weight=2.5, max_weight=50), "flagger", "step_weight is 2.5"),
        (Canary(interval=90.5), "flagger", "whole seconds, but interval is 90.5"),
        (Canary(interval=5), "flagger", "every 10 seconds at most"),
        (Canary(watch=60), "flagger", "set both to 0"),
        (BlueGreen(watch=0, keep_old=0), "flagger", "give copies, and a preview"),
        (BlueGreen(watch=0, keep_old=0, preview=90, copies=100), "flagger", "whole intervals"),
        (Shadow(), "flagger", "take BlueGreen with copies"),
        (BigBang(), "flagger", "no strategy 'big bang': take a Canary"),
        (Canary(step_weights=[0.5], threshold=1), "argo", "whole percents"),
        (Canary(), "argo", "threshold is 5: set it to 1"),
        (Canary(threshold=1, watch=60), "argo", "let the steps end at 100"),
        (BlueGreen(), "argo", "give keep_old at least as much"),
        (BlueGreen(watch=0, copies=10), "argo", "prePromotionAnalysis"),
        (BlueGreen(watch=0, keep_old=0.5), "argo", "whole seconds"),
        (Shadow(), "argo", "setMirrorRoute"),
        (BigBang(), "argo", "take BlueGreen"),
        (BlueGreen(preview=60, copies=10), "haproxy", "mirror in a service mesh"),
        (Canary(step_weights=[0.001]), "haproxy", "splits to 0.01%"),
        (Shadow(), "haproxy", "take a Canary"),
        (BigBang(), "haproxy", "take BlueGreen"),
    ],
)
def test_what_a_tool_does_not_have_is_refused_with_a_way_out(plan, tool, sentence):
    with pytest.raises(ValueError, match=sentence):
        getattr(plan, f"to_{tool}")()


@pytest.mark.parametrize("name", ["", "ETA", "my model", "-eta", "eta-", "e" * 56, "a\nb"])
def test_a_name_that_kubernetes_refuses_is_refused_here(name):
    for export in (LESSON.to_flagger, LESSON.to_argo):
        with pytest.raises(ValueError, match="no name for Kubernetes"):
            export(name)


@pytest.fixture(scope="module")
def haproxy():
    places = [os.environ.get("PATH", os.defpath), "/usr/sbin"]  # Debian: where only root looks
    program = shutil.which("haproxy", path=os.pathsep.join(places))
    if program is None:
        pytest.skip("haproxy is not installed: its own reading of the configuration is not checked")
    return program


@pytest.mark.parametrize("plan", FOR_HAPROXY)
def test_haproxy_takes_the_configuration(plan, haproxy, tmp_path):
    (tmp_path / "haproxy.cfg").write_text(plan.to_haproxy())
    done = subprocess.run([haproxy, "-c", "-f", "haproxy.cfg"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


def test_haproxy_splits_by_weight_and_a_ramp_only_adds_users(haproxy, tmp_path):
    versions = {name: _version(name) for name in ("stable", "canary")}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = Canary(step_weights=[10, 40]).to_haproxy()
    commands = [line.split(" s: ")[1] for line in text.splitlines() if "set var proc.canary" in line]
    ports = {8080: port, 8001: versions["stable"].server_port, 8002: versions["canary"].server_port}
    for usual, own in ports.items():
        text = text.replace(f":{usual}", f":{own}")
    (tmp_path / "haproxy.cfg").write_text(text)
    process = subprocess.Popen(
        ["timeout", "60", haproxy, "-db", "-f", "haproxy.cfg"], cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(tmp_path / "haproxy.sock", process)
        users = [f"user {i}" for i in range(400)]
        shares = [{user for user in users if _ask(port, user) == "canary"}]
        for command in commands:
            _send(tmp_path / "haproxy.sock", command)
            shares.append({user for user in users if _ask(port, user) == "canary"})
        assert _ask(port, None) == "stable"  # even at 100%: without a user there is no place
    finally:
        process.terminate()
        process.wait(20)
        for server in versions.values():
            server.shutdown()
            server.server_close()
    assert shares[0] < shares[1] < shares[2] == set(users)
    for share, weight in zip(shares, (0.1, 0.4, 1.0), strict=True):
        assert abs(len(share) / 400 - weight) <= 3 * (weight * (1 - weight) / 400) ** 0.5


def _version(name):
    class Version(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(name)))
            self.end_headers()
            self.wfile.write(name.encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Version)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server


def _wait_for(path, process):
    end = time.monotonic() + 20
    while not path.exists():
        assert process.poll() is None and time.monotonic() < end, "HAProxy did not start"
        time.sleep(0.02)


def _ask(port, user):
    headers = {} if user is None else {"X-User-Id": user}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def _send(path, command):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(command.encode() + b"\n")
        while connection.recv(4096):
            pass
