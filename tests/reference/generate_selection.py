#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Estimates corrected for selection, from the definitions: truncated normals for one look, the
joint normal distribution of the looks' z (integrated look after look) for a sequential stop."""

import math

import numpy as np
from scipy import integrate, optimize, stats
from casefile import Cases

cases = Cases("generate_selection.py", "scipy.stats.norm, scipy.optimize, numerical integration")


def one_look(z, c, alpha):
    """Maximum of the truncated density; medians and limits of the truncated distribution."""
    def negative_log(m):
        return 0.5 * (z - m) ** 2 + np.logaddexp(stats.norm.logsf(c - m), stats.norm.logsf(c + m))

    def upper(m):
        return stats.norm.sf(z - m) / (stats.norm.sf(c - m) + stats.norm.sf(c + m))

    mle = optimize.minimize_scalar(negative_log, bracket=(0, z), options={"xtol": 1e-13}).x
    root = [optimize.brentq(lambda m: upper(m) - tail, -20, z + 20, xtol=1e-13)
            for tail in (0.5, alpha / 2, 1 - alpha / 2)]
    return {"conditional_mle": mle, "median_unbiased": root[0], "lo": root[1], "hi": root[2]}


for z, c, alpha in ((2.1, 1.959963984540054, 0.05), (2.6, 1.959963984540054, 0.1),
                    (3.4, 2.5758293035489, 0.05), (6.0, 1.959963984540054, 0.05)):
    cases.add(f"z {z} beyond {c:.3f}", "conditional_mle_given_significance",
              {"z": z, "threshold": c, "alpha": alpha}, one_look(z, c, alpha), rel=2e-6)


def stop_density(theta, information, bounds, grid=1201):
    """Sub-density of (went on so far, Z_k) on a Simpson grid, as a function of z."""
    density = lambda z: stats.norm.pdf(z - theta * math.sqrt(information[0]))
    for k in range(1, len(information)):
        before, now = information[k - 1], information[k]
        nodes = np.linspace(-bounds[k - 1], bounds[k - 1], grid)
        weights = integrate.simpson(np.eye(grid), dx=nodes[1] - nodes[0], axis=0)
        mass = weights * density(nodes)
        step = now - before

        def following(z, nodes=nodes, mass=mass, before=before, now=now, step=step):
            z = np.atleast_1d(z)
            shift = (z[:, None] * math.sqrt(now) - nodes * math.sqrt(before) - theta * step)
            return (stats.norm.pdf(shift / math.sqrt(step)) @ mass) * math.sqrt(now / step)

        density = following
    return density


def after_stop(information, bounds, z, alpha):
    """All in the scale of theta; the walk stopped at the last look given, beyond its bound or (at
    the planned end) within it."""
    k, bound = len(information), bounds[-1]
    root = math.sqrt(information[-1])
    floor = bound if abs(z) >= bound else 0.0

    def parts(theta):
        density = stop_density(theta, information, bounds)
        top = max(floor, abs(theta) * root) + 10
        x, w = np.polynomial.legendre.leggauss(200)

        def over(lo, hi, f):
            at = 0.5 * (hi - lo) * x + 0.5 * (hi + lo)
            return 0.5 * (hi - lo) * (w @ (f(at) * density(at)))

        one = lambda v: np.ones_like(v)
        all_of_it = over(floor, top, one) + over(-top, -floor, one)
        mean = (over(floor, top, lambda v: v) + over(-top, -floor, lambda v: v)) / all_of_it
        return over(z, top, one) / all_of_it, mean

    ends = (z / root - 6 / math.sqrt(information[0]), z / root + 4 / math.sqrt(information[0]))
    solve = [optimize.brentq(lambda th: parts(th)[0] - tail, *ends, xtol=1e-11)
             for tail in (0.5, alpha / 2, 1 - alpha / 2)]
    mle = optimize.brentq(lambda th: parts(th)[1] - z, *ends, xtol=1e-11)
    return {"naive": z / root, "conditional_mle": mle, "median_unbiased": solve[0], "lo": solve[1],
            "hi": solve[2]}


PLANS = {
    "one look is the truncated normal": ([4.0], [1.959963984540054], 2.4),
    "second of four O'Brien-Fleming looks": ([25.0, 50.0], [4.0486, 2.8628], 3.1),
    "third look, unequal information": ([10.0, 35.0, 50.0], [2.9, 2.6, 2.4], 2.7),
    "the planned end, not crossed": ([25.0, 50.0, 75.0], [3.471, 2.454, 2.004], 1.2),
}
for name, (information, bounds, z) in PLANS.items():
    cases.add(name, "conditional_after_stop",
              {"information": information, "boundary_z": bounds, "stopped_at": len(information),
               "z_observed": z, "alpha": 0.05}, after_stop(information, bounds, z, 0.05),
              rel=1e-6, absolute=1e-7)
one = after_stop([1.0], [1.959963984540054], 2.4, 0.05)
check = one_look(2.4, 1.959963984540054, 0.05)
assert all(abs(one[key] - check[key]) < 1e-6 for key in check)
cases.print()
