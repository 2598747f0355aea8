#!/usr/bin/env python3
"""One table and one plot of what bench.py and the Rust program have measured.

    report.py MEASURED.json... [--svg FILE]
"""

import argparse
import json
import statistics
from pathlib import Path

from tabulate import tabulate

PANEL_INCHES = 0.24


def rows_of(results):
    """All rows, and of lanepool's and the bound's, which every process has for itself, those of the first that has the layer."""
    seen = set()
    for result in results:
        for row in result["rows"]:
            key = (row["layer"], row["layout"], row["element"], row["engine"])
            if key not in seen:
                seen.add(key)
                yield row


def peers_of(results):
    return [name for name in dict.fromkeys(name for result in results for name in result["engines"]) if name not in ("bound", "lanepool")]


# A mark for what a reader must know about a figure, and what it is.
MARKS = {
    "pads in its own way": ("\\*", "as many windows, but placed or divided by the engine's own rule of padding"),
    "WRONG": ("WRONG", "the output is not lanepool's"),
    "mostly the call": ("†", "the call costs more than the layer, so that the figure is uncertain: it is in no median and not in the plot"),
}

# Not in the medians, and not in the plot.
UNCERTAIN = ("WRONG", "mostly the call")


def note_of(row):
    return row["note"] or ("mostly the call" if row["call_us"] > row["us"] else "")


def tables(results):
    """Every layer; then the median of each kind of layers; then what the marks mean."""
    cases, kinds, seen = {}, {}, set()
    for row in rows_of(results):
        cases.setdefault((row["layer"], row["layout"], row["element"]), {})[row["engine"]] = row
    peers = peers_of(results)

    def quotient(row):
        if row is None:
            return ""
        note = note_of(row)
        seen.add(note)
        return " ".join([f"{row['over_lanepool']:.2f}", *MARKS.get(note, ())[:1]])

    lines = []
    for (layer, layout, element), engines in cases.items():
        own = engines["lanepool"]
        quotients = [quotient(engines.get(peer)) for peer in peers]
        lines.append([layer, layout, element, f"{own['us']:.1f}", f"{own['over_bound']:.2f}", *quotients])
        for peer in peers:
            if peer in engines and note_of(engines[peer]) not in UNCERTAIN:
                kinds.setdefault((layout, element), {}).setdefault(peer, []).append(engines[peer]["over_lanepool"])

    def median(quotients):
        if not quotients:
            return ""
        return f"{statistics.median(quotients):.2f} ({sum(each < 1 for each in quotients)} of {len(quotients)})"

    summary = [[*kind, *(median(by_peer.get(peer)) for peer in peers)] for kind, by_peer in kinds.items()]
    heads = [f"{peer} / lanepool" for peer in peers]
    versions = {name: version for result in results for name, version in result["engines"].items()}
    threads = ", ".join(sorted({str(result["threads"]) for result in results}))
    how = dict(tablefmt="pipe", disable_numparse=True)
    return "\n\n".join([
        tabulate(lines, ["layer", "layout", "element", "lanepool, µs", "lanepool / bound", *heads], **how),
        "The median over the layers, and on how many of them the peer was faster:",
        tabulate(summary, ["layout", "element", *heads], **how),
        f"Threads: {threads}. " + ", ".join(f"{name} {versions[name]}" for name in ("lanepool", *peers)) + ".",
        *(f"{mark}: {meaning}." for note, (mark, meaning) in MARKS.items() if note in seen),
    ])


def plot(results, file):
    """Time over the bound, a panel for each element and layout, a line for each layer, a mark for each engine."""
    import matplotlib

    matplotlib.use("svg")
    # The same file from the same numbers.
    matplotlib.rcParams["svg.hashsalt"] = "lanepool"
    # Text as text, which can be searched.
    matplotlib.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot

    panels = {}
    for row in rows_of(results):
        if row["engine"] != "bound" and note_of(row) not in UNCERTAIN:
            panels.setdefault((row["element"], row["layout"]), []).append(row)
    # Where lanepool is alone there is nothing to compare.
    panels = {kind: rows for kind, rows in panels.items() if {row["engine"] for row in rows} != {"lanepool"}}
    if not panels:
        return
    names = ["lanepool", *peers_of(results)]
    colors = dict(zip(names, pyplot.get_cmap("tab10").colors))
    shapes = dict(zip(names, "os^vDPXd<>"))
    counts = [len({row["layer"] for row in rows}) for rows in panels.values()]
    figure, axes = pyplot.subplots(
        len(panels), squeeze=False, sharex=True, layout="constrained", height_ratios=counts,
        figsize=(9, PANEL_INCHES * sum(counts) + 0.7 * len(panels) + 0.5),
    )
    for axis, ((element, layout), rows) in zip(axes[:, 0], panels.items()):
        layers = list(dict.fromkeys(row["layer"] for row in rows))
        for name in names:
            mine = [row for row in rows if row["engine"] == name]
            axis.plot([row["over_bound"] for row in mine], [layers.index(row["layer"]) for row in mine], shapes[name],
                      color=colors[name], label=name, markersize=6 if name == "lanepool" else 5, linestyle="none")
        axis.set(xscale="log", yticks=range(len(layers)), yticklabels=layers, title=f"{element} {layout}")
        axis.invert_yaxis()
        axis.grid(alpha=0.3)
        axis.axvline(1, color="black", linewidth=0.8)
    axes[-1, 0].set_xlabel("time / streaming bound (one thread of reading the input and writing the output once)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=5, frameon=False)
    figure.savefig(file, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("measured", type=Path, nargs="+")
    parser.add_argument("--svg", type=Path)
    args = parser.parse_args()
    results = [json.loads(file.read_text()) for file in args.measured]
    print(tables(results))
    if args.svg:
        plot(results, args.svg)


if __name__ == "__main__":
    main()
