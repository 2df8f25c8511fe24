"""Rewrites numpy_display.json: arrays and what NumPy prints for them. Needs NumPy 2.4."""

import json
import os

import numpy as np

random = np.random.default_rng(7)
cases = []


def add(array):
    array = np.asarray(array)
    name = "string" if array.dtype.kind == "O" else str(array.dtype)
    if name == "string":
        data = [item.hex() for item in array.reshape(-1)]
    elif array.size > 9 and name in ("int64", "float32", "float64") and np.array_equal(
        array.reshape(-1), np.arange(array.size)
    ):
        data = None
    else:
        data = array.tobytes().hex()
    cases.append({"dtype": name, "shape": list(array.shape), "data": data, "text": str(array)})


def strings(items):
    array = np.empty(len(items), object)
    array[:] = items
    return array


def add_floats(dtype):
    half = dtype == np.float16
    large = [6e4, 12.34, 3.0] if half else [1e16, 123456.789, 3e8]
    for value in [0.0, -0.0, 1.0, 0.1, 1e-4, 9.9e-5, *large, np.nan, np.inf, -np.inf, 1e-7, 65504]:
        add(dtype(value))
    for turn in range(60):
        scale = 10.0 ** random.integers(-6, 5 if half else 12)
        array = (random.normal(size=random.integers(1, 12)) * scale).astype(dtype)
        if turn % 5 == 0:
            array = np.round(array)
        if turn % 3 == 0:
            array = np.round(array.astype(np.float64), 2).astype(dtype)
        if turn % 7 == 0:
            array[0] = np.nan
        if turn % 11 == 0:
            array[-1] = -np.inf
        add(array)
    add(np.linspace(-1, 1, 24).astype(dtype).reshape(2, 3, 4))
    add(np.ones((1, 1, 1, 2), dtype))
    add(random.normal(size=(3, 15)).astype(dtype))
    add(random.normal(size=(1002,)).astype(dtype))
    if not half:
        add(np.arange(2000).astype(dtype))
        add(np.arange(2400).reshape(20, 30, 4).astype(dtype))
    for values in [[], [np.nan, np.inf], [0, 0], [1e-4, 1], [1, 1000], [1, 1001], [999.5, 1], [1e4, 1e6, 0]]:
        add(np.array(values, np.float64).clip(-6e4, 6e4).astype(dtype))


for dtype in (np.float32, np.float64, np.float16):
    add_floats(dtype)
for values in [[1e100, 1e-5], [1e300, 1e-300, -1], [1e7, 99999999.5], [123456785e-9], [1.5e-310, 2]]:
    add(np.array(values))
add(np.array([1e38, 1e-45], np.float32))
for dtype in (np.complex64, np.complex128):
    for value in [1 + 2j, 2j, -0.0 + 1j, complex(np.nan, 1), 1e20 + 1e-9j, -1.5 - 2.5j, 0j]:
        add(dtype(value))
    add(np.array([1 + 2j, -3.25 - 4.5j], dtype))
    add(np.array([[1 + 2e10j, complex(np.nan, -np.inf)], [0, 1j]], dtype))
    add((random.normal(size=(4, 4)) + 1j * random.normal(size=(4, 4))).astype(dtype))
for dtype in "int8 int16 int32 int64 uint8 uint16 uint32 uint64".split():
    limits = np.iinfo(dtype)
    add(random.integers(limits.min, limits.max, size=(5, 7), dtype=dtype))
    add(np.array(limits.min, dtype))
    add(np.arange(100).astype(dtype))
add(random.integers(0, 100, size=(1300,)).astype("uint8"))
for shape in [(3, 4000), (8, 9, 10, 2), (1, 1001), (7, 1, 1001), (1000,), (1001,)]:
    add(np.arange(np.prod(shape)).reshape(shape))
add(np.array(True))
add(np.array([True, True]))
add(np.array([[True, False], [False, False]]))
odd = strings([b"a", b"it's", b'\x00\xff\n\t\r\\"', b"''\"\""])
add(odd)
add(odd.reshape(2, 2))
add(strings([b"x" * (i % 9) for i in range(50)]))
add(strings([b"y" * 100] * 2))
add(odd[:1].reshape(()))
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "numpy_display.json"), "w") as file:
    json.dump(cases, file, separators=(",", ":"))
    file.write("\n")
