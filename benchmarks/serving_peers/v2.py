"""MLServer with a model in the server's own process, over the V2 protocol: python v2.py PORT"""

import asyncio
import socket
import sys

from eta import model
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Eta(MLModel):
    async def load(self):
        self.fitted = model()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = self.decode(payload.inputs[0], default_codec=NumpyCodec)
        told = NumpyCodec.encode_output("prediction", self.fitted.predict(rows))
        return InferenceResponse(model_name=self.name, outputs=[told])


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as door:
        return door.getsockname()[1]


async def main(port):
    settings = Settings(
        host="127.0.0.1",
        http_port=port,
        grpc_port=free_port(),
        metrics_port=free_port(),
        parallel_workers=0,
        debug=False,
    )
    await MLServer(settings).start([ModelSettings(name="eta", implementation=Eta)])


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
