#!/usr/bin/env python3
"""Times every pooling node of three networks, ONNX Runtime's and lanepool's, within the networks.

    times.py [--rounds N] [--threads N]

The two sessions of a network run alternately in one process. A node's time is what ONNX Runtime's own profile says of its kernel; a ratio is
the median over the rounds of lanepool's time over ONNX Runtime's, so that below 1 lanepool is faster. The level "extended" keeps the layout
of the tensors. The highest, "all", which is ONNX Runtime's default, blocks the channels for its convolutions and its pooling nodes; around
another's node they are put back and blocked again, which is in the network's time and in no node's.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from conftest import LIBRARY
from models import NAMES, light, pooling
from tabulate import tabulate
from to_lanepool import to_lanepool

LEVELS = {
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


def open_session(model, lanepool, level, threads, profile=None):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = LEVELS[level]
    options.log_severity_level = 4
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    if lanepool:
        options.register_custom_ops_library(LIBRARY)
        moved = onnx.ModelProto()
        moved.CopyFrom(model)
        to_lanepool(moved)
        model = moved
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def alternately(sessions, feed, rounds):
    """Seconds of every run, of each session."""
    seconds = [[] for _ in sessions]
    for session in sessions:
        session.run(None, feed)
    for _ in range(rounds):
        for session, times in zip(sessions, seconds):
            begin = time.perf_counter()
            session.run(None, feed)
            times.append(time.perf_counter() - begin)
    return seconds


def kernel_times(session, nodes):
    """Microseconds of the nodes' kernels, one of each run; the first run, which plans, is left out."""
    events = json.loads(Path(session.end_profiling()).read_text())
    times = {name: [] for name in nodes}
    for event in events:
        # Nodes that take blocked channels have another name.
        name = event["name"].removesuffix("_kernel_time").removesuffix("_nchwc")
        if event["name"].endswith("_kernel_time") and name in times:
            times[name].append(event["dur"])
    return {name: each[1:] for name, each in times.items()}


def ratio(ours, stock):
    return statistics.median(a / b for a, b in zip(ours, stock, strict=True))


def window(node, shapes):
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    numbers = {name: "x".join(map(str, attributes.get(name, []))) for name in ("kernel_shape", "strides", "pads")}
    shape = "x".join(map(str, shapes[node.input[0]]))
    return f"{node.op_type} {numbers['kernel_shape']}/{numbers['strides'] or 1} {shape}".replace(" / ", " ").replace(" /1 ", " ")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    rng = np.random.default_rng(7)
    nodes_table, models_table = [], []
    for name in NAMES:
        model, source, shape = light(name)
        feed = {source: rng.standard_normal(shape).astype(np.float32)}
        inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
        shapes = {each.name: [axis.dim_value for axis in each.type.tensor_type.shape.dim] for each in inferred}
        nodes = {node.name: window(node, shapes) for node in pooling(model)}
        row = [name.removeprefix("light_")]
        by_level = {}
        for level in LEVELS:
            with tempfile.TemporaryDirectory() as folder:
                sessions = [open_session(model, lanepool, level, args.threads, Path(folder) / str(lanepool)) for lanepool in (False, True)]
                alternately(sessions, feed, args.rounds)
                by_level[level] = [kernel_times(session, nodes) for session in sessions]
            stock, ours = alternately([open_session(model, lanepool, level, args.threads) for lanepool in (False, True)], feed, args.rounds)
            row += [1e3 * statistics.median(stock), ratio(ours, stock)]
        models_table.append(row)
        seen = set()
        for node, told in nodes.items():
            if told not in seen:
                seen.add(told)
                line = [name.removeprefix("light_"), told]
                for stock, ours in by_level.values():
                    line += [statistics.median(stock[node]), ratio(ours[node], stock[node])]
                nodes_table.append(line)
    heads = [f"{level}: {what}" for level in LEVELS for what in ("ONNX Runtime", "lanepool / it")]
    formats = dict(tablefmt="github")
    print(f"Kernels of the pooling nodes, µs, {args.threads} thread(s), median of {args.rounds} rounds\n")
    print(tabulate(nodes_table, ["network", "node", *heads], floatfmt=("", "", ".0f", ".2f", ".0f", ".2f"), **formats))
    print("\nWhole networks, ms\n")
    print(tabulate(models_table, ["network", *heads], floatfmt=("", ".1f", ".2f", ".1f", ".2f"), **formats))


if __name__ == "__main__":
    main()
