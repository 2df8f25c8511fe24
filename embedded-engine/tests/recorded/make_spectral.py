"""Eigenvalues, singular values: writes `spectral.json.gz`.

    python make_spectral.py      (tensorflow 2.21.0)
"""

from recorder import Recorder, np, tf

run = Recorder()
rng = np.random.default_rng(5)
for dtype, tolerance in ((np.float32, 2e-5), (np.float64, 1e-12)):
    for shape in ((4, 4), (2, 5, 3), (3, 2, 6), (1, 1), (0, 3), (2, 0, 0), (3, 1)):
        x = rng.normal(size=shape).astype(dtype)
        for full in (False, True):
            run("Svd", x, tolerance=tolerance, keep=[0], full_matrices=full)
        run("Svd", x, tolerance=tolerance, compute_uv=False, keep=[0])
        if shape[-1] == shape[-2]:
            run("SelfAdjointEigV2", x, tolerance=tolerance, keep=[0])
            run("SelfAdjointEigV2", x, tolerance=tolerance, compute_v=False, keep=[0])
    run("Svd", np.ones((4, 3), dtype), tolerance=tolerance, keep=[0])
    run("Svd", np.zeros((4, 3), dtype), tolerance=tolerance, keep=[0])
    run("SelfAdjointEigV2", np.diag([3, 1, 2]).astype(dtype), tolerance=tolerance, keep=[0])
    run("SelfAdjointEigV2", np.ones((4, 4), dtype), tolerance=tolerance, keep=[0])
    run("SelfAdjointEigV2", rng.normal(size=(2, 3)).astype(dtype))
    run("Svd", rng.normal(size=3).astype(dtype))
run.write("spectral")
