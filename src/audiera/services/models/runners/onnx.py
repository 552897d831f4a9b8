"""Runs an ONNX model in a worker process of its own, with limits on memory, time and answer.

A request's body is a WAV, FLAC or Ogg sound, fed as mono float32 at the model's rate in windows of its input length,
or raw little-endian float32 for models of any other input. The answer is JSON: each output's shape and values.
"""

import multiprocessing
import multiprocessing.connection
import resource
import threading

import msgspec
import numpy as np
import onnxruntime

from audiera.services.models.ports import CallAnswer, CallRequest, ModelError

_MEMORY_BYTES = 4 * 2**30
_MAX_VALUES = 4_000_000


class OnnxRunner:
    """One ONNX model in one worker process.

    Args:
        data: the model file.
        timeout_s: longest time for a call; a worker that takes longer is ended and made anew.

    Raises:
        ModelError: the file is no model the runtime accepts.
    """

    def __init__(self, data: bytes, *, timeout_s: float = 60.0) -> None:
        self._data = data
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._is_closed = False
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: multiprocessing.connection.Connection | None = None
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(self._data, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._expect(b"ready", 60.0)

    def _expect(self, kind: bytes, timeout_s: float) -> bytes:
        pipe = self._pipe
        if pipe is None:
            raise ModelError("the model's worker is closed", code="model_unusable")
        try:
            if not pipe.poll(timeout_s):
                self._end()
                raise ModelError(f"the model did not answer within {timeout_s:g} s", code="model_timeout")
            answer = pipe.recv_bytes(64 * 2**20)
        except (EOFError, OSError) as cause:
            self._end()
            raise ModelError("the model's worker crashed", code="model_crashed") from cause
        if not answer.startswith(kind):
            raise ModelError(answer.partition(b":")[2].decode("utf-8", "replace")[:300], code="model_failed")
        return answer[len(kind) :]

    def run(self, request: CallRequest) -> CallAnswer:
        """Answer one call; calls of one model are answered one after the other.

        Raises:
            ModelError: the input does not fit, or the worker failed, crashed or took too long.
        """
        with self._lock:
            if self._is_closed:
                raise ModelError("the model is served by another runner now; call again", code="model_unusable")
            if self._process is None:
                self._start()
            pipe = self._pipe
            if pipe is None:
                raise ModelError("the model's worker is closed", code="model_unusable")
            try:
                pipe.send_bytes(request.media_type.encode("ascii", "replace") + b"\n" + request.body)
            except OSError as cause:
                self._end()
                raise ModelError("the model's worker crashed", code="model_crashed") from cause
            return CallAnswer(self._expect(b"answer:", self._timeout_s), "application/json")

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None

    def close(self) -> None:
        """End the worker."""
        with self._lock:
            self._is_closed = True
            self._end()


def _serve(data: bytes, pipe: multiprocessing.connection.Connection) -> None:
    """The worker: one model, one call after the other, until the pipe closes."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as cause:  # noqa: BLE001 - the runtime raises its own kinds; whatever it is, the parent is told
        pipe.send_bytes(b"error:" + str(cause).encode())
        return
    pipe.send_bytes(b"ready")
    while True:
        try:
            request = pipe.recv_bytes()
        except EOFError:
            return
        pipe.send_bytes(_answer(session, request))


def _answer(session: onnxruntime.InferenceSession, request: bytes) -> bytes:
    media_type, _, body = request.partition(b"\n")
    try:
        values = _samples(body) if media_type.startswith(b"audio/") else np.frombuffer(body, dtype="<f4")
        return b"answer:" + msgspec.json.encode(_infer(session, values))
    except Exception as cause:  # noqa: BLE001 - a worker's loop: any failure is this call's answer, not the worker's end
        return b"error:" + str(cause).encode()


def _samples(body: bytes) -> np.ndarray:
    import io

    import soundfile

    sound, _ = soundfile.read(io.BytesIO(body), dtype="float32", always_2d=True)
    return np.asarray(sound.mean(axis=1))


def _infer(session: onnxruntime.InferenceSession, values: np.ndarray) -> dict[str, object]:
    entry = session.get_inputs()[0]
    fixed = [size for size in entry.shape if isinstance(size, int)]
    length = int(np.prod(fixed)) if fixed else len(values)
    count = max(1, -(-len(values) // length))
    padded = np.zeros(count * length, dtype=np.float32)
    padded[: len(values)] = values
    shape = [size if isinstance(size, int) else -1 for size in entry.shape]
    outputs = session.run(None, {entry.name: padded.reshape(shape)})
    total = sum(output.size for output in outputs)
    if total > _MAX_VALUES:
        raise ValueError(f"the answer has {total} values, at most {_MAX_VALUES} are sent")
    names = [output.name for output in session.get_outputs()]
    return {
        name: {"shape": list(output.shape), "values": output.ravel().tolist()}
        for name, output in zip(names, outputs, strict=True)
    }
