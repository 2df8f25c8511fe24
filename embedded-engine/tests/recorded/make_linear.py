"""Linear algebra of complex matrices, factors, and diagonals: writes `linear.json.gz`.

    python make_linear.py      (tensorflow 2.21.0)
"""

from recorder import Recorder, np, tf

run = Recorder()
rng = np.random.default_rng(6)


def numbers(dtype, *shape):
    x = rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


for dtype, tolerance in ((np.float32, 5e-5), (np.float64, 1e-11), (np.complex64, 5e-5), (np.complex128, 1e-11)):
    for shape in ((4, 4), (2, 3, 3), (1, 1), (0, 2, 2), (2, 0, 0)):
        x = numbers(dtype, *shape) + 2 * np.eye(shape[-1], dtype=dtype)
        b = numbers(dtype, *shape[:-1], 2)
        spd = (x @ np.conj(np.swapaxes(x, -1, -2)) + np.eye(shape[-1])).astype(dtype)
        for kind in (tf.int32, tf.int64):
            run("Lu", x, tolerance=tolerance, output_idx_type=kind)
        run("MatrixDeterminant", x, tolerance=50 * tolerance)
        run("LogMatrixDeterminant", x, tolerance=tolerance)
        run("Cholesky", spd, tolerance=tolerance)
        run("Qr", x, tolerance=tolerance, keep=[1] if dtype in (np.complex64, np.complex128) else [])
        run("SelfAdjointEigV2", spd, tolerance=20 * tolerance, keep=[0])
        for adjoint in (False, True):
            run("MatrixInverse", x, tolerance=10 * tolerance, adjoint=adjoint)
            run("MatrixSolve", x, b, tolerance=10 * tolerance, adjoint=adjoint)
            run("MatrixTriangularSolve", np.tril(x), b, tolerance=20 * tolerance, adjoint=adjoint)
            run("BatchMatMulV2", x, b if adjoint else x, tolerance=20 * tolerance, adj_x=adjoint)
            run("BatchMatMulV2", x, x, tolerance=20 * tolerance, adj_x=adjoint, adj_y=True)
        run("ConjugateTranspose", x, list(range(len(shape)))[::-1])
        run("ConjugateTranspose", x, list(range(len(shape))))
    for shape in ((4, 3), (3, 4), (2, 2, 5), (1, 3)):
        x = numbers(dtype, *shape)
        for full in (False, True):
            run("Svd", x, tolerance=tolerance, keep=[0], full_matrices=full)
            run("Qr", x, tolerance=tolerance, keep=[1] if np.dtype(dtype).kind == "c" else [], full_matrices=full)
        run("Svd", x, tolerance=tolerance, compute_uv=False, keep=[0])
    run("Svd", np.ones((3, 3), dtype), tolerance=tolerance, keep=[0])
    run("SelfAdjointEigV2", np.eye(3, dtype=dtype) * 2, tolerance=tolerance, keep=[0])
    run("Lu", np.zeros((2, 2), dtype))
    run("Lu", numbers(dtype, 2, 3))
    run("MatrixInverse", np.zeros((2, 2), dtype))
    run("LogMatrixDeterminant", np.zeros((2, 2), dtype))
x = numbers(np.float32, 2, 3, 3)
for k in ([0], [-1, 1], [1, 2]):
    high, low = max(k), min(k)
    width = 3 - (0 if low <= 0 <= high else min(abs(low), abs(high)))
    count = high - low + 1
    part = run("MatrixDiagPartV2", x, tf.constant(k), tf.constant(9.0))
    diagonals = numbers(np.float32, *([2, width] if count == 1 else [2, count, width]))
    run("MatrixSetDiagV2", x, diagonals, tf.constant(k))
    run("MatrixDiagV2", diagonals, tf.constant(k), -1, -1, tf.constant(0.5))
run.write("linear")
