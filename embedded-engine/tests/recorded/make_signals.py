"""Fourier transforms and audio: writes `signals.json.gz`.

    python make_signals.py      (tensorflow 2.21.0)
"""

from recorder import Recorder, np, tf

run = Recorder()
rng = np.random.default_rng(3)


def numbers(*shape, dtype=np.float32):
    return rng.normal(size=shape).astype(dtype)


def complexes(*shape, dtype=np.complex64):
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)


for dtype, part, tolerance in ((np.complex64, np.float32, 2e-5), (np.complex128, np.float64, 1e-12)):
    for op, axes in (("FFT", 1), ("FFT2D", 2), ("FFT3D", 3)):
        for shape in ((2, 3, 4, 5), (1, 1, 1, 7), (0, 3, 3, 4), (3, 2, 8, 1)):
            run(op, complexes(*shape, dtype=dtype), tolerance=tolerance)
            run("I" + op, complexes(*shape, dtype=dtype), tolerance=tolerance)
        run(op, complexes(*[4] * axes, dtype=dtype)[0], tolerance=tolerance)
    for axes, name in ((1, "RFFT"), (2, "RFFT2D"), (3, "RFFT3D")):
        for shape in ((2, 3, 4, 6), (1, 2, 2, 7), (2, 3, 5, 1)):
            # TensorFlow ends the process where an axis is longer or shorter than asked for.
            length = np.int32(shape[-axes:])
            run(name, numbers(*shape, dtype=part), length, tolerance=tolerance, Tcomplex=tf.as_dtype(dtype))
            half = list(shape[:-1]) + [shape[-1] // 2 + 1]
            run("I" + name, complexes(*half, dtype=dtype), length, tolerance=tolerance, Treal=tf.as_dtype(part))
    for size in (97, 128, 360, 1009):
        run("FFT", complexes(size, dtype=dtype), tolerance=50 * tolerance)
run("RFFT", numbers(4), np.int32([4, 4]))
run("RFFT", numbers(4), np.int32([-4]))
run("RFFT", np.float32(1), np.int32([1]))

audio = (0.6 * np.sin(np.arange(700)[:, None] * [0.05, 0.31]) + 0.1 * rng.normal(size=(700, 2))).astype(np.float32)
for window, stride in ((64, 32), (100, 37), (2, 1), (700, 1), (701, 1)):
    for squared in (False, True):
        run("AudioSpectrogram", audio[:150] if window < 100 else audio, tolerance=2e-3, window_size=window, stride=stride * 8 if window < 100 else stride * 4, magnitude_squared=squared)
run("AudioSpectrogram", audio[:, 0], window_size=64, stride=32)
run("AudioSpectrogram", audio, window_size=1, stride=32)
run("AudioSpectrogram", audio, window_size=64, stride=0)
spectrogram = tf.raw_ops.AudioSpectrogram(input=audio, window_size=256, stride=200, magnitude_squared=True)
run("Mfcc", spectrogram, np.int32(16000), tolerance=2e-4)
run("Mfcc", spectrogram, np.int32(8000), tolerance=2e-4, upper_frequency_limit=3800.0, lower_frequency_limit=100.0, filterbank_channel_count=26, dct_coefficient_count=26)
run("Mfcc", tf.zeros([1, 2, 129]), np.int32(16000), tolerance=2e-4)
run("Mfcc", spectrogram[0], np.int32(16000))
run("Mfcc", spectrogram, np.int32(0))

wav = tf.raw_ops.EncodeWav(audio=audio[:21], sample_rate=16000).numpy()
for channels in (-1, 0, 1, 2, 3):
    for samples in (-1, 0, 5, 30):
        run("DecodeWav", tf.constant(wav), desired_channels=channels, desired_samples=samples)
extended = wav[:16] + (18).to_bytes(4, "little") + wav[20:36] + b"\0\0" + b"LIST" + (4).to_bytes(4, "little") + b"abcd" + wav[36:]
run("DecodeWav", tf.constant(extended))
for broken in (b"", wav[:30], wav[:44], wav[:-7], wav + b"x", b"RIFX" + wav[4:], wav[:20] + b"\x03" + wav[21:], wav[:34] + b"\x08" + wav[35:], wav[:22] + b"\0" + wav[23:], wav + wav[36:]):
    run("DecodeWav", tf.constant(broken))
loud = np.float32([[-2, -1], [0.5, 0.99999], [1, 3], [np.float32(1 / 65536), np.float32(3 / 65536)]])
run("EncodeWav", loud, np.int32(44100))
run("EncodeWav", audio[:5, :1], np.int32(8000))
run("EncodeWav", audio[:5, 0], np.int32(8000))
run("EncodeWav", audio[:0], np.int32(8000))
run("EncodeWav", audio[:5], np.int32(0))
run.write("signals")
