"""Malformed, huge, hostile: the service refuses it, logs it, forgets it, and repeats none of it."""

import asyncio
import contextlib
import gzip
import http.client
import json
import socket
from collections import Counter

import pytest
from pydantic import TypeAdapter, ValidationError
from stand_in_service import FLIGHT_FEATURES, LONG, in_a_loop, logged, memory_mb, save_flights, until

from mlprod_helpers.serving import Limits, ServiceConfig, ask, refusal, start
from mlprod_helpers.serving.service.process import listen
from mlprod_helpers.serving.service.schema import label_body, predict_body

if reason := refusal():
    pytest.skip(reason, allow_module_level=True)

MARK = "qz7mark"  # stands in whatever is refused, and in no answer
GOOD = b'{"features": {"distance": 1400, "hour": 7, "origin": "JFK"}}'
MEMORY_MB = 30.0  # how much the process may grow, far less than a leak of the bodies would take


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_flights(tmp_path_factory.mktemp("model"))


class Hostile:
    """A service that takes large bodies and waits for none, and a client that sends bytes."""

    def __init__(self, service, log):
        self.service, self.log = service, log

    def send(self, data):
        """(status, headers, body) of what comes back; status 0 when nothing does."""
        with socket.create_connection(("127.0.0.1", self.service.port), timeout=LONG) as door:
            with contextlib.suppress(ConnectionError):  # it may close before it has all
                door.sendall(data)
            answer = http.client.HTTPResponse(door)
            try:
                answer.begin()
                return answer.status, answer.headers, answer.read()
            except (ConnectionError, http.client.HTTPException):
                return 0, {}, b""

    def post(self, body, *lines, path=b"/predict", kind=b"application/json"):
        """`/predict` with a body and further header lines."""
        head = [b"POST " + path + b" HTTP/1.1", b"Host: here", b"Content-Length: %d" % len(body), *lines]
        if kind is not None:
            head.append(b"Content-Type: " + kind)
        return self.send(b"\r\n".join(head) + b"\r\n\r\n" + body)


@pytest.fixture(scope="module")
def hostile(model, tmp_path_factory):
    log = tmp_path_factory.mktemp("log") / "log.jsonl"
    limits = Limits(body_bytes=3_000_000, body_s=1.0)
    config = ServiceConfig(model=model, log=str(log), limits=limits, lifetime_s=600)
    with start(config) as service:
        yield Hostile(service.ready(), log)


@pytest.fixture(autouse=True)
def stands(request):
    """After each hostile test the service answers a good request, and has not grown much."""
    if "hostile" not in request.fixturenames:
        yield
        return
    hostile = request.getfixturevalue("hostile")
    before = memory_mb(hostile.service)
    yield
    status, _, body = hostile.post(GOOD)
    assert status == 200 and json.loads(body)["prediction"] == pytest.approx(175, abs=1)
    assert hostile.service.state() == "ready"
    assert memory_mb(hostile.service) - before < MEMORY_MB


BODIES = {
    "nothing": (b"", 400),
    "cut": (b'{"features": {"distance": 14', 400),
    "no JSON": (MARK.encode(), 400),
    "deep and open": (b"[" * 200_000, 400),
    "deep objects": (b'{"features":' * 50_000, 400),
    "deep and closed": (b'{"features":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
    "NaN": (b'{"features": {"distance": NaN, "hour": 7, "origin": "JFK"}}', 400),
    "-Infinity": (b'{"features": {"distance": -Infinity, "hour": 7, "origin": "JFK"}}', 400),
    "1e400": (b'{"features": {"distance": 1e400, "hour": 7, "origin": "JFK"}}', 422),
    "4000 digits": (
        b'{"features": {"distance": ' + b"9" * 4000 + b', "hour": 7, "origin": "JFK"}}',
        422,
    ),
    "a million digits": (
        b'{"features": {"distance": ' + b"9" * 1_000_000 + b', "hour": 7, "origin": "JFK"}}',
        400,
    ),
    "true for a number": (b'{"features": {"distance": true, "hour": 7, "origin": "JFK"}}', 422),
    "text for a number": (b'{"features": {"distance": "1400", "hour": 7, "origin": "JFK"}}', 422),
    "half an hour": (b'{"features": {"distance": 1400, "hour": 7.5, "origin": "JFK"}}', 422),
    "null": (b'{"features": {"distance": null, "hour": 7, "origin": "JFK"}}', 422),
    "another category": (
        b'{"features": {"distance": 1400, "hour": 7, "origin": "%s"}}' % MARK.encode(),
        422,
    ),
    "an unknown field": (b'{"features": {"%s": 1}}' % MARK.encode(), 422),
    "an unknown field beside": (GOOD[:-1] + b', "%s": 1}' % MARK.encode(), 422),
    "features and rows": (GOOD[:-1] + b', "rows": []}', 422),
    "prototype": (b'{"__proto__": {"%s": 1}, "features": {}}' % MARK.encode(), 422),
    "lone surrogate": (b'{"features": {"distance": 1400, "hour": 7, "origin": "\\ud800"}}', 422),
    "lone surrogate as a name": (b'{"features": {"\\udfff%s": 1}}' % MARK.encode(), 422),
    "not UTF-8": (b'{"features": {"distance": 1400, "hour": 7, "origin": "\xff\xfe"}}', 400),
    "UTF-16": (GOOD.decode().encode("utf-16"), 400),
    "BOM": (b"\xef\xbb\xbf" + GOOD, 400),
    "null byte": (b'{"features": {"distance": 1400, "hour": 7, "origin": "J\x00K"}}', 400),
    "a list": (b"[" + GOOD + b"]", 422),
    "no rows": (b'{"rows": []}', 422),
    "a million rows": (b'{"rows": [' + b"0," * 999_999 + b"0]}", 422),
    "a thousand wrong rows": (b'{"rows": [' + b'{"%s": 1},' % MARK.encode() * 999 + b"{}]}", 422),
    "two bodies": (GOOD + GOOD, 400),
    "compressed": (gzip.compress(b"0" * 10_000_000), 400),
    "too large": (b'{"features": ' + b" " * 3_000_000 + b"}", 413),
}


ERRORS = {400: "no_json", 413: "too_large", 422: "invalid"}


@pytest.mark.parametrize("name", BODIES)
def test_a_hostile_body_is_refused_and_logged_and_not_repeated(hostile, name):
    body, expected = BODIES[name]
    before = logged(hostile.log)
    status, headers, text = hostile.post(body)
    assert status == expected
    content = json.loads(text)
    assert list(content) == ["error", "request_id", "detail"] and content["error"] == ERRORS[expected]
    assert content["request_id"] == headers["X-Request-Id"]
    assert (headers.get("Connection") == "close") == (status == 413)
    assert MARK not in text.decode() + str(headers) and len(text) < 10_000
    assert logged(hostile.log) - before == Counter([content["request_id"]])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (b"/predict", b'{"features": {"distance": 1, "distance": 1400, "hour": 7, "origin": "JFK"}}'),
        (b"/predict", b'{"features": {"distance": 1400, "hour": 7, "origin": "JFK", "\\u006frigin": "JFK"}}'),
        (b"/predict", GOOD[:-1] + b", " + GOOD[1:]),
        (b"/predict", b'{"rows": [{"distance": 1, "hour": 7, "hour": 7, "origin": "JFK"}]}'),
        (b"/label", b'{"request_id": "r1", "label": 1, "label": 2}'),
    ],
)
def test_a_name_that_stands_twice_in_one_object_is_refused(hostile, path, body):
    status, _, text = hostile.post(body, path=path)
    assert status == 422 and "a name stands twice" in json.loads(text)["detail"][0]["what"]


def test_100_000_names_that_are_not_known_are_counted_before_errors_are_built(hostile):
    names = {f"x{i}": 0 for i in range(100_000)}
    row = {"distance": 1400, "hour": 7, "origin": "JFK"}
    bodies = [{"features": row | names}, {"rows": [row, row | names]}, {"features": row} | names]
    for content in bodies:
        status, _, text = hostile.post(json.dumps(content).encode())
        assert status == 422 and len(text) < 300
    body = TypeAdapter(predict_body(FLIGHT_FEATURES, 1000))
    for content in bodies:
        with pytest.raises(ValidationError) as refused:
            body.validate_python(content)
        assert [one["msg"] for one in refused.value.errors()] == ["100000 fields that are not known here"]
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(label_body()).validate_python({"request_id": "r1", "label": 1} | names)
    assert refused.value.error_count() == 1


FOREIGN = {
    "another host": ([b"Host: example.org"], 421),
    "a host by DNS rebinding": ([b"Host: 127.0.0.1.example.org:8001"], 421),
    "another address": ([b"Host: 10.0.0.1"], 421),
    "a page elsewhere": ([b"Host: 127.0.0.1:1", b"Origin: https://example.org"], 403),
    "a page from a file": ([b"Host: 127.0.0.1:1", b"Origin: null"], 403),
    "a page at another port": ([b"Host: 127.0.0.1:1", b"Origin: http://127.0.0.1:8888"], 403),
    "two users": ([b"Host: localhost", b"X-User-Id: ana", b"X-User-Id: ben"], 400),
    "two ids": ([b"Host: localhost", b"X-Request-Id: a", b"X-Request-Id: b"], 400),
}


@pytest.mark.parametrize(("lines", "status"), FOREIGN.values(), ids=FOREIGN)
def test_a_page_of_others_may_neither_predict_nor_label_nor_read(hostile, lines, status):
    name = ask(hostile.service.url, "/predict", json.loads(GOOD)).body["request_id"]
    lines = b"\r\n".join(lines)
    for path, body in ((b"/predict", GOOD), (b"/label", b'{"request_id": "%s", "label": 1}' % name.encode())):
        head = b"POST %s HTTP/1.1\r\n%s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        code, _, text = hostile.send(head % (path, lines, len(body)) + body)
        content = json.loads(text)
        assert code == status and len(content["detail"][0]["what"]) > 15, content
    for path in (b"/metrics", b"/version", b"/openapi.json"):
        assert hostile.send(b"GET %s HTTP/1.1\r\n%s\r\n\r\n" % (path, lines))[0] == status
    assert (
        ask(hostile.service.url, "/label", {"request_id": name, "label": 180}).status == 200
    )  # none stood yet


@pytest.mark.parametrize(
    "host", [b"127.0.0.1", b"127.0.0.1:8001", b"localhost:8001", b"[::1]:8001", b"LOCALHOST"]
)
def test_this_machine_is_asked_by_any_of_its_names(hostile, host):
    for origin in (b"", b"\r\nOrigin: http://" + host.lower()):
        assert hostile.send(b"GET /version HTTP/1.1\r\nHost: " + host + origin + b"\r\n\r\n")[0] == 200


@pytest.mark.parametrize(
    "kind",
    [
        *(None, b"", b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x"),
        *(b"application/jsonp", b"application/json5", b"text/json", b"\xff\xfe", MARK.encode() * 100),
    ],
)
def test_only_json_is_taken(hostile, kind):
    status, _, text = hostile.post(GOOD, kind=kind)
    assert (status, json.loads(text)["error"]) == (415, "content_type") and MARK not in text.decode()


@pytest.mark.parametrize("kind", [b"application/json; charset=utf-8", b"APPLICATION/JSON"])
def test_json_has_several_names(hostile, kind):
    assert hostile.post(GOOD, kind=kind)[0] == 200


def test_a_compressed_body_is_never_unpacked(hostile):
    """A bomb of a gigabyte is some bytes of no JSON."""
    bomb = gzip.compress(b"0" * 50_000_000)
    for text in (b"gzip", b"deflate", b"gzip, gzip"):
        assert hostile.post(bomb, b"Content-Encoding: " + text)[0] == 400


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"a b", b"a\tb", b"a,b", b"../../etc/passwd", b"x" * 65, b"\xc3\xa9", b"\xff", b"{{7*7}}"),
        *(b"<script>%s</script>" % MARK.encode(), b"$(%s)" % MARK.encode(), b'"%s' % MARK.encode()),
    ],
)
@pytest.mark.parametrize("header", [b"X-Request-Id", b"X-User-Id", b"X-Shadow"])
def test_a_header_with_other_characters_is_refused_and_not_repeated(hostile, header, value):
    before = logged(hostile.log)
    status, headers, text = hostile.post(GOOD, header + b": " + value)
    assert status == 422 and json.loads(text)["detail"][0]["where"].encode() == header
    assert MARK not in text.decode() + str(headers)
    assert logged(hostile.log) - before == Counter([json.loads(text)["request_id"]])


@pytest.mark.parametrize(
    "lines",
    [
        [b"X-Request-Id: a\x00b"],
        [b"X-Request-Id : a"],
        [b"X-Request-Id: a\rX-Other: b"],
        [b"Content-Length: 5"],
        [b"Content-Length: -1"],
        [b"Content-Length: 1_0"],
        [b"Transfer-Encoding: gzip"],
        [b"Transfer-Encoding: chunked, chunked"],
        [b"Transfer-Encoding:\x0bchunked"],
        [b"X: " + b"y" * 200_000],
        [b" folded: 1"],
        [b": no name"],
    ],
    ids=lambda lines: lines[0][:30].decode("latin-1").encode("unicode_escape").decode(),
)
def test_what_is_not_http_does_not_get_as_far_as_the_app(hostile, lines):
    """Two lengths, odd spaces, control characters: what one reader takes for a header and another for a body."""
    status, _, text = hostile.post(GOOD, *lines)
    assert status in (0, 400, 431, 501) and MARK not in text.decode()


def test_a_length_and_chunks_at_a_time_are_one_request(hostile):
    """The way of request smuggling: whoever trusts the length reads a second request here."""
    inner = b"POST /predict HTTP/1.1\r\nHost: x\r\nX-Request-Id: smuggled\r\n\r\n"
    status, _, _ = hostile.post(b"0\r\n\r\n" + inner, b"Transfer-Encoding: chunked", b"X-Request-Id: outer")
    assert status == 400
    assert "smuggled" not in logged(hostile.log)


@pytest.mark.parametrize(
    "path, expected",
    [
        (b"/predict?a=1", 200),
        (b"/%70redict", 200),
        (b"/predict/", 404),
        (b"//predict", 404),
        (b"/predict/../predict", 404),
        (b"/predict;x=1", 404),
        (b"/predict%00", 404),
        (b"/PREDICT", 404),
        (b"/..%2f..%2f..%2fetc/passwd", 404),
        (b"/%ff%fe", 404),
        (b"/" + MARK.encode(), 404),
        (b"/docs", 405),
        (b"/" + b"x" * 50_000, 404),
        (b"*", 404),
    ],
    ids=lambda value: value[:20].decode() if isinstance(value, bytes) else str(value),
)
def test_a_path_leads_where_it_says_or_nowhere(hostile, path, expected):
    status, headers, text = hostile.post(GOOD, path=path)
    assert status == expected and MARK not in text.decode() + str(headers)


@pytest.mark.parametrize(
    "method", [b"GET", b"HEAD", b"PUT", b"DELETE", b"PATCH", b"TRACE", b"OPTIONS", b"FOO"]
)
def test_another_method_is_refused_and_logged(hostile, method):
    before = logged(hostile.log)
    with socket.create_connection(("127.0.0.1", hostile.service.port), timeout=LONG) as door:
        door.sendall(method + b" /predict HTTP/1.1\r\nHost: here\r\nX-Secret: %s\r\n\r\n" % MARK.encode())
        answer = http.client.HTTPResponse(door, method=method.decode())
        answer.begin()
        text = answer.read().decode()
    assert answer.status == 405 and answer.headers["Allow"] == "POST" and MARK not in text
    assert method == b"HEAD" or json.loads(text)["error"] == "method"
    assert logged(hostile.log) - before == Counter([answer.headers["X-Request-Id"]])


HEAD = b"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
SLOW = {
    "half a body": HEAD + b"Content-Length: 60\r\n\r\n" + GOOD[:20],
    "no body": HEAD + b"Content-Length: 60\r\n\r\n",
    "chunks without end": HEAD + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"fea\r\n',
    "a chunk of all memory": HEAD + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n{",
    "who waits to be asked": HEAD + b"Content-Length: 60\r\nExpect: 100-continue\r\n\r\n",
}


@pytest.mark.parametrize("name", SLOW)
def test_a_body_that_does_not_come_is_not_waited_for(hostile, name):
    before = logged(hostile.log)
    with socket.create_connection(("127.0.0.1", hostile.service.port), timeout=LONG) as door:
        door.sendall(SLOW[name])
        data = b""
        while part := door.recv(65_536):  # until it is closed
            data += part
    data = data.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    data = data[data.index(b"HTTP/1.1") :]
    assert data.startswith(b"HTTP/1.1 408 ") and b"connection: close" in data.lower()
    assert sum((logged(hostile.log) - before).values()) == 1


def test_who_waits_to_be_asked_for_too_much_is_not_asked(hostile):
    status, headers, _ = hostile.send(HEAD + b"Expect: 100-continue\r\nContent-Length: 3000001\r\n\r\n")
    assert (status, headers["Connection"]) == (413, "close")


def test_a_client_that_leaves_in_the_middle_is_logged(hostile):
    before = logged(hostile.log)
    with socket.create_connection(("127.0.0.1", hostile.service.port), timeout=LONG) as door:
        door.sendall(SLOW["half a body"])
    until(lambda: logged(hostile.log) - before)
    assert sum((logged(hostile.log) - before).values()) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /predict\r\n\r\n",
        b"POST /predict HTTP/9.9\r\nHost: x\r\n\r\n",
        b"\r\n\r\n\r\n" + b"\x00" * 1000 + b"\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",  # no Host
    ],
    ids=["TLS", "HTTP/2", "HTTP/0.9", "HTTP/9.9", "zeros", "CONNECT", "no host"],
)
def test_another_protocol_is_refused(hostile, data):
    status, _, _ = hostile.send(data)
    assert status in (0, 400, 404, 405, 415, 505)


def test_no_websocket_is_opened(hostile):
    upgrade = [b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"]
    upgrade.append(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    lines = b"\r\n".join([b"GET /predict HTTP/1.1", b"Host: here", *upgrade])
    assert hostile.send(lines + b"\r\n\r\n")[0] == 405


def test_requests_that_come_at_once_on_one_connection_are_answered_in_order(hostile):
    one = HEAD + b"X-Request-Id: p%d\r\nContent-Length: %d\r\n\r\n" + GOOD
    with socket.create_connection(("127.0.0.1", hostile.service.port), timeout=LONG) as door:
        door.sendall(b"".join(one % (i, len(GOOD)) for i in range(20)))
        names, file = [], door.makefile("rb")
        for _ in range(20):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += file.readline()
            length = int(head.lower().split(b"content-length:")[1].split()[0])
            names.append(json.loads(file.read(length))["request_id"])
    assert names == [f"p{i}" for i in range(20)]


def test_a_name_that_was_sent_twice_is_two_lines_of_the_log(hostile):
    for _ in range(2):
        assert hostile.post(GOOD, b"X-Request-Id: twice")[0] == 200
    assert logged(hostile.log)["twice"] == 2


def test_many_idle_connections_do_not_keep_others_out(hostile):
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            door = socket.create_connection(("127.0.0.1", hostile.service.port), timeout=LONG)
            stack.enter_context(door).sendall(b"POST /predict HT")
        assert hostile.post(GOOD)[0] == 200


def test_labels_are_as_strict(hostile):
    name = ask(hostile.service.url, "/predict", json.loads(GOOD)).body["request_id"]
    for body, status in (
        (b'{"request_id": "%s", "label": NaN}' % name.encode(), 400),
        (b'{"request_id": "%s", "label": 1e400}' % name.encode(), 422),
        (b'{"request_id": "%s", "label": "%s"}' % (name.encode(), MARK.encode()), 422),
        (b'{"request_id": "%s", "label": [1]}' % name.encode(), 422),
        (b'{"request_id": "%s", "label": true}' % name.encode(), 422),
        (b'{"request_id": "%s", "label": 1, "%s": 1}' % (name.encode(), MARK.encode()), 422),
        (b'{"request_id": "../%s", "label": 1}' % MARK.encode(), 404),
        (b'{"request_id": "%s", "label": 1}' % MARK.encode(), 404),
        (b'{"request_id": 7, "label": 1}', 422),
        (b"[" * 100_000, 400),
        (b'{"request_id": "%s", "label": 180}' % name.encode(), 200),
    ):
        code, headers, text = hostile.post(body, path=b"/label")
        assert (code, MARK in text.decode() + str(headers)) == (status, False), body[:80]


@in_a_loop
async def test_small_packets_leave_at_once():
    """An answer is a head and a body; without TCP_NODELAY the body waits for the client's delayed acknowledgement."""
    option = asyncio.get_running_loop().create_future()

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport):
            door = transport.get_extra_info("socket")
            option.set_result(door.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()

    listener = listen()
    async with await asyncio.get_running_loop().create_server(Protocol, sock=listener):
        _, writer = await asyncio.open_connection(*listener.getsockname())
        writer.close()
        assert await option


def test_for_a_client_that_has_left_the_queue_nothing_is_computed(model, tmp_path):
    log = tmp_path / "log.jsonl"
    config = ServiceConfig(model=model, log=str(log), workers=1, lifetime_s=60, faults={"delay_ms": 2000})
    body = HEAD + b"Content-Length: %d\r\nX-Request-Id: %s\r\n\r\n" + GOOD
    with start(config) as service, contextlib.ExitStack() as stack:
        service.ready()
        doors = {}
        for i, name in enumerate((b"first", b"leaves", b"stays")):
            door = socket.create_connection(("127.0.0.1", service.port), timeout=LONG)
            doors[name] = stack.enter_context(door)
            door.sendall(body % (len(GOOD), name))
            until(lambda i=i: f"in_flight {i + 1}" in str(ask(service.url, "/metrics").body))
        doors[b"leaves"].close()
        assert doors[b"stays"].recv(12) == doors[b"first"].recv(12) == b"HTTP/1.1 200"
        rows = {line["request_id"]: line for line in map(json.loads, log.read_bytes().splitlines())}
    assert {name: row["status"] for name, row in rows.items()} == {"leaves": 400, "first": 200, "stays": 200}
    assert "prediction" not in rows["leaves"] and rows["first"]["prediction"] == rows["stays"]["prediction"]
