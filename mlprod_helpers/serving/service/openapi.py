"""The service's OpenAPI document, made of the same features and limits that are checked."""

_NAME = {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,64}$"}
_WORDS = {
    400: "The body is no JSON, or a header stands twice",
    401: "The API key is absent or wrong",
    403: "A page of another origin asks",
    404: "This service does not remember the request",
    405: "Another method",
    408: "The body came too slowly; the connection is closed",
    409: "The label was corrected once, and now stands",
    413: "The body is too large; the connection is closed",
    415: "The body is not application/json",
    421: "The Host is not this machine",
    422: "Not a valid request",
    429: "This client asks too often",
    500: "The model failed",
    503: "The queue is full, or the model is not ready",
    504: "The model took too long",
}
_RETRY = {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}}
_ID = {"X-Request-Id": {"required": True, "schema": _NAME}}


def document(service):
    """OpenAPI 3.1 of a `Service`, a dict."""
    refused = {
        "type": "object",
        "properties": {
            "error": {"type": "string"},
            "request_id": _NAME,
            "detail": {"type": "array", "items": _object(where={"type": "string"}, what={"type": "string"})},
        },
        "required": ["error", "request_id", "detail"],
        "additionalProperties": False,
    }
    schemas = {
        "Refusal": refused,
        "PredictBody": service.body.json_schema(),
        "LabelBody": service.label_body.json_schema(),
        "Answer": _answer(service.card),
        "Label": _object(request_id={"type": "string"}, version=_NAME, learned={"type": "boolean"}),
    }
    common = (400, 403, 405, 408, 413, 415, 421, 422, 503)
    if service.key.needed:
        common = (*common, 401)
    if service.config.limits.rate_per_s is not None:
        common = (*common, 429)
    paths = {
        "/predict": {
            "post": _post("predict", "PredictBody", "Answer", (*common, 500, 504), _PREDICT_HEADERS, service)
        },
        "/label": {
            "post": _post("label", "LabelBody", "Label", (*common, 404, 409), _PREDICT_HEADERS, service)
        },
    }
    state = _json({"type": "object", "properties": {"state": {"type": "string"}}, "required": ["state"]})
    for path, content in (
        ("/healthz", state),
        ("/readyz", state),
        ("/version", _json({"type": "object", "required": ["name", "version", "checksum", "features"]})),
        ("/metrics", {"text/plain": {"schema": {"type": "string"}}}),
        ("/openapi.json", _json({"type": "object"})),
    ):
        responses = {"200": {"description": "Yes", "content": content}}
        responses |= {str(status): _refusal(status) for status in (400, 403, 405, 421)}
        if path == "/readyz":
            responses["503"] = {"description": "Not now", "content": content, "headers": _RETRY}
        paths[path] = {"get": {"operationId": path[1:].replace(".", "_"), "responses": responses}}
    components = {"schemas": schemas}
    if service.key.needed:
        components["securitySchemes"] = {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Model service: {service.card.name}", "version": service.version},
        "paths": paths,
        "components": components,
    }


_PREDICT_HEADERS = [
    {"name": "X-Request-Id", "in": "header", "required": False, "schema": _NAME},
    {"name": "X-User-Id", "in": "header", "required": False, "schema": _NAME},
    {
        "name": "X-Shadow",
        "in": "header",
        "required": False,
        "schema": {"type": "string", "enum": ["0", "1"]},
    },
]


def _post(name, body, answer, refusals, parameters, service):
    told = {
        "operationId": name,
        "parameters": parameters,
        "requestBody": {"required": True, "content": _json(_ref(body))},
        "responses": {
            "200": {"description": "Answered", "content": _json(_ref(answer)), "headers": _ID},
            **{str(status): _refusal(status) for status in sorted(refusals)},
        },
    }
    return told | ({"security": [{"key": []}]} if service.key.needed else {})


def _refusal(status):
    headers = dict(_ID)
    if status in (429, 503):
        headers |= _RETRY
    if status == 405:
        headers["Allow"] = {"required": True, "schema": {"type": "string"}}
    return {"description": _WORDS[status], "content": _json(_ref("Refusal")), "headers": headers}


def _answer(card):
    prediction = {"type": ["number", "null"]} if card.classes is None else {"enum": [*card.classes, None]}
    common = {"request_id": _NAME, "version": _NAME, "latency_ms": {"type": "number", "minimum": 0}}
    one = common | {"prediction": prediction}
    many = common | {
        "request_ids": {"type": "array", "items": {"type": "string"}},
        "predictions": {"type": "array", "items": prediction},
    }
    if card.method == "predict_proba":
        score = {"type": ["number", "null"], "minimum": 0, "maximum": 1}
        one["score"], many["scores"] = score, {"type": "array", "items": score}
    return {"oneOf": [_object(**one), _object(**many)]}


def _object(**properties):
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _json(schema):
    return {"application/json": {"schema": schema}}


def _ref(name):
    return {"$ref": f"#/components/schemas/{name}"}
