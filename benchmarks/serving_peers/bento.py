"""BentoML with one worker, metrics on as they are by default: python bento.py PORT"""

import os
import sys
from pathlib import Path

import bentoml
from eta import array, model


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Eta:
    def __init__(self):
        self.model = model()

    @bentoml.api
    def predict(self, features: dict[str, float]) -> dict[str, float]:
        return {"prediction": float(self.model.predict(array(features))[0])}


if __name__ == "__main__":
    here = str(Path(__file__).parent)
    command = str(Path(sys.executable).with_name("bentoml"))
    where = ["--host", "127.0.0.1", "--port", sys.argv[1], "--working-dir", here]
    os.execv(command, [command, "serve", "bento:Eta", *where, "-q"])
