#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Coupon economics: Fieller limits as roots of the test's z, found by bracketing; bounds on the
share of subsidy that went to always-buyers by linear programming over principal strata."""

import math

import numpy as np
from scipy import optimize, stats
from casefile import Cases, Minstd, gram

cases = Cases("generate_coupon.py", "root finding on the z test; scipy.optimize.linprog")


def fieller(num, den, v_num, v_den, cov, quantile):
    """Limits of {rho: |num - rho den| <= quantile sd} where that set is an interval."""
    def excess(rho):
        variance = v_num - 2 * rho * cov + rho * rho * v_den
        return (num - rho * den) ** 2 - quantile ** 2 * variance

    g = quantile ** 2 * v_den / den ** 2
    if g >= 1:
        return None, None, g
    centre = num / den
    step = abs(centre) + math.sqrt(v_num) / abs(den)
    lo = hi = centre
    while excess(lo) <= 0:
        lo -= step
    while excess(hi) <= 0:
        hi += step
    return (optimize.brentq(excess, lo, centre, xtol=1e-15, rtol=1e-15),
            optimize.brentq(excess, centre, hi, xtol=1e-15, rtol=1e-15), g)


def bounds(p1, p0, r, monotone):
    """Sharp bounds of P(Y0 = 1 | D1 = 1). Strata: (Y0, Y1, D1) with D1 = 1 only where Y1 = 1."""
    strata = [(y0, y1, d1) for y0 in (0, 1) for y1 in (0, 1) for d1 in (0, 1) if d1 <= y1]
    if monotone:
        strata = [s for s in strata if s[0] <= s[1]]
    equal = [[1.0] * len(strata), [float(s[0]) for s in strata], [float(s[1]) for s in strata],
             [float(s[2]) for s in strata]]
    target = np.array([s[0] * s[2] / r for s in strata])
    ends = []
    for sign in (1, -1):
        found = optimize.linprog(sign * target, A_eq=equal, b_eq=[1, p0, p1, r], bounds=(0, 1),
                                 method="highs")
        assert found.success
        ends.append(sign * found.fun)
    return ends


def arm(seed, n, rate, redeem, spread):
    """Rows (orders, profit, cost, redeemed); `redeem` of the buyers use a coupon of 2 or more."""
    random = Minstd(seed)
    u = random.uniform(n, 4)
    buys = (u[:, 0] < rate).astype(float)
    redeemed = buys * (u[:, 1] < redeem)
    cost = redeemed * np.round(2 + spread * u[:, 2], 2)
    profit = np.round(buys * (4 + 6 * u[:, 3]), 2) - cost
    return np.column_stack([buys, profit, cost, redeemed])


def expected(t, c, alpha):
    q = stats.norm.isf(alpha / 2)
    nt, nc = len(t), len(c)
    d = t.mean(0) - c.mean(0)
    vt, vc = np.cov(t.T) / nt, np.cov(c.T) / nc
    v = vt + vc

    def ratio(i, j):
        lo, hi, g = fieller(d[i], d[j], v[i, i], v[j, j], v[i, j], q)
        out = {"ratio": d[i] / d[j], "fieller_g": g, "fieller_bounded": g < 1}
        if g < 1:
            out.update(fieller_lo=lo, fieller_hi=hi)
        return out

    p1, p0, r = t[:, 0].mean(), c[:, 0].mean(), t[:, 3].mean()
    won = fieller(p1 - p0, r, vt[0, 0] + vc[0, 0], vt[3, 3], vt[0, 3], q)
    always = fieller(p0, r, vc[0, 0], vt[3, 3], 0, q)
    others = fieller(1 - p0, r, vc[0, 0], vt[3, 3], 0, q)

    def cut(x):
        return min(1.0, max(0.0, x))

    free, mono = bounds(p1, p0, r, False), bounds(p1, p0, r, True)
    welch = stats.ttest_ind(t[:, 1], c[:, 1], equal_var=False)
    return {
        "profit_per_unit": {"diff": d[1], "se": math.sqrt(v[1, 1]), "p": welch.pvalue},
        "return_on_cost": ratio(1, 2),
        "cost_per_incremental_order": ratio(2, 0),
        "to_always_buyers": {
            "no_assumption": {"low": free[0], "high": free[1], "ci_lo": 1 - cut(others[1]),
                              "ci_hi": cut(always[1])},
            "monotone": {"low": mono[0], "high": mono[1], "ci_lo": 1 - cut(won[1]),
                         "ci_hi": cut(always[1])},
            "through_use": 1 - (p1 - p0) / r,
            "through_use_ci": [1 - cut(won[1]), 1 - cut(won[0])]}}


for name, t, c, alpha in (
        ("a coupon that wins orders", arm(5, 3000, 0.30, 0.7, 3), arm(6, 2800, 0.20, 0, 3), 0.05),
        ("mostly always-buyers", arm(7, 5000, 0.22, 0.8, 0), arm(8, 5000, 0.20, 0, 0), 0.1),
        ("hardly anything won: cost per order unbounded", arm(9, 400, 0.21, 0.5, 1),
         arm(10, 400, 0.20, 0, 1), 0.05)):
    cases.add(name, "coupon_economics",
              {"treatment": gram(t), "control": gram(c), "alpha": alpha}, expected(t, c, alpha),
              rel=1e-7, absolute=1e-9)


def money(t, c):
    """Most and least of the money that always-buyers can hold, over every way to choose which
    redeemers were won: a fractional choice of the redeemers themselves, so within the bounds."""
    r, won = t[:, 3].mean(), t[:, 0].mean() - c[:, 0].mean()
    costs = np.sort(t[t[:, 3] == 1, 2])
    k = int(round(won / r * len(costs)))
    return 1 - costs[::-1][:k].sum() / costs.sum()


t, c = arm(5, 3000, 0.30, 0.7, 3), arm(6, 2800, 0.20, 0, 3)
share = (t[:, 0].mean() - c[:, 0].mean()) / t[:, 3].mean()
spread = t[t[:, 3] == 1, 2]
cv = spread.std() / spread.mean()
low = 1 - (share + cv * math.sqrt(share * (1 - share)))
assert low <= money(t, c) <= 1 - share  # the bound holds what the sample itself allows
cases.add("money", "coupon_economics", {"treatment": gram(t), "control": gram(c)},
          {"to_always_buyers": {"money": {"low": low}}})
cases.print()
