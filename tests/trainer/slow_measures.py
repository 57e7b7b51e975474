"""The measures again, slow and obvious: one loop per word of their definitions."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from trainer.measures.events import BoolArray, FloatArray


def events_of(label: BoolArray) -> list[tuple[int, int]]:
    events = []
    start = None
    for time, is_labelled in enumerate([*label.tolist(), False]):
        if is_labelled and start is None:
            start = time
        if not is_labelled and start is not None:
            events.append((start, time - 1))
            start = None
    return events


def average_precision(label: BoolArray, score: FloatArray) -> float:
    area = previous = 0.0
    for threshold in sorted(set(score.tolist()), reverse=True):
        alarm = score >= threshold
        recall = (alarm & label).sum() / label.sum()
        area += (recall - previous) * (alarm & label).sum() / alarm.sum()
        previous = recall
    return float(area)


def f1(precision: float, recall: float) -> float:
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def oracle_f1(label: BoolArray, score: FloatArray) -> float:
    best = 0.0
    for threshold in score:
        alarm = score >= threshold
        hits = (alarm & label).sum()
        best = max(best, f1(hits / alarm.sum(), hits / label.sum()))
    return float(best)


def event_recall(label: BoolArray, flags: BoolArray) -> float:
    events = events_of(label)
    return sum(any(flags[s : e + 1]) for s, e in events) / len(events)


def composite_f1(label: BoolArray, flags: BoolArray) -> float:
    precision = (flags & label).sum() / flags.sum() if flags.any() else 0.0
    return f1(precision, event_recall(label, flags))


def oracle_composite_f1(label: BoolArray, score: FloatArray) -> float:
    return max(composite_f1(label, score >= threshold) for threshold in score)


def soft_label(label: BoolArray, width: int) -> FloatArray:
    soft = label.astype(float)
    for start, end in events_of(label):
        for time in range(len(label)):
            distance = max(start - time, time - end)
            if 0 < distance <= width // 2:
                soft[time] += math.sqrt(1 - distance / width)
    return np.asarray(np.minimum(soft, 1.0))


def widened_events(label: BoolArray, width: int) -> list[list[int]]:
    """The times of every event with its surroundings; those that share a time are one."""
    groups: list[list[int]] = []
    for start, end in events_of(label):
        times = [t for t in range(start - width // 2, end + width // 2 + 1) if 0 <= t < len(label)]
        if groups and groups[-1][-1] >= times[0]:
            groups[-1] = sorted({*groups[-1], *times})
        else:
            groups.append(times)
    return groups


def vus_pr(label: BoolArray, score: FloatArray, *, width: int, thresholds: int) -> float:
    descending = sorted(score.tolist(), reverse=True)
    ranks = [int(rank) for rank in np.linspace(0, len(score) - 1, thresholds)]
    areas = []
    for w in range(width + 1):
        soft, groups = soft_label(label, w), widened_events(label, w)
        area = previous = 0.0
        for rank in ranks:
            alarm = score >= descending[rank]
            hits = sum(soft[alarm])
            positives = (label.sum() + label.sum() + sum(soft[alarm & ~label])) / 2
            touched = sum(any(alarm[group]) for group in groups) / len(groups)
            recall = min(hits / positives, 1.0) * touched
            area += (recall - previous) * hits / alarm.sum()
            previous = recall
        areas.append(area)
    return float(np.mean(areas))


def false_episodes(label: BoolArray, flags: BoolArray, *, gap: int) -> int:
    bridged = flags.copy()
    alarms = np.flatnonzero(flags)
    for earlier, later in pairwise(alarms):
        if later - earlier - 1 <= gap:
            bridged[earlier:later] = True
    return sum(not any(label[start : end + 1]) for start, end in events_of(bridged))


def delays_of(label: BoolArray, flags: BoolArray) -> list[int]:
    delays = []
    for start, end in events_of(label):
        alarms = [time for time in range(start, end + 1) if flags[time]]
        if alarms:
            delays.append(alarms[0] - start)
    return delays


def median_delay(label: BoolArray, flags: BoolArray) -> float:
    delays = delays_of(label, flags)
    return float(np.median(delays)) if delays else math.nan


def delay_quantile(label: BoolArray, flags: BoolArray, *, quantile: float) -> float:
    """Between the two delays that surround the place `quantile` x (count - 1)."""
    delays = sorted(delays_of(label, flags))
    if not delays:
        return math.nan
    place = quantile * (len(delays) - 1)
    below, above = delays[math.floor(place)], delays[math.ceil(place)]
    return below + (above - below) * (place - math.floor(place))


def recall_within(label: BoolArray, flags: BoolArray, *, points: int) -> float:
    events, found = events_of(label), 0
    for start, end in events:
        found += any(flags[time] for time in range(start, end + 1) if time - start <= points)
    return found / len(events)


def false_share(label: BoolArray, flags: BoolArray) -> float:
    normal = [bool(flag) for flag, is_labelled in zip(flags, label, strict=True) if not is_labelled]
    return sum(normal) / len(normal) if normal else math.nan


def point_adjusted_f1(label: BoolArray, score: FloatArray) -> float:
    best = 0.0
    for threshold in score:
        flags = score >= threshold
        for start, end in events_of(label):
            if any(flags[start : end + 1]):
                flags[start : end + 1] = True
        hits = (flags & label).sum()
        best = max(best, f1(hits / flags.sum(), hits / label.sum()))
    return float(best)


def ranking(contribution: FloatArray) -> list[int]:
    return sorted(range(len(contribution)), key=lambda d: (-contribution[d], d))


def hit_rate(contribution: FloatArray, culprits: Sequence[int], *, percent: int) -> float:
    top = ranking(contribution)[: math.floor(percent * len(culprits) / 100)]
    return len(set(top) & set(culprits)) / len(culprits)


def ndcg(contribution: FloatArray, culprits: Sequence[int]) -> float:
    gain = best = 0.0
    for place, dimension in enumerate(ranking(contribution)[: len(culprits)], start=1):
        gain += (dimension in culprits) / math.log2(place + 1)
        best += 1 / math.log2(place + 1)
    return gain / best
