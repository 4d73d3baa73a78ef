"""What the gate concludes from paired times: order statistics and exact tests, standard library only.

The unit of replication is the process: each value is one process's, and a pair stands next to each other in time, so that
what disturbs the machine for a while disturbs both. Repetitions inside one process are not independent samples.
"""

import math
import statistics

ALPHA = 0.01          # family-wise: one false alarm in a hundred gates
EFFECT = 0.015        # a slowdown below 1.5 % is not called one
DETECTABLE = 5.7      # in units of sigma / sqrt(pairs): found 95 times in 100 at ALPHA over about 50 benchmarks


def wilcoxon_greater(differences):
    """Exact one-sided p of the Wilcoxon signed-rank test: differences lie above zero. Ties get middle ranks."""
    values = [value for value in differences if value != 0]
    if not values:
        return 1.0
    order = sorted(range(len(values)), key=lambda index: abs(values[index]))
    ranks = [0] * len(values)  # doubled, so that middle ranks are whole
    start = 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and abs(values[order[end + 1]]) == abs(values[order[start]]):
            end += 1
        for index in order[start:end + 1]:
            ranks[index] = start + end + 2
        start = end + 1
    observed = sum(rank for rank, value in zip(ranks, values) if value > 0)
    ways = [0] * (sum(ranks) + 1)  # how many of the 2^n sign patterns give each sum
    ways[0] = 1
    for rank in ranks:
        for total in range(len(ways) - 1, rank - 1, -1):
            ways[total] += ways[total - rank]
    return sum(ways[observed:]) / 2 ** len(values)


def holm(p_values):
    """Holm's adjustment, so that the chance of any false alarm among all of them is held."""
    adjusted, worst = [0.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        worst = max(worst, min(1.0, p_values[index] * (len(p_values) - place)))
        adjusted[index] = worst
    return adjusted


def log_ratios(pairs):
    return [math.log(head / base) for base, head in pairs]


def slowdown(pairs):
    """Hodges-Lehmann estimate of head over base, minus 1: the median of all pairwise means of the log ratios."""
    ratios = log_ratios(pairs)
    means = [(one + other) / 2 for place, one in enumerate(ratios) for other in ratios[place:]]
    return math.exp(statistics.median(means)) - 1


def smallest_detectable(pairs):
    """The slowdown that so many pairs with this spread find 95 times in 100."""
    ratios = log_ratios(pairs)
    middle = statistics.median(ratios)
    sigma = 1.4826 * statistics.median(abs(ratio - middle) for ratio in ratios)
    return math.exp(DETECTABLE * sigma / math.sqrt(len(ratios))) - 1


def suspects(paired_times):
    """{name: (slowdown, adjusted p, smallest detectable, is slower)} from {name: [(base, head), ...]}."""
    names = [name for name, pairs in paired_times.items() if pairs]
    adjusted = holm([wilcoxon_greater(log_ratios(paired_times[name])) for name in names])
    judged = {}
    for name, p_value in zip(names, adjusted):
        estimate = slowdown(paired_times[name])
        judged[name] = (estimate, p_value, smallest_detectable(paired_times[name]),
                        p_value < ALPHA and estimate > EFFECT)
    return judged
