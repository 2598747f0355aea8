#!/usr/bin/env python3
"""Times pooling layers on lanepool and on its peers, all in turn in one process, against the streaming bound.

What a call costs that computes next to nothing, one window of one channel, is measured in the same way and subtracted from every engine's time
alike. An engine that has no such layer is left out of it.
"""

import argparse
import json
import statistics
import sys
from itertools import repeat
from pathlib import Path

import numpy as np
from engines import NAMES, Ready, load
from layers import layers
from operations import operations
from timing import CALL_ROUNDS, alternately

# How far an engine's output may be from lanepool's: sums in another order, bytes rounded in another way.
TOLERANCE = {"f32": 1e-4, "f16": 1e-2, "bf16": 5e-2, "u8": 1.0, "i8": 1.0}


def prepared(engines, layer):
    """The engines that have the layer, and what kept the others from it, if it was not that they lack it."""
    inputs = layer.inputs()
    ready = {}
    for name, engine in engines.items():
        try:
            made = layer.on(engine, inputs)
            if made is not None:
                # Some refuse only now.
                made.run()
        except Exception as error:  # An engine's own, of whatever class, about what it does not support.
            print(f"{layer}: {name}: {str(error).strip().splitlines()[0][:200]}", file=sys.stderr)
            continue
        if made is not None:
            ready[name] = made
    return ready


def differing(ready: dict[str, Ready], layer):
    """Notes about outputs: an engine whose output is not lanepool's has not done the same work."""
    for each in ready.values():
        each.run()
    want = listed(ready["lanepool"].output())
    notes = {}
    for name, each in ready.items():
        notes[name] = each.note
        if each.output is not None:
            got = listed(each.output())
            if len(got) != len(want) or not all(map(is_close, got, want, repeat(TOLERANCE[layer.element]))):
                notes[name] = "WRONG"
    return notes


def listed(outputs):
    return outputs if isinstance(outputs, list) else [outputs]


def is_close(got, want, tolerance):
    # Indices are equal, and floats to a part of themselves where they are large.
    if np.asarray(want).dtype == np.int64:
        return np.array_equal(got, want)
    got, want = np.asarray(got, np.float32), np.asarray(want, np.float32)
    return got.shape == want.shape and np.allclose(got, want, rtol=1e-5, atol=tolerance)


def measured(engines, layer, rounds):
    """A row for each engine that has the layer."""
    ready = prepared(engines, layer)
    notes = differing(ready, layer)
    smallest = prepared({name: engines[name] for name in ready}, layer.smallest())
    ready = {name: each for name, each in ready.items() if name in smallest}

    calls = alternately({name: smallest[name].run for name in ready}, max(rounds, CALL_ROUNDS))
    calls = {name: statistics.median(each) for name, each in calls.items()}
    seconds = alternately({name: each.run for name, each in ready.items()}, rounds)
    # Never less than a nanosecond: a quotient needs a number.
    net = {name: [max(one - calls[name], 1e-9) for one in each] for name, each in seconds.items()}

    def over(name, other):
        return statistics.median(a / b for a, b in zip(net[name], net[other], strict=True))

    return [
        {
            "layer": layer.name,
            "layout": layer.layout,
            "element": layer.element,
            "engine": name,
            "us": statistics.median(net[name]) * 1e6,
            "call_us": calls[name] * 1e6,
            "over_bound": over(name, "bound"),
            "over_lanepool": over(name, "lanepool"),
            "note": notes[name],
        }
        for name in ready
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="TEXT", help="only layers whose name/layout/element has this in it")
    parser.add_argument("--engines", default=",".join(NAMES[2:5]), help="which peers, of %(default)s, torch, opencv, scipy and skimage")
    parser.add_argument("--operations", action="store_true", help="the operations beside maxima and averages, and pictures, instead")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, required=True, help="where to write what was measured")
    args = parser.parse_args()

    peers = [name for name in args.engines.split(",") if name and name not in NAMES[:2]]
    if unknown := set(peers) - set(NAMES):
        parser.error(f"no such engine: {', '.join(unknown)}")
    engines = {}
    for name in (*NAMES[:2], *peers):
        try:
            engines[name] = load(name, args.threads)
        except ImportError as error:
            print(f"{name} is not there: {error}", file=sys.stderr)
    chosen = [layer for layer in (operations() if args.operations else layers()) if args.only in str(layer)]
    if not chosen:
        parser.error(f"no layer has {args.only!r} in its name")
    rows = []
    for layer in chosen:
        own = measured(engines, layer, args.rounds)
        print(f"{layer}: " + ", ".join(f"{row['engine']} {row['us']:.1f}" for row in own), file=sys.stderr, flush=True)
        rows += own
    result = {
        "engines": {name: engine.version for name, engine in engines.items()},
        "threads": args.threads,
        "rounds": args.rounds,
        "rows": rows,
    }
    args.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
