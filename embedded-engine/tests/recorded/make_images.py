"""Decoding and encoding of images: writes `images.json.gz`.

    python make_images.py      (tensorflow 2.21.0, pillow)
"""

import io

from PIL import Image
from recorder import Recorder, np, tf

run = Recorder()


def picture(height, width, channels=3, depth=8):
    """A smooth picture with an edge: what photographs and drawings have."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [128 + 100 * np.sin(x / 5 + c) * np.cos(y / 7 - c) + 27 * (x + c > y) for c in range(channels)]
    values = np.clip(np.stack(planes, -1), 0, 255) / 255 * (2**depth - 1)
    return values.astype(np.uint16 if depth == 16 else np.uint8)


def image(array, mode=None):
    array = array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array
    made = Image.fromarray(array)
    return made.convert(mode) if mode else made


def saved(made, kind, **options):
    file = io.BytesIO()
    made.save(file, kind, **options)
    return file.getvalue()


def decode(op, data, tolerance=0.0, **attrs):
    run(op, tf.constant(data), tolerance=tolerance, **attrs)


# PNG: every color type, depths, transparency, interlacing, odd sizes.
rgb, rgba, gray = picture(7, 9), picture(7, 9, 4), picture(7, 9, 1)
rgb16 = tf.io.encode_png(picture(5, 6, 3, 16)).numpy()
rgba16 = tf.io.encode_png(picture(5, 6, 4, 16)).numpy()
gray16 = tf.io.encode_png(picture(5, 6, 1, 16)).numpy()
grayalpha = tf.io.encode_png(picture(5, 6, 2)).numpy()
palette = image(rgb).quantize(7)
pngs = {
    "rgb": saved(image(rgb), "PNG"), "rgba": saved(image(rgba), "PNG"), "gray": saved(image(gray), "PNG"),
    "rgb16": rgb16, "rgba16": rgba16, "gray16": gray16, "grayalpha": grayalpha,
    "palette": saved(palette, "PNG"), "palette with alpha": saved(palette, "PNG", transparency=2),
    "bits": saved(image(gray).convert("1"), "PNG"), "one": saved(image(picture(1, 1)), "PNG"),
    "rgb with alpha": saved(image(rgb), "PNG", transparency=tuple(int(v) for v in rgb[0, 0])),
}
for name, data in pngs.items():
    for channels in (0, 1, 2, 3, 4):
        decode("DecodePng", data, channels=channels)
    decode("DecodePng", data, dtype=tf.uint16)
    decode("DecodePng", data, dtype=tf.uint16, channels=1)
    decode("DecodeImage", data)
    decode("DecodeImage", data, dtype=tf.uint16, channels=3)
    decode("DecodeImage", data, dtype=tf.float32, channels=3)
decode("DecodePng", pngs["rgb"][:60])
decode("DecodePng", pngs["rgb"][:-20])
decode("DecodePng", b"")
decode("DecodePng", b"no image at all")
decode("DecodePng", pngs["rgb"], channels=5)
decode("DecodeBmp", pngs["rgb"])

# JPEG: the three samplings, gray, progressive, CMYK, restart intervals, sizes that no block divides.
jpegs = {
    "4:4:4": saved(image(picture(17, 23)), "JPEG", quality=90, subsampling=0),
    "4:2:2": saved(image(picture(17, 23)), "JPEG", quality=90, subsampling=1),
    "4:2:0": saved(image(picture(33, 41)), "JPEG", quality=75, subsampling=2),
    "gray": saved(image(picture(17, 23, 1)), "JPEG", quality=80),
    "progressive": saved(image(picture(19, 20)), "JPEG", quality=85, progressive=True),
    "cmyk": saved(image(picture(9, 11), "CMYK"), "JPEG", quality=90),
    "restarts": saved(image(picture(16, 40)), "JPEG", quality=90, restart_marker_blocks=1),
    "one": saved(image(picture(1, 1)), "JPEG", quality=95),
}
for name, data in jpegs.items():
    tolerance = 6.0  # of the fast transform that is the default there
    for channels in (0, 1, 3):
        decode("DecodeJpeg", data, tolerance, channels=channels)
    decode("DecodeJpeg", data, tolerance, channels=4)
    decode("DecodeJpeg", data, 3.0, dct_method="INTEGER_ACCURATE")
    decode("DecodeJpeg", data, 24.0, fancy_upscaling=False)
    for ratio in (2, 4, 8):
        # Means of squares stand for smaller transforms; chroma of half the width only is scaled by another rule.
        decode("DecodeJpeg", data, 48.0 if name == "4:2:2" else 20.0, ratio=ratio)
    decode("DecodeImage", data, tolerance)
    decode("DecodeImage", data, tolerance / 255, dtype=tf.float32, channels=3)
    decode("DecodeImage", data, tolerance * 256, dtype=tf.uint16, channels=3)
    decode("DecodePng", data, tolerance, channels=3)
    decode("ExtractJpegShape", data)
    decode("ExtractJpegShape", data, output_type=tf.int64)
    run("DecodeAndCropJpeg", tf.constant(data), [0, 0, 1, 1], tolerance=tolerance)
    run("DecodeAndCropJpeg", tf.constant(data), [2, 3, 5, 6], tolerance=tolerance)
    run("DecodeAndCropJpeg", tf.constant(data), [2, 3, 50, 6], tolerance=tolerance)
decode("DecodeJpeg", jpegs["4:4:4"], ratio=3)
decode("DecodeJpeg", jpegs["4:4:4"][:400])
decode("DecodeJpeg", jpegs["4:4:4"][:100])
decode("DecodeJpeg", pngs["rgb"], channels=3)
run("DecodeAndCropJpeg", tf.constant(jpegs["gray"]), [-1, 0, 1, 1])
run("DecodeAndCropJpeg", tf.constant(jpegs["gray"]), [0, 0, 0, 1])
run("DecodeAndCropJpeg", tf.constant(jpegs["gray"]), [0, 0, 1])


# GIF: still, animated with parts, transparent pixels and disposals, local palettes.
def animation(disposal, transparent):
    frames = []
    for at in range(3):
        frame = image(np.roll(picture(8, 10), at * 3, 1)).quantize(8)
        if transparent:
            frame.info["transparency"] = 1
        frames.append(frame)
    return saved(frames[0], "GIF", save_all=True, append_images=frames[1:], disposal=disposal, optimize=False, duration=10)


gifs = {"still": saved(image(picture(6, 5)).quantize(8), "GIF"), "interlaced": saved(image(picture(13, 5)).quantize(8), "GIF", interlace=1)}
for disposal in (0, 1, 2, 3):
    for transparent in (False, True):
        gifs[f"disposal {disposal} {transparent}"] = animation(disposal, transparent)
for name, data in gifs.items():
    decode("DecodeGif", data)
    decode("DecodeImage", data)
    decode("DecodeImage", data, expand_animations=False)
    decode("DecodeImage", data, expand_animations=False, dtype=tf.float32)
    decode("DecodeImage", data, channels=1)
    decode("DecodeImage", data, channels=4)
    decode("DecodePng", data)
    decode("DecodeJpeg", data)
decode("DecodeGif", pngs["rgb"])
decode("DecodeGif", jpegs["4:4:4"], 3.0)
decode("DecodeGif", gifs["still"][:40])
decode("DecodeGif", gifs["disposal 1 False"][:-30])
decode("DecodeGif", b"GIF89a")

# BMP: 24 and 32 bits, gray palettes, rows that are padded, both directions.
bmps = {
    "24": saved(image(picture(5, 7)), "BMP"), "32": saved(image(picture(5, 7, 4)), "BMP"),
    "8": saved(image(picture(5, 7, 1)), "BMP"), "one": saved(image(picture(1, 1)), "BMP"),
}
upside = bytearray(bmps["24"])
upside[22:26] = (-5).to_bytes(4, "little", signed=True)
bmps["from the top"] = bytes(upside)
for name, data in bmps.items():
    for channels in (0, 1, 3, 4):
        decode("DecodeBmp", data, channels=channels)
    decode("DecodeImage", data)
    decode("DecodePng", data)
decode("DecodeBmp", bmps["24"][:60])
decode("DecodeBmp", bmps["24"][:20])
huge = bytearray(bmps["24"])
huge[18:26] = (2**30).to_bytes(4, "little") * 2
decode("DecodeBmp", bytes(huge))
decode("DecodeImage", b"")
decode("DecodeImage", b"BM")

# Encoders: what they write is decoded, since compressors differ.
for shape in ((4, 5, 3), (4, 5, 1), (1, 1, 4), (4, 5, 2)):
    for depth in (8, 16):
        run("EncodePng", picture(shape[0], shape[1], shape[2], depth), keep=[])
run("EncodePng", np.zeros((4, 5), np.uint8), keep=[])
run("EncodePng", np.zeros((4, 5, 5), np.uint8), keep=[])
run("EncodePng", np.stack([picture(3, 4)] * 2), keep=[])
for channels in (1, 3):
    run("EncodeJpeg", picture(17, 23, channels), keep=[])
run("EncodeJpeg", picture(17, 23), keep=[], quality=50, progressive=True, chroma_downsampling=False, optimize_size=True, density_unit="cm", xmp_metadata="<x/>")
run("EncodeJpeg", picture(17, 23), keep=[], format="grayscale")
run("EncodeJpeg", picture(17, 23, 1), keep=[], format="rgb")
run("EncodeJpeg", picture(17, 23), keep=[], quality=101)
run("EncodeJpeg", picture(17, 23, 4), keep=[])
run("EncodeJpegVariableQuality", picture(17, 23), 60, keep=[])
run("EncodeJpegVariableQuality", picture(17, 23), -1, keep=[])
run.write("images")
