"""For scripts/arm-model: traces layers under qemu and models them with llvm-mca.

    arm_model.py LANEPOOL QEMU LLVM_MCA LLVM_OBJDUMP
"""

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from math import prod

BINARY, QEMU, MCA, OBJDUMP = sys.argv[1:]

# Small layers, whose rows are long enough for their loops. A whole plane in one window is counted by the elements that it
# reads.
LAYERS = [
    ("planar f32 max 3×3/2", dict(op="max", element="f32", layout="nchw", shape=[1, 4, 113, 113], kernel=3, stride=2)),
    ("planar f32 max 2×2/2", dict(op="max", element="f32", layout="nchw", shape=[1, 4, 112, 112], kernel=2, stride=2)),
    ("planar f32 max 3×3/1", dict(op="max", element="f32", layout="nchw", shape=[1, 4, 58, 58], kernel=3)),
    ("planar f16 max 3×3/2", dict(op="max", element="f16", layout="nchw", shape=[1, 4, 113, 113], kernel=3, stride=2)),
    ("planar u8 max 2×2/2", dict(op="max", element="u8", layout="nchw", shape=[1, 4, 224, 224], kernel=2, stride=2)),
    ("channels-last f32 max 3×3/2", dict(op="max", element="f32", layout="nhwc", shape=[1, 64, 33, 33], kernel=3, stride=2)),
    ("channels-last u8 max 3×3/2", dict(op="max", element="u8", layout="nhwc", shape=[1, 256, 33, 33], kernel=3, stride=2)),
    ("channels-last u8 mean 3×3/2", dict(op="avg", element="u8", layout="nhwc", shape=[1, 256, 33, 33], kernel=3, stride=2)),
    ("global f32 mean, 1024", dict(op="avg", element="f32", layout="nchw", shape=[1, 64, 1024], kernel="global")),
]

# 128-bit loads and stores that a core begins in one cycle, and how many of both together. Arm's software optimization guides
# for N1 (two load/store pipes, one store of 16 bytes) and V2 (two load/store pipes, one for loads alone); for M1 the
# measurements of its Firestorm core by Dougall Johnson (two load units, one for stores, one for either).
PORTS = {"neoverse-n1": (2, 1, 2), "neoverse-v2": (3, 2, 3), "apple-m1": (3, 2, 4)}
BYTES = {"f32": 4, "f16": 2, "u8": 1}
# So much of a trace is modelled, from its middle on: tens of rows.
EXCERPT = 30_000


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def kernels():
    """The functions of the kernels for NEON, as (address, length)."""
    found = []
    for line in run(OBJDUMP, "--syms", "--demangle", BINARY).splitlines():
        fields = re.match(r"([0-9a-f]{16}) .{7} \.text\S*\s+([0-9a-f]{16}) (?:\.hidden )?(.*)", line)
        if fields and "::token::neon::Neon" in fields[3] and "drop_in_place" not in fields[3]:
            found.append((int(fields[1], 16), int(fields[2], 16)))
    if not found:
        sys.exit("arm-model: the binary has no kernel for NEON: are the symbols stripped, or the names changed?")
    return sorted(found)


def load_bias():
    """How far from its own addresses qemu loads the binary: every time the same."""
    log = subprocess.run([QEMU, "-d", "page", BINARY, "--version"], check=True, capture_output=True, text=True).stderr
    loaded = re.search(r"^entry +0x([0-9a-f]+)", log, re.MULTILINE)
    linked = re.search(r"start address: 0x([0-9a-f]+)", run(OBJDUMP, "--file-headers", BINARY))
    return int(loaded[1], 16) - int(linked[1], 16)


def trace(case, functions, bias):
    """The addresses of the kernels' instructions, in the order in which one run of the layer takes them."""
    start, end = bias + functions[0][0], bias + functions[-1][0] + functions[-1][1]
    inside = {address for at, length in functions for address in range(at, at + length, 4)}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump([dict(name="layer", **case)], file)
        file.flush()
        # One line for each instruction between the first and the last kernel.
        log = subprocess.Popen(
            [QEMU, "-singlestep", "-d", "exec,nochain", "-dfilter", f"{start:#x}..{end:#x}", BINARY,
             "bench", "--once", "--tier", "neon", "--cases", file.name],
            stderr=subprocess.PIPE, text=True)
        addresses = (int(line.split("/", 2)[1], 16) - bias for line in log.stderr if line.startswith("Trace"))
        taken = [address for address in addresses if address in inside]
        if log.wait() != 0 or not taken:
            sys.exit(f"arm-model: {case} was not run or not traced")
    return taken


def disassemble(functions):
    """Every kernel's instructions as assembly, by address. Where branches lead does not matter to the model."""
    text = {}
    end = functions[-1][0] + functions[-1][1]
    lines = run(OBJDUMP, "-d", "--no-show-raw-insn", f"--start-address={functions[0][0]:#x}", f"--stop-address={end:#x}", BINARY)
    for line in lines.splitlines():
        fields = re.match(r"\s*([0-9a-f]+):\s+(.*)", line)
        if fields:
            text[int(fields[1], 16)] = re.sub(r"0x[0-9a-f]+ <.*>", "label", fields[2].split("//")[0]).strip()
    return text


def accesses(instruction):
    """How many registers an instruction loads and stores."""
    name, operands = (instruction.replace("\t", " ").split(" ", 1) + [""])[:2]
    count = len(re.findall(r"\b[qdshbvxw](?:\d+|zr)", operands.split("[")[0]))
    return (count if name.startswith("ld") else 0), (count if name.startswith("st") else 0)


def model(core, instructions):
    """Cycles an instruction, and what of the core is the busiest, a pipe or the dispatch of micro-operations, for what part of
    them."""
    command = [MCA, "-mtriple=aarch64", f"-mcpu={core}", "-iterations=1", "-instruction-info=0", "-json"]
    code = "label:\n" + "\n".join(instructions) + "\n"
    report = json.loads(subprocess.run(command, input=code, check=True, capture_output=True, text=True).stdout)
    region, names = report["CodeRegions"][0], report["TargetInfo"]["Resources"]
    busy = Counter()
    for use in region["ResourcePressureView"]["ResourcePressureInfo"]:
        # The last entries are sums over all instructions.
        if use["InstructionIndex"] == len(instructions):
            name = re.sub(r"^(N1|V2|Cy)Unit", "", names[use["ResourceIndex"]].split(".")[0])
            busy[name] = max(busy[name], use["ResourceUsage"])
    summary = region["SummaryView"]
    cycles = summary["TotalCycles"]
    busy["dispatch"] = summary["TotaluOps"] / summary["DispatchWidth"]
    name, most = busy.most_common(1)[0]
    return cycles / len(instructions), f"{name} {100 * most / cycles:.0f} %"


def elements(case):
    """Outputs of a layer without padding; inputs, where a plane is one window."""
    batch_and_channels, spatial = case["shape"][:2], case["shape"][2:]
    if case["kernel"] == "global":
        return prod(case["shape"])
    return prod(batch_and_channels) * prod((n - case["kernel"]) // case.get("stride", 1) + 1 for n in spatial)


def main():
    functions, bias = kernels(), load_bias()
    text = disassemble(functions)
    head = ["layer", "lanes", "instructions", "loads + stores"]
    head += [f"{core}: cycles / ports, busiest" for core in PORTS]
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for name, case in LAYERS:
        instructions = [text[address] for address in trace(case, functions, bias)]
        count = elements(case)
        loads, stores = (sum(column) / count for column in zip(*map(accesses, instructions)))
        row = [name, str(16 // BYTES[case["element"]]), f"{len(instructions) / count:.2f}", f"{loads:.2f} + {stores:.2f}"]
        middle = max(0, (len(instructions) - EXCERPT) // 2)
        for core, (load, store, both) in PORTS.items():
            each, busiest = model(core, instructions[middle : middle + EXCERPT])
            cycles = each * len(instructions) / count
            ports = max(loads / load, stores / store, (loads + stores) / both)
            row.append(f"{cycles:.2f} / {ports:.2f} = {cycles / ports:.1f}, {busiest}")
        print("| " + " | ".join(row) + " |", flush=True)


main()
