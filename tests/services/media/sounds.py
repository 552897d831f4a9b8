"""Small sounds, made here."""

import io
import math
import struct
import wave


def tone(seconds: float = 1.0, *, rate: int = 22_050, hertz: float = 440.0, level: float = 0.5) -> bytes:
    """A sine tone as a 16-bit mono WAV file."""
    count = int(seconds * rate)
    values = [int(32_767 * level * math.sin(2 * math.pi * hertz * n / rate)) for n in range(count)]
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(struct.pack(f"<{count}h", *values))
    return buffer.getvalue()
