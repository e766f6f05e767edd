"""FastAPI and prometheus-client, nothing else: python bare.py PORT"""

import sys

import numpy as np
import uvicorn
from eta import model
from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from pydantic import BaseModel


class Features(BaseModel):
    distance: float
    hour: int
    zone: int


class Ask(BaseModel):
    features: Features


app, fitted = FastAPI(), model()
requests = Counter("requests", "Requests", ["code"])
seconds = Histogram("request_duration_seconds", "From arrival to answer")


@app.post("/predict")
async def predict(ask: Ask):
    row = ask.features
    with seconds.time():
        answer = float(fitted.predict(np.array([[row.distance, row.hour, row.zone]]))[0])
    requests.labels("200").inc()
    return {"prediction": answer}


@app.get("/metrics")
async def metrics():
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


if __name__ == "__main__":
    # h11 as the service has it: httptools would be faster for both
    uvicorn.run(
        app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="warning", http="h11"
    )
