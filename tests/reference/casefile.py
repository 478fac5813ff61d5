# SPDX-License-Identifier: Apache-2.0
"""What the Python generators share: the case list, a small random source and printing."""

import json
import sys

try:
    import numpy
    import scipy
except ImportError:
    print("skipped: SciPy (python3-scipy) is not installed")
    sys.exit(77)


class Cases:
    def __init__(self, generator, source, **more):
        self.generator, self.source, self.list = generator, source, []
        self.versions = {"scipy": scipy.__version__, "numpy": numpy.__version__, **more}

    def add(self, name, method, inputs, expected, rel=1e-8, absolute=1e-11, source=None):
        self.list.append({"id": name, "method": method, "inputs": inputs, "expected": expected,
                          "tolerance": {"rel": rel, "abs": absolute},
                          "source": source or self.source})

    def print(self):
        def plain(x):
            if isinstance(x, numpy.ndarray):
                return x.tolist()
            if isinstance(x, numpy.generic):
                return x.item()
            raise TypeError(type(x))

        def finite(x):
            if isinstance(x, dict):
                return {k: finite(v) for k, v in x.items()}
            if isinstance(x, (list, tuple)):
                return [finite(v) for v in x]
            if isinstance(x, numpy.ndarray):
                return finite(x.tolist())
            if isinstance(x, (float, numpy.floating)) and numpy.isinf(x):
                return "Infinity" if x > 0 else "-Infinity"
            return x

        json.dump(finite({"generator": self.generator, "versions": self.versions,
                          "cases": self.list}), sys.stdout, default=plain)


class Minstd:
    """Park and Miller's generator: the same data whatever NumPy's own becomes."""

    def __init__(self, seed):
        self.state = seed

    def uniform(self, *shape):
        count = int(numpy.prod(shape)) if shape else 1
        out = []
        for _ in range(count):
            self.state = 16807 * self.state % 2147483647
            out.append(self.state / 2147483647)
        return numpy.array(out).reshape(shape) if shape else out[0]


def gram(rows):
    """{n, mean, cov} of raw rows."""
    rows = numpy.asarray(rows, float)
    return {"n": len(rows), "mean": rows.mean(0), "cov": numpy.atleast_2d(numpy.cov(rows.T))}
