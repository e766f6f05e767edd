"""LitServe with one worker process behind one API process: python lit.py PORT"""

import sys

import litserve
from eta import array, model


class Eta(litserve.LitAPI):
    def setup(self, device):
        self.model = model()

    def decode_request(self, request):
        return array(request["features"])

    def predict(self, rows):
        return self.model.predict(rows)

    def encode_response(self, output):
        return {"prediction": float(output[0])}


if __name__ == "__main__":
    server = litserve.LitServer(Eta(), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )
