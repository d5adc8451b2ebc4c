# Every name is one letter.

import math

a = 3e-3
b = 0.1
c = ("attention", "mlp", "norm")


def d(e):
    """Return the learning q at a share of the budget."""
    if e < b:
        return a * e / b
    f = (e - b) / (1 - b)
    return a * 0.5 * (1 + math.cos(math.pi * f))


class g:
    """Layers, one after the other."""

    def __init__(self, h):
        self.h = h
        self.i = []
        for j in c:
            self.i.append((j, h))

    def k(self):
        l = 0
        for j, h in self.i:
            if j == "norm":
                l = l + h
            else:
                l = l + h * h
        return l


def r(m):
    o = g(16)
    p = []
    for n in range(m):
        q = d(n / m)
        p.append(q * o.k())
    return p


RESULT = sum(r(10))
