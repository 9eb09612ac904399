# SPDX-License-Identifier: MIT
"""Five bodies under gravity, symplectic Euler: attribute-free float arithmetic in nested loops."""
import itertools
import math
import os

# Addresses differ from run to run, as they do natively: see docs/benchmarks.md.
PADDING = [float(i) for i in range(os.urandom(1)[0])]

YEAR = 365.24
SOLAR_MASS = 4 * math.pi**2
# Position in AU, velocity in AU a year, mass: round figures of the sun and the four large planets.
BODIES = [
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], SOLAR_MASS],
    [[4.84, -1.16, -0.10], [0.00166 * YEAR, 0.00770 * YEAR, -0.00007 * YEAR], 0.00095 * SOLAR_MASS],
    [[8.34, 4.12, -0.40], [-0.00277 * YEAR, 0.00500 * YEAR, 0.00002 * YEAR], 0.00029 * SOLAR_MASS],
    [[12.89, -15.11, -0.22], [0.00296 * YEAR, 0.00238 * YEAR, -0.00003 * YEAR], 0.00004 * SOLAR_MASS],
    [[15.38, -25.92, 0.18], [0.00268 * YEAR, 0.00163 * YEAR, -0.00010 * YEAR], 0.00005 * SOLAR_MASS],
]


def energy(bodies):
    total = sum(0.5 * m * sum(c * c for c in v) for _, v, m in bodies)
    return total - sum(a[2] * b[2] / math.dist(a[0], b[0]) for a, b in itertools.combinations(bodies, 2))


def advance(bodies, pairs, dt):
    for (pa, va, ma), (pb, vb, mb) in pairs:
        dx, dy, dz = pa[0] - pb[0], pa[1] - pb[1], pa[2] - pb[2]
        pull = dt / (dx * dx + dy * dy + dz * dz) ** 1.5
        wa, wb = mb * pull, ma * pull
        va[0] -= dx * wa
        va[1] -= dy * wa
        va[2] -= dz * wa
        vb[0] += dx * wb
        vb[1] += dy * wb
        vb[2] += dz * wb
    for p, v, _ in bodies:
        p[0] += dt * v[0]
        p[1] += dt * v[1]
        p[2] += dt * v[2]


pairs = list(itertools.combinations(BODIES, 2))
before = energy(BODIES)
for _ in range(60000):
    advance(BODIES, pairs, 0.01)
print(f"{before:.9f} {energy(BODIES):.9f}")
