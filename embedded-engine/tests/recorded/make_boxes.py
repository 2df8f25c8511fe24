"""Resizing, parts of images, boxes: writes `boxes.json.gz`.

    python make_boxes.py      (tensorflow 2.21.0)
"""

from recorder import Recorder, np, tf

run = Recorder()
rng = np.random.default_rng(7)


def images(*shape, dtype=np.float32):
    values = rng.uniform(-4, 250, shape)
    return values.astype(dtype) if dtype != np.uint8 else np.abs(values).astype(np.uint8)


SIZES = (((1, 5, 7, 2), (3, 4)), ((2, 4, 3, 1), (9, 8)), ((1, 1, 1, 3), (4, 1)), ((1, 6, 5, 2), (1, 1)), ((1, 6, 5, 2), (6, 5)))
MODES = (dict(), dict(align_corners=True), dict(half_pixel_centers=True))
for shape, size in SIZES:
    x = images(*shape)
    for mode in MODES:
        for op in ("ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic"):
            run(op, x, np.int32(size), tolerance=2e-3, **mode)
        run("ResizeBicubicGrad", images(shape[0], *size, shape[3]), x, tolerance=2e-3, **mode)
        run("ResizeBilinearGrad", images(shape[0], *size, shape[3]), x, tolerance=2e-3, **mode)
        run("ResizeNearestNeighborGrad", images(shape[0], *size, shape[3]), np.int32(shape[1:3]), tolerance=2e-3, **mode)
        if "half_pixel_centers" not in mode:
            run("ResizeArea", x, np.int32(size), tolerance=2e-3, **mode)
    for kernel in () if shape[0] * shape[3] != 2 else ("lanczos1", "lanczos3", "lanczos5", "gaussian", "box", "triangle", "keyscubic", "mitchellcubic"):
        for antialias in (True, False):
            scale = np.float32([size[0] / shape[1], size[1] / shape[2]])
            by = np.float32([0.25, -0.5])
            run("ScaleAndTranslate", x, np.int32(size), scale, by, tolerance=2e-3, kernel_type=kernel, antialias=antialias)
            run("ScaleAndTranslateGrad", images(shape[0], *size, shape[3]), x, scale, by, tolerance=2e-3, kernel_type=kernel, antialias=antialias)
for dtype in (np.uint8, np.int32, np.float64, np.float16):
    x = images(1, 4, 5, 2, dtype=dtype)
    for op in ("ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic", "ResizeArea"):
        run(op, x, [3, 7], tolerance=0.05)
    run("CropAndResize", x, [[0.1, 0.2, 0.9, 0.7]], [0], [3, 2], tolerance=0.02)
x = images(1, 4, 5, 2)
run("ResizeArea", x, [0, 3])
run("ResizeBicubic", x, [-1, 3])
run("ResizeBicubic", images(1, 0, 5, 2), [3, 3])
run("ResizeBicubic", images(0, 4, 5, 2), [3, 3])
run("ScaleAndTranslate", x, [3, 3], [0.0, 1.0], [0.0, 0.0])
run("ScaleAndTranslate", x, [3, 3], [1.0, 1.0], [0.0, 0.0], kernel_type="unheard")
run("ScaleAndTranslate", x, [5, 9], [1.0, 1.5], [7.0, 2.0], tolerance=2e-3)

x = images(2, 6, 5, 3)
boxes = np.float32([[0, 0, 1, 1], [0.2, 0.3, 0.7, 0.9], [-0.2, 0.1, 1.3, 0.4], [0.9, 0.8, 0.1, 0.2], [0.5, 0.5, 0.5, 0.5]])
which = np.int32([0, 1, 1, 0, 1])
for size in ((3, 4), (1, 1), (1, 5), (7, 1)):
    for method in ("bilinear", "nearest"):
        run("CropAndResize", x, boxes, which, np.int32(size), tolerance=2e-3, method=method, extrapolation_value=-7.5)
        run("CropAndResizeGradImage", images(5, *size, 3), boxes, which, [2, 6, 5, 3], tolerance=5e-3, T=tf.float32, method=method)
    run("CropAndResizeGradBoxes", images(5, *size, 3) / 250, x, boxes, which, tolerance=0.02)
run("CropAndResize", x, boxes, np.int32([0, 1, 2, 0, 1]), [2, 2])
run("CropAndResize", x, boxes, np.int32([0, 1, -1, 0, 1]), [2, 2])
run("CropAndResize", x, boxes, which, [0, 2])
run("CropAndResize", x, boxes[:0], which[:0], [2, 2])
run("CropAndResize", x, boxes, which[:2], [2, 2])

corners = rng.uniform(0, 1, (14, 4)).astype(np.float32)
corners[:, 2:] = corners[:, :2] + rng.uniform(0.05, 0.5, (14, 2))
corners[3] = corners[3][[2, 3, 0, 1]]
corners[5, 2:] = corners[5, :2]
scores = rng.uniform(0, 1, 14).astype(np.float32)
scores[7] = scores[9]
scores[11] = -1
for most in (0, 3, 100):
    for overlap in (0.0, 0.3):
        run("NonMaxSuppression", corners, scores, np.int32(most), iou_threshold=overlap)
        run("NonMaxSuppressionV2", corners, scores, np.int32(most), np.float32(overlap))
        for least in (-np.inf, 0.4):
            run("NonMaxSuppressionV3", corners, scores, np.int32(most), np.float32(overlap), np.float32(least))
            for pad in (False, True):
                run("NonMaxSuppressionV4", corners, scores, np.int32(most), np.float32(overlap), np.float32(least), pad_to_max_output_size=pad)
                for sigma in (0.0, 0.5):
                    run("NonMaxSuppressionV5", corners, scores, np.int32(most), np.float32(overlap), np.float32(least), np.float32(sigma), tolerance=1e-6, pad_to_max_output_size=pad)
half = np.float16
run("NonMaxSuppressionV3", corners.astype(half), scores.astype(half), np.int32(4), np.float32(0.3), np.float32(0.1))
run("NonMaxSuppressionV4", corners, scores, np.int32(4), half(0.3), half(0.1))
run("NonMaxSuppressionV3", corners, scores, np.int32(-1), np.float32(0.5), np.float32(0))
run("NonMaxSuppressionV3", corners, scores, np.int32(3), np.float32(1.5), np.float32(0))
run("NonMaxSuppressionV3", corners, scores[:5], np.int32(3), np.float32(0.5), np.float32(0))
run("NonMaxSuppressionV3", corners[:0], scores[:0], np.int32(3), np.float32(0.5), np.float32(0))
run("NonMaxSuppressionV3", corners[:, :3], scores, np.int32(3), np.float32(0.5), np.float32(0))
overlaps = rng.uniform(0, 1, (12, 12)).astype(np.float32)
run("NonMaxSuppressionWithOverlaps", overlaps, scores[:12], np.int32(5), np.float32(0.6), np.float32(0.1))
run("NonMaxSuppressionWithOverlaps", overlaps, scores[:11], np.int32(5), np.float32(0.6), np.float32(0.1))
many = np.stack([corners, corners[::-1]])
classes = rng.uniform(0, 1, (2, 14, 3)).astype(np.float32)
for kinds in (1, 3):
    each = np.repeat(many[:, :, None], kinds, 2) * np.float32(1.2)
    for pad in (False, True):
        for clip in (False, True):
            run("CombinedNonMaxSuppression", each, classes, np.int32(4), np.int32(9), np.float32(0.4), np.float32(0.2), pad_per_class=pad, clip_boxes=clip)
    run("CombinedNonMaxSuppression", each, classes, np.int32(2), np.int32(50), np.float32(0.4), np.float32(0.99), pad_per_class=True)
run("CombinedNonMaxSuppression", each, classes, np.int32(2), np.int32(0), np.float32(0.4), np.float32(0.99))
run("CombinedNonMaxSuppression", each[:, :, :2], classes, np.int32(2), np.int32(5), np.float32(0.4), np.float32(0.99))

for depth in (1, 3, 4):
    x = images(2, 8, 9, depth)
    drawn = np.float32([[[0.1, 0.2, 0.8, 0.6], [-0.5, 0.5, 0.5, 1.5], [2, 2, 3, 3]], [[0, 0, 1, 1], [0.6, 0.6, 0.4, 0.4], [0.5, 0, 0.5, 1]]])
    run("DrawBoundingBoxes", x, drawn)
    run("DrawBoundingBoxesV2", x, drawn, rng.uniform(0, 1, (2, 4)).astype(np.float32))
    run("DrawBoundingBoxesV2", x, drawn, np.zeros((0, 0), np.float32))
run("DrawBoundingBoxes", images(1, 4, 4, 2), drawn[:1])

for dtype in (np.float32, np.uint8):
    x = images(2, 5, 6, 2, dtype=dtype)
    for transforms in ([[1, 0, 0, 0, 1, 0, 0, 0]], [[0.8, -0.3, 1.5, 0.4, 1.1, -2, 0.01, 0.02]], [[1, 0, -9, 0, 1, 13, 0, 0], [1, 0.5, 0, 0, -1, 4, 0, 0]]):
        for fill in ("CONSTANT", "NEAREST", "REFLECT", "WRAP"):
            for interpolation in ("NEAREST", "BILINEAR"):
                tolerance = 1.0 if dtype == np.uint8 else 2e-3
                run("ImageProjectiveTransformV2", x, np.float32(transforms), [5, 7], tolerance=tolerance, interpolation=interpolation, fill_mode=fill)
                run("ImageProjectiveTransformV3", x, np.float32(transforms), [4, 6], np.float32(3), tolerance=tolerance, interpolation=interpolation, fill_mode=fill)
run.write("boxes")
