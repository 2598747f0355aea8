#!/usr/bin/env python3
"""Gives the pooling nodes of an ONNX model to lanepool.

    to_lanepool.py MODEL.onnx OUT.onnx

The nodes keep their attributes, names and places; only their domain changes, and the model says that it uses that domain. Weights in files
of their own stay where they are, so OUT.onnx belongs beside MODEL.onnx then.
"""

import argparse
from pathlib import Path

import onnx

DOMAIN = "lanepool"
OPERATORS = {"MaxPool", "GlobalMaxPool", "AveragePool", "GlobalAveragePool", "LpPool", "GlobalLpPool"}


def _all_nodes(nodes):
    """The nodes, and those of the graphs inside of them: the branches of an If, the body of a Loop."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _all_nodes(graph.node)


def to_lanepool(model: onnx.ModelProto) -> int:
    """Rewrites a model in place, and says how many nodes it now has in lanepool's domain."""
    moved = 0
    for scope in (model, *model.functions):
        nodes = scope.graph.node if scope is model else scope.node
        here = 0
        for node in _all_nodes(nodes):
            if node.op_type in OPERATORS and node.domain in ("", "ai.onnx"):
                node.domain = DOMAIN
                here += 1
        if here and all(opset.domain != DOMAIN for opset in scope.opset_import):
            scope.opset_import.append(onnx.helper.make_opsetid(DOMAIN, 1))
        moved += here
    return moved


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    model = onnx.load(args.model, load_external_data=False)
    # ONNX knows nothing of another domain's operators, so the shapes of what follows them are written down before.
    model = onnx.shape_inference.infer_shapes(model)
    moved = to_lanepool(model)
    onnx.save(model, args.out)
    print(f"{moved} pooling nodes of {args.model.name} are lanepool's")


if __name__ == "__main__":
    main()
