"""Models run from their files or at an endpoint; what goes wrong is said and costs one call."""

import io
import json
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile
from safetensors.numpy import save

from audiera.audio.texture import RATE, Trainer, log_mel
from audiera.protocol.encoding import digest, encode
from audiera.protocol.records import Interface, Model
from audiera.services.models import CallRequest, Deployment, ModelError, Registry
from audiera.services.models.runners import HttpRunner, TextureRunner
from audiera.services.storage.blobs import open_blobs
from audiera.services.storage.documents import open_documents


def trained() -> bytes:
    noise = np.random.default_rng(1).standard_normal(RATE * 2).astype(np.float32)
    frames = log_mel(noise)
    trainer = Trainer(frames.mean(axis=0), frames.std(axis=0))
    first = trainer.step(frames)
    for _ in range(20):
        last = trainer.step(frames)
    assert last < first
    return save(trainer.weights().arrays())


def asked(**parameters: str) -> CallRequest:
    return CallRequest(b"", "application/octet-stream", parameters)


def model_of(weights: bytes) -> Model:
    return Model(
        number=7,
        id=bytes(32),
        developer=1,
        name="texture",
        version="1",
        weights=weights,
        runs=(),
        weights_root=bytes(32),
        total_weight=0,
        training_share=0,
        interface=Interface(task="generation", accepts=(), returns=()),
    )


def test_a_texture_is_generated_from_its_seed() -> None:
    runner = TextureRunner(trained())
    first = runner.run(asked(seconds="1.5", seed="3"))
    assert first.media_type == "audio/wav"
    sound, rate = soundfile.read(io.BytesIO(first.body))
    assert (rate, len(sound)) == (RATE, int(1.5 * RATE))
    assert 0.05 < np.abs(sound).mean() < 0.9
    assert runner.run(asked(seconds="1.5", seed="3")).body == first.body
    assert runner.run(asked(seconds="1.5", seed="4")).body != first.body


@pytest.mark.parametrize(
    "parameters", [{"seconds": "0"}, {"seconds": "31"}, {"seconds": "x"}, {"seed": "-1"}, {"seconds": "nan"}]
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, str]) -> None:
    with pytest.raises(ModelError) as error:
        TextureRunner(trained()).run(asked(**parameters))
    assert error.value.code == "model_input_invalid"


@pytest.mark.parametrize("data", [b"", b"\x80\x04K\x01.", save({"mean": np.zeros(3, dtype=np.float32)})])
def test_files_that_are_no_weights_are_refused(data: bytes) -> None:
    with pytest.raises(ModelError) as error:
        TextureRunner(data)
    assert error.value.code == "model_unusable"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    blobs = open_blobs(tmp_path / "blobs", master_key=bytes(32), entropy=np.random.default_rng(1).bytes)
    documents = open_documents(tmp_path / "documents.sqlite")
    registry = Registry(tmp_path / "deployments.sqlite", blobs, documents)
    yield registry
    registry.close()
    documents.close()
    blobs.close()


def test_a_package_serves_the_model_whose_record_names_it(registry: Registry) -> None:
    weights, package = registry.add_package("audiera-texture-1", "weights.safetensors", trained())
    assert weights == digest(encode(package))
    model = model_of(weights)
    registry.deploy(model, Deployment(model=7, kind="embedded"))
    assert registry.runner(model).run(asked(seconds="0.2")).body[:4] == b"RIFF"


def test_a_model_with_other_weights_cannot_be_deployed(registry: Registry) -> None:
    registry.add_package("audiera-texture-1", "weights.safetensors", trained())
    with pytest.raises(ModelError) as error:
        registry.deploy(model_of(bytes(32)), Deployment(model=7, kind="embedded"))
    assert error.value.code == "model_files_missing"


def test_an_unknown_architecture_and_kind_are_refused(registry: Registry) -> None:
    with pytest.raises(ModelError) as error:
        registry.add_package("pickle", "weights.pkl", b"x")
    assert error.value.code == "architecture_unknown"
    with pytest.raises(ModelError):
        registry.deploy(model_of(bytes(32)), Deployment(model=7, kind="shell"))


class _Endpoint(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith("/fail"):
            self.send_response(500)
        elif self.path.startswith("/redirect"):
            self.send_response(302)
            self.send_header("Location", "/echo")
        else:
            self.send_response(200)
            self.send_header("Content-Type", "application/json; charset=utf-8")
        answer = json.dumps({"path": self.path, "length": len(body), "host": self.headers["Host"]}).encode()
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Endpoint)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_endpoint_answers_with_body_and_parameters_passed_on(endpoint: str) -> None:
    runner = HttpRunner(f"http://{endpoint}/echo", allowed_local=(endpoint,))
    answer = runner.run(CallRequest(b"abc", "audio/wav", {"seed": "1"}))
    assert answer.media_type == "application/json"
    assert json.loads(answer.body) == {"path": "/echo?seed=1", "length": 3, "host": endpoint}


@pytest.mark.parametrize("path", ["fail", "redirect"])
def test_error_answers_and_redirects_are_failures(endpoint: str, path: str) -> None:
    with pytest.raises(ModelError) as error:
        HttpRunner(f"http://{endpoint}/{path}", allowed_local=(endpoint,)).run(asked())
    assert error.value.code == "model_failed"


def test_an_endpoint_on_this_machine_must_be_listed(endpoint: str) -> None:
    with pytest.raises(ModelError) as error:
        HttpRunner(f"http://{endpoint}/echo")
    assert error.value.code == "url_not_public"


def test_an_answer_that_is_too_large_or_absent_is_a_failure(endpoint: str) -> None:
    with pytest.raises(ModelError) as error:
        HttpRunner(f"http://{endpoint}/echo", allowed_local=(endpoint,), max_bytes=5).run(asked())
    assert error.value.code == "model_answer_too_large"
    with pytest.raises(ModelError) as error:
        HttpRunner("http://127.0.0.1:9/", allowed_local=("127.0.0.1:9",), timeout_s=2).run(asked())
    assert error.value.code == "model_unreachable"


def onnx_identity() -> bytes:
    """A model y = x + x over float32 of any length, as the bytes of its protocol buffer."""

    def field(number: int, value: bytes | int) -> bytes:
        if isinstance(value, int):
            return bytes([number << 3]) + bytes([value])
        return bytes([number << 3 | 2, len(value)]) + value

    dimension = field(1, field(2, b"n"))
    tensor = field(1, field(1, 1) + field(2, dimension))
    value = {name: field(1, name) + field(2, tensor) for name in (b"x", b"y")}
    node = field(1, b"x") + field(1, b"x") + field(2, b"y") + field(4, b"Add")
    graph = field(1, node) + field(2, b"g") + field(11, value[b"x"]) + field(12, value[b"y"])
    return field(1, 8) + field(7, graph) + field(8, field(2, 13))


def test_an_onnx_model_runs_in_a_process_of_its_own() -> None:
    onnx = pytest.importorskip("audiera.services.models.runners.onnx", reason="install audiera[onnx]")
    runner = onnx.OnnxRunner(onnx_identity())
    body = struct.pack("<3f", 1.0, 2.0, 3.5)
    answer = runner.run(CallRequest(body, "application/octet-stream", {}))
    assert json.loads(answer.body) == {"y": {"shape": [3], "values": [2.0, 4.0, 7.0]}}
    with pytest.raises(ModelError):
        runner.run(CallRequest(b"not sound", "audio/wav", {}))
    runner._process.kill()
    with pytest.raises(ModelError) as error:
        runner.run(CallRequest(body, "application/octet-stream", {}))
    assert error.value.code == "model_crashed"
    assert json.loads(runner.run(CallRequest(body, "application/octet-stream", {})).body)["y"]["shape"] == [3]
    runner.close()


def test_a_file_that_is_no_onnx_model_is_refused() -> None:
    onnx = pytest.importorskip("audiera.services.models.runners.onnx", reason="install audiera[onnx]")
    with pytest.raises(ModelError):
        onnx.OnnxRunner(b"not a model")
