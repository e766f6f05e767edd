"""HAProxy's own config file, made of a router's config; see `haproxy`."""

import secrets

from mlprod_helpers.serving.processes import HOST
from mlprod_helpers.serving.routes import loopback

_LOGGED_BYTES = 16_000
_LINE_BYTES = 65_000
_FIELDS = (
    *("%[var(txn.id)]", "%[var(txn.begin)]", "%[date(0,us)]", "%ST", "%[var(txn.version)]", "%s", "%rc"),
    *("%[var(txn.user)]", "%[var(txn.path)]", "%[var(txn.asked),base64]", "%[var(txn.said),base64]"),
)


def settings(config, door, control):
    """The file's text for a `RouterConfig`; door and control are the file descriptors of the two listening sockets."""
    versions, plan = list(config.plan.upstreams), config.plan
    retried = " ".join(config.retry_paths)
    lines = [
        "global",
        "  nbthread 1",
        f"  maxconn {config.in_flight + 512}",
        "  stats socket unix@control.sock mode 600 level admin",
        "  lua-load route.lua",
        "  tune.bufsize 65536",
    ]
    if config.log is not None:
        lines += [
            f"  log ring@requests len {_LINE_BYTES} format raw local0",
            "ring requests",
            "  format raw",
            f"  maxlen {_LINE_BYTES + 100}",
            "  size 16777216",
            "  timeout connect 1s",
            "  timeout server 24h",
            "  server log unix@log.sock",
        ]
    lines += [
        "defaults",
        "  mode http",
        "  log global",
        f"  timeout connect {_ms(config.connect_s)}",
        f"  timeout server {_ms(config.timeout_s)}",
        f"  timeout client {_ms(config.timeout_s + config.body_s)}",
        f"  timeout http-request {_ms(config.body_s)}",
        "  timeout http-keep-alive 60s",
        f"  timeout check {_ms(config.connect_s)}",
        *(
            f'  http-error status {status} content-type application/json lf-string "{_problem(word)}"'
            for status, word in _PROBLEMS.items()
        ),
        "frontend control",
        f"  bind fd@{control}",
        "  no log",
        "  http-request use-service prometheus-exporter if { path /metrics }",
        '  http-request return status 200 content-type application/json string "{}"',
        "frontend router",
        f"  bind fd@{door}",
        f"  unique-id-format {secrets.token_hex(4)}-%rt",
        f"  log-format '{' '.join(_FIELDS)}'",
        "  http-request set-var(txn.begin) date(0,us)",
        "  http-request set-var(txn.path) path",
        "  http-request set-var(txn.version) str(router)",
        '  http-request set-var-fmt(txn.id) "%[unique-id]-0"',
        f"  http-request wait-for-body time {_ms(config.body_s)} if METH_POST",
        "  http-request lua.route",
        "  http-request lua.route_label if { path /label }",
        '  http-request set-var-fmt(txn.id) "%[unique-id]-%[var(txn.place)]"',
        f"  http-request set-var(txn.asked) req.body if {{ req.body_size le {_LOGGED_BYTES} }}",
        *_refusals(config),
        "  http-request set-header X-Request-Id %[var(txn.id)]",
        "  http-request set-header X-Forwarded-For %[src]",
        "  http-request del-header X-Shadow",
        f"  http-request disable-l7-retry if METH_POST !{{ path {retried} }}"
        if retried
        else "  http-request disable-l7-retry if METH_POST",
        "  http-after-response set-header X-Request-Id %[var(txn.id)]",
        "  http-after-response set-header X-Router-Plan %[var(txn.plan)]",
        "  http-after-response set-header X-Version %[var(txn.version)] if !{ res.hdr(X-Version) -m found }",
        "  http-after-response set-header Retry-After 1 if { status 503 }",
        "  default_backend models",
        "backend models",
        "  balance roundrobin",
        "  retries 2",
        "  retry-on conn-failure empty-response",
        "  option redispatch 1" if config.failover else "  option persist",
        "  option httpchk GET /readyz",
        "  http-check expect status 200",
        f"  http-response wait-for-body time {_ms(config.timeout_s)}",
        f"  http-response set-var(txn.said) res.body if {{ res.body_size le {_LOGGED_BYTES} }}",
        "  http-response set-header X-Version %s",
        *(f"  use-server {name} if {{ var(txn.version) -m str {name} }}" for name in versions),
        "  default-server check inter 500ms fall 2 rise 1",
        *(f"  server {name} {HOST}:{port_of(url)}" for name, url in plan.upstreams.items()),
    ]
    return "\n".join(lines) + "\n"


_PROBLEMS = {
    400: "bad_request",
    404: "no_such_path",
    405: "method",
    408: "too_slow",
    413: "too_large",
    500: "router",
    502: "broken_connection",
    503: "no_connection",
    504: "timeout",
}


def _problem(word):
    told = f'{{"error": "{word}", "request_id": "%[var(txn.id)]", "detail": []}}'
    return told.replace('"', '\\"')


def _refusals(config):
    conditions = {
        404: ["!{ path /predict /label /version /healthz /readyz }"],
        405: ["!METH_POST { path /predict /label }", "!METH_GET !{ path /predict /label }"],
        413: [f"{{ req.body_size gt {config.body_bytes} }}"],
        503: [f"{{ be_conn(models) ge {config.in_flight} }}"],
    }
    for status, several in conditions.items():
        for condition in several:
            yield f"  http-request set-var(txn.version) str(router) if {condition}"
            yield f"  http-request deny deny_status {status} if {condition}"


def _ms(seconds):
    return f"{max(1, round(1000 * seconds))}ms"


def port_of(url):
    """The port of an address on this machine.

    >>> port_of("http://127.0.0.1:8001")
    8001
    """
    return int(loopback(url).rpartition(":")[2])


def as_value(plan):
    """The plan as the one value of the map, without a blank; see haproxy_route.lua."""
    canary, draining = plan.canary or "", "/".join(plan.draining)
    salt = plan.salt.encode().hex()
    return f"{plan.generation},{float(plan.weight / 100)!r},{plan.stable},{canary},{draining},{salt}"
