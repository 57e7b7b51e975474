"""Switches: dimensions that only say yes or no, and how surprising one of them can be at most.

A normal distribution has no word for a switch: one that was on once in 600 points is 24 deviations
off when it is on again, 300 nats. Its rarer state was seen k times in n points, so the next point
is in it with probability (k + 1/2) / (n + 1) (Krichevsky and Trofimov, "The performance of
universal encoding", IEEE Transactions on Information Theory, 1981; the mean under Jeffreys' prior).
No surprise about a switch is more than minus the logarithm of that: 6 nats.

Where no more than half of the dimensions look like switches, none is taken for one: what was 0 or
1 so far may be a counter, and say 7 tomorrow.
"""

import math

import numpy as np

from service.scoring.series import FloatArray

SWITCHBOARD_SHARE = 0.5  # of all dimensions; where more say only 0 or 1, those are switches


def switch_cap(values: FloatArray) -> FloatArray:
    """Nats (dimension,) that a dimension of training rows (time, dimension) may say as a switch.

    Infinite where it is none, NaN is missing. A switch that never moved has k = 0.
    """
    is_seen = ~np.isnan(values)
    is_switch = np.all((values == 0) | (values == 1) | ~is_seen, axis=0) & is_seen.any(axis=0)
    if is_switch.mean() <= SWITCHBOARD_SHARE:
        return np.full(len(is_switch), math.inf)
    seen, on = is_seen.sum(axis=0), (values == 1).sum(axis=0)
    rarer = np.minimum(on, seen - on)
    return np.where(is_switch, np.log((seen + 1.0) / (rarer + 0.5)), math.inf)
