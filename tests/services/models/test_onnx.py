"""What the ONNX worker makes of a request, in this process; and what the runner makes of a worker that hangs."""

import io
import json
import os
import signal
import struct
from typing import Any

import numpy as np
import pytest
import soundfile

from audiera.services.models import CallRequest, ModelError
from tests.services.models.test_runners import onnx_identity

onnx = pytest.importorskip("audiera.services.models.runners.onnx", reason="install audiera[onnx]")
onnxruntime = pytest.importorskip("onnxruntime")


def fixed_length(length: int) -> bytes:
    """The doubling model of any length, made into one of this length: a dimension's name becomes its value."""
    named, valued = b"\x0a\x03\x12\x01n", b"\x0a\x02\x08" + bytes([length])
    data = onnx_identity()
    assert data.count(named) == 2
    return shortened(data.replace(named, valued))


def shortened(data: bytes) -> bytes:
    """Messages around a dimension that is one byte shorter, with their lengths set right."""
    inner = b"\x12\x04\x0a\x02\x08"
    data = data.replace(b"\x12\x05\x0a\x02\x08", inner)
    data = data.replace(b"\x0a\x09\x08\x01\x12\x04", b"\x0a\x08\x08\x01\x12\x04")
    for name in (b"x", b"y"):
        data = data.replace(b"\x0a\x01" + name + b"\x12\x0b\x0a\x08", b"\x0a\x01" + name + b"\x12\x0a\x0a\x08")
    data = data.replace(b"\x5a\x10\x0a\x01x", b"\x5a\x0f\x0a\x01x").replace(b"\x62\x10\x0a\x01y", b"\x62\x0f\x0a\x01y")
    at = data.index(b"\x3a") + 1
    return data[:at] + bytes([data[at] - 2]) + data[at + 1 :]


def session(data: bytes) -> Any:
    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])


def answer(session_: Any, media_type: str, body: bytes) -> Any:
    """The answer's JSON, or the error's text."""
    kind, _, rest = onnx._answer(session_, media_type.encode() + b"\n" + body).partition(b":")
    return json.loads(rest) if kind == b"answer" else rest.decode()


def test_raw_floats_are_fed_as_they_are() -> None:
    body = struct.pack("<3f", 1.0, -2.0, 0.25)
    found = answer(session(onnx_identity()), "application/octet-stream", body)
    assert found == {"y": {"shape": [3], "values": [2.0, -4.0, 0.5]}}


def test_input_that_is_no_multiple_of_the_window_is_padded_with_silence() -> None:
    found = answer(session(fixed_length(4)), "application/octet-stream", struct.pack("<3f", 1.0, 2.0, 3.0))
    assert found == {"y": {"shape": [4], "values": [2.0, 4.0, 6.0, 0.0]}}


def test_more_than_a_window_is_an_error_of_the_call_not_of_the_worker() -> None:
    found = answer(session(fixed_length(2)), "application/octet-stream", struct.pack("<3f", 1.0, 2.0, 3.0))
    assert isinstance(found, str)


def test_sound_is_mixed_down_to_one_channel() -> None:
    buffer = io.BytesIO()
    sound = np.array([[0.5, 0.25], [-0.5, 0.0]], dtype=np.float32)
    soundfile.write(buffer, sound, 8_000, format="WAV", subtype="FLOAT")
    found = answer(session(onnx_identity()), "audio/wav", buffer.getvalue())
    assert found == {"y": {"shape": [2], "values": [0.75, -0.5]}}


def test_an_answer_that_is_too_large_and_input_that_cannot_be_read_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    model = session(onnx_identity())
    assert isinstance(answer(model, "audio/wav", b"not a sound"), str)
    assert isinstance(answer(model, "application/octet-stream", b"123"), str)
    monkeypatch.setattr(onnx, "_MAX_VALUES", 2)
    assert "at most 2" in answer(model, "application/octet-stream", struct.pack("<3f", 1.0, 2.0, 3.0))


@pytest.mark.slow
def test_a_worker_that_hangs_is_ended_and_the_next_call_gets_another() -> None:
    runner = onnx.OnnxRunner(onnx_identity(), timeout_s=30.0)
    request = CallRequest(struct.pack("<f", 1.5), "application/octet-stream", {})
    stuck = runner._process
    os.kill(stuck.pid, signal.SIGSTOP)
    runner._timeout_s = 0.05
    with pytest.raises(ModelError) as late:
        runner.run(request)
    assert late.value.code == "model_timeout"
    assert not stuck.is_alive()
    runner._timeout_s = 30.0
    assert json.loads(runner.run(request).body)["y"]["values"] == [3.0]
    runner._process.kill()
    runner._process.join()
    with pytest.raises(ModelError) as crashed:  # nobody is at the other end of the pipe
        runner.run(request)
    assert crashed.value.code == "model_crashed"
    assert runner._process is None
    runner.close()
