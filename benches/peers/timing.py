"""Calls that take turns."""

import time

# The least time of a sample: a quick call is repeated until it lasts so long.
SAMPLE = 0.01
# A call this long is far from its bound, and more rounds would cost minutes and add nothing.
SLOW, SLOW_ROUNDS = 0.2, 3
# The rounds of the calls that compute nothing: they are quick, and subtracted from everything.
CALL_ROUNDS = 9


def sample(call, repeats):
    """Seconds of one call."""
    begin = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - begin) / repeats


def alternately(calls, rounds):
    """For each name the seconds of a call, one sample a round: all calls take their turn in every round."""
    repeats = {}
    for name, call in calls.items():
        call()
        once = min(sample(call, 1) for _ in range(2))
        repeats[name] = max(1, round(SAMPLE / max(once, 1e-7)))
        if once > SLOW:
            rounds = min(rounds, SLOW_ROUNDS)
    seconds = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            seconds[name].append(sample(call, repeats[name]))
    return seconds
