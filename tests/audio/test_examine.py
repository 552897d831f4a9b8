"""What is found out about a sound is true, and measured as the standards say."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from audiera.audio import Limits, SoundError, decode_float, sniff
from audiera.audio.compose import render_piece, render_sample, write_audio
from audiera.audio.examine import examine
from audiera.audio.measure import Meter

RATE = 44_100


def wav(samples: np.ndarray, rate: int = RATE, subtype: str = "FLOAT") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples.T, rate, format="WAV", subtype=subtype)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def piece() -> np.ndarray:
    return render_piece(5, 12.0, RATE)


@pytest.mark.parametrize(
    ("container", "expected", "codec"),
    [
        ("wav", "wav", "pcm_s16le"),
        ("aiff", "aiff", "pcm_s16be"),
        ("flac", "flac", "flac"),
        ("mp3", "mp3", "mp3float"),
        ("ogg", "ogg", "vorbis"),
        ("opus", "ogg", "opus"),
        ("m4a", "m4a", "aac"),
    ],
)
def test_every_type_is_taken_in(piece: np.ndarray, container: str, expected: str, codec: str) -> None:
    data = write_audio(piece, RATE, container)
    assert sniff(data[:4_096]) == expected
    analysis = examine(io.BytesIO(data), Limits())
    assert (analysis.container, analysis.codec, analysis.channels) == (expected, codec, 2)
    assert abs(analysis.duration_ms - 12_000) < 60
    assert analysis.warnings == ()
    assert len(analysis.waveform) == 2_048
    assert len(analysis.preview) > 2_000
    decoded, rate = decode_float(analysis.preview)
    assert rate == 48_000
    assert 11.0 < decoded.shape[1] / rate < 13.0


def test_a_full_scale_sine_has_the_loudness_of_the_standard() -> None:
    times = np.arange(20 * 48_000) / 48_000
    tone = np.sin(2 * np.pi * 997 * times).astype(np.float32)
    meter = Meter(48_000, 1)
    for at in range(0, len(tone), 7_001):
        meter.add(tone[None, at : at + 7_001])
    levels = meter.levels()
    assert levels.loudness_mlufs is not None
    assert abs(levels.loudness_mlufs + 3_010) <= 20
    assert abs(levels.peak_mdb) <= 5
    assert levels.samples == len(tone)


def test_true_peak_finds_what_lies_between_the_samples() -> None:
    times = np.arange(48_000) / 48_000
    tone = 0.5 * np.sin(2 * np.pi * 12_000 * times + np.pi / 4)
    meter = Meter(48_000, 1)
    meter.add(tone[None].astype(np.float32))
    levels = meter.levels()
    assert levels.true_peak_mdb is not None
    assert abs(levels.peak_mdb - -9_030) < 30
    assert abs(levels.true_peak_mdb - -6_020) < 250


def test_loudness_does_not_depend_on_the_blocks_it_comes_in(piece: np.ndarray) -> None:
    results = []
    for size in (100_000, 4_096, 333):
        meter = Meter(RATE, 2)
        for at in range(0, piece.shape[1], size):
            meter.add(piece[:, at : at + size])
        levels = meter.levels()
        results.append((levels.loudness_mlufs, levels.range_mlu, levels.peak_mdb, levels.waveform))
    assert results[0] == results[1] == results[2]


def test_a_click_track_shows_its_tempo() -> None:
    rate = 22_050
    sound = np.zeros(rate * 20, dtype=np.float32)
    kick = render_sample(3, "kick", rate)[0]
    for beat in range(39):
        at = int(beat * rate * 60 / 120)
        sound[at : at + len(kick)] += kick[: len(sound) - at]
    analysis = examine(io.BytesIO(wav(sound[None] * 0.5, rate)), Limits())
    tempo = next(int(guess.value) for guess in analysis.guesses if guess.name == "tempo_mbpm")
    assert abs(tempo - 120_000) < 3_000


def test_silence_is_said_to_be_silent() -> None:
    analysis = examine(io.BytesIO(wav(np.zeros((1, RATE), dtype=np.float32))), Limits())
    assert analysis.silent
    assert analysis.warnings == ("silent",)
    assert (analysis.loudness_mlufs, analysis.preview, analysis.guesses) == (None, b"", ())


BAD = [
    (b"", "empty"),
    (b"just some text, no music at all", "unsupported_type"),
    (b"\x89PNG\r\n\x1a\n" + bytes(400), "unsupported_type"),
    (b"ffconcat version 1.0\nfile 'secret.wav'\n", "unsupported_type"),
    (b"\xff\xfb\x90\x00ffconcat version 1.0\nfile 'secret.wav'\n", "corrupt"),
    (b"OggS" + b"\x89PNG" * 100, "corrupt"),
    (b"fLaC" + bytes(200), "corrupt"),
    (b"RIFF\x00\x00\x00\x00WAVE", "corrupt"),
]


@pytest.mark.parametrize(("data", "code"), BAD)
def test_what_is_no_music_is_refused_with_a_reason(data: bytes, code: str) -> None:
    with pytest.raises(SoundError) as error:
        examine(io.BytesIO(data), Limits())
    assert error.value.code == code


def test_a_lying_header_is_not_believed() -> None:
    honest = bytearray(wav(render_sample(1, "tone"), subtype="PCM_16"))
    place = honest.index(b"data") + 4
    honest[place : place + 4] = (4_000_000_000).to_bytes(4, "little")
    analysis = examine(io.BytesIO(bytes(honest)), Limits())
    assert analysis.duration_ms == 500


def test_a_cut_file_says_so(piece: np.ndarray) -> None:
    data = write_audio(piece, RATE, "flac")
    analysis = examine(io.BytesIO(data[: len(data) // 3]), Limits())
    assert analysis.truncated
    assert "truncated" in analysis.warnings
    assert 2_000 < analysis.duration_ms < 6_000


def test_samples_that_are_no_numbers_are_refused_or_silenced() -> None:
    sound = render_sample(1, "tone")
    few, many = sound.copy(), sound.copy()
    few[0, 5] = np.nan
    many[0, ::10] = np.inf
    assert examine(io.BytesIO(wav(few)), Limits()).peak_mdb < 0
    with pytest.raises(SoundError) as error:
        examine(io.BytesIO(wav(many)), Limits())
    assert error.value.code == "non_finite"


@pytest.mark.parametrize(
    ("sound", "limits", "code"),
    [
        (np.zeros((1, 400), dtype=np.float32), Limits(), "too_short"),
        (np.zeros((1, RATE * 3), dtype=np.float32), Limits(max_seconds=2), "too_long"),
        (np.zeros((9, RATE), dtype=np.float32), Limits(), "too_many_channels"),
    ],
)
def test_limits_are_kept(sound: np.ndarray, limits: Limits, code: str) -> None:
    with pytest.raises(SoundError) as error:
        examine(io.BytesIO(wav(sound)), limits)
    assert error.value.code == code


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_damaged_files_are_described_or_refused_but_never_fail_otherwise(data: st.DataObject) -> None:
    container = data.draw(st.sampled_from(["wav", "flac", "mp3", "ogg"]))
    whole = bytearray(write_audio(render_sample(2, "snare"), RATE, container))
    for _ in range(data.draw(st.integers(1, 20))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = whole[: data.draw(st.integers(1, len(whole)))]
    try:
        analysis = examine(io.BytesIO(bytes(cut)), Limits())
    except SoundError as error:
        assert error.message  # noqa: PT017 - a refusal is as good as a description, if it says why
    else:
        assert analysis.samples > 0


def test_composed_pieces_come_from_their_seed() -> None:
    assert np.array_equal(render_piece(1, 3.0), render_piece(1, 3.0))
    assert not np.array_equal(render_piece(1, 3.0), render_piece(2, 3.0))


@pytest.mark.parametrize("container", ["opus", "mp3", "m4a"])
def test_the_same_sound_is_encoded_to_the_same_bytes(piece: np.ndarray, container: str) -> None:
    assert write_audio(piece, RATE, container) == write_audio(piece, RATE, container)
