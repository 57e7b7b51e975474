"""The score with its threshold, and the severity below it."""

import numpy as np
from matplotlib.axes import Axes

from service.scoring.offline import Scored
from service.scoring.series import Series
from trainer.pictures.ink import ALARM, TRUE, legend, panels
from trainer.pictures.thinning import extremes
from trainer.pictures.time_axis import finish, span_of

BINS = 900
FLOOR = 1e-2  # of a score on a log axis


def draw_score(series: Series, scored: Scored) -> Axes:
    """Both over the whole series; alarms are dots, labelled segments are shaded."""
    span = span_of(series)
    above, below = panels(2, height=4.6, ratios=[1.3, 1.0])
    score = np.maximum(scored.score, FLOOR)
    rows = extremes(score, BINS)
    above.plot(span.times[rows], score[rows], color=TRUE, linewidth=0.6, label="score")
    alarms = np.flatnonzero(scored.is_anomaly)
    shown = alarms[extremes(score[alarms], BINS // 3)]
    above.plot(span.times[shown], score[shown], "o", color=ALARM, markersize=2.5, label="anomalous")
    above.axhline(1.0, color=ALARM, linewidth=1, linestyle="--", label="threshold")
    above.set_yscale("log")
    above.set_ylabel("score")
    rows = extremes(scored.severity, BINS)
    below.plot(span.times[rows], scored.severity[rows], color=TRUE, linewidth=0.6)
    below.set_ylim(bottom=0.0)
    below.set_ylabel("severity, nats")
    finish([above, below], span)
    legend(above, columns=4)
    return above
