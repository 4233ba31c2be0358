#!/usr/bin/env python3
"""Generation, `ddpt bench generate`, against CTranslate2, Hugging Face transformers and eager PyTorch on the same random weights.

    generate.py [--bin DIR] [--rounds N] [--batch B ...] [--tokens N] [--threads N] [--family t5|parallel ...] [--torch-python PYTHON]
                [--device cpu|cuda:N] [--model DIR] [--dtype D ...]

t5 is the geometry of CodeT5+ 220M, against CTranslate2 (float32, int8) and transformers (float32); parallel is an encoder of 512x8 and a decoder of
1024x12, or --model (a checkpoint of that family), against the model in PyTorch without a cache, as its public code runs, and with one; on a GPU
only that, and both in each --dtype. All generate greedily from --tokens instruction tokens to as many new
ones with the end token disabled, encoder included. The contenders take turns, and a figure is the best of the rounds. "of limit" is ours: the share
of what the machine's measured memory bandwidth and arithmetic (float32; twice that for bfloat16 and int8, whose products are twice as wide, and 16 times where there is AMX) allow.
"A token" tells how long one takes after the first, and how
much of the time that reading its weights takes at that bandwidth. "apart" is the mean difference of the log-probabilities of the same made-up answer from our own in float32. This Python needs numpy, --torch-python
(default: this one) torch, safetensors, transformers==4.46.3 and ctranslate2==4.8.5."""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import random_checkpoint

HERE = pathlib.Path(__file__).resolve().parent
PEERS = {"t5": [("ctranslate2", "float32"), ("ctranslate2", "int8"), ("transformers", "float32")],
         "parallel": [("eager", "float32"), ("cached", "float32")]}
DTYPES = ("float32", "bfloat16", "int8")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, default=HERE.parent.parent / "build/release/bin")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each contender")
    parser.add_argument("--family", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--torch-python", default=sys.executable)
    parser.add_argument("--device", default="cpu", help="of both sides")
    parser.add_argument("--model", type=pathlib.Path, help="of the parallel family; default: random weights")
    parser.add_argument("--dtype", nargs="+", choices=("float32", "bfloat16", "float16", "int8"), default=DTYPES)
    options = parser.parse_args()
    if options.device != "cpu" or options.model:
        options.family = ["parallel"]
    return options


def peers_of(options, family):
    if options.device == "cpu":
        return PEERS[family]
    return [("cached", dtype) for dtype in options.dtype if dtype != "int8"]


def checkpoint(family):
    return random_checkpoint.t5("220m") if family == "t5" else random_checkpoint.parallel((512, 8, 8, 32), (1024, 12, 16, 32))


class Peer:
    """A process that generates when it is told to."""

    def __init__(self, options, model, engine, dtype):
        self.process = subprocess.Popen([options.torch_python, HERE / "generate_peer.py", engine, model, dtype, str(options.threads),
                                         str(options.tokens), *([] if options.device == "cpu" else [options.device])], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def ask(self, ids, targets=None):
        self.process.stdin.write(json.dumps({"ids": ids, "targets": targets}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"a peer ended: {' '.join(map(str, self.process.args))}")
        return json.loads(line)

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def ours(options, model, dtype, batch):
    done = subprocess.run([options.bin / "ddpt", "--json", "bench", "generate", "--model", model, "--device", options.device, "--dtype", dtype, "--batch", str(batch), "--threads",
                           str(options.threads), "--input-tokens", str(options.tokens), "--output-tokens", str(options.tokens), "--runs", "2",
                           "--log-probabilities"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def width(report):
    """How many times as many multiply-adds a cycle as of float32."""
    if report["dtype"] == "float32" or report["device"] != "cpu":
        return 1
    return 16 if " amx_bf16 " in pathlib.Path("/proc/cpuinfo").read_text() else 2


def limit(report):
    wide = width(report)
    return max(report["flop"] / wide / report["peak_flop_per_second"], report["bytes"] / report["peak_bytes_per_second"])


def apart(found, exact):
    pairs = [(a, b) for row, other in zip(found, exact, strict=True) for a, b in zip(row, other, strict=True)]
    return sum(abs(a - b) for a, b in pairs) / len(pairs)


def contest(options, family, model, peers, batch):
    best, share, distance, token, exact = {}, {}, {}, {}, None
    for turn in range(options.rounds + 1):
        for dtype in options.dtype:
            report = ours(options, model, dtype, batch)
            seconds = report["best_seconds"]
            if turn == 0 or seconds < best[f"ddpt {dtype}"]:
                best[f"ddpt {dtype}"], share[f"ddpt {dtype}"] = seconds, limit(report) / seconds
                token[f"ddpt {dtype}"] = report["token_seconds"], report["token_bytes"] / report["peak_bytes_per_second"] / report["token_seconds"]
            if turn == 0:
                exact = exact if dtype != "float32" else report["log_probabilities"]
                if exact:
                    distance[f"ddpt {dtype}"] = apart(report["log_probabilities"], exact)
                ids, targets = report["instructions"], report["targets"]
        for name, peer in peers.items():
            seconds = peer.ask(ids)["seconds"]
            if turn == 0 and not name.startswith(("eager", "cached")):
                distance[name] = apart(peer.ask(ids, targets)["logprobs"], exact)
            if turn > 0:  # the first warms up
                best[name] = min(seconds, best.get(name, seconds))
    rates = {name: batch * options.tokens / seconds for name, seconds in best.items()}
    print(f"\n{family}, batch {batch}, {options.device}:\n\n| | tokens/s | of limit | a token | apart | " + " | ".join(f"against {name}" for name in peers) + " |\n" +
          "|---" * (5 + len(peers)) + "|")
    for name, rate in rates.items():
        cells = [f"{100 * share[name]:.0f} %" if name in share else "–",
                 f"{1e3 * token[name][0]:.2f} ms, {100 * token[name][1]:.0f} %" if name in token else "–", f"{distance[name]:.1e}" if name in distance else "–"]
        cells += [f"{rate / rates[peer]:.2f}x" for peer in peers]
        print(f"| {name} | {rate:.0f} | " + " | ".join(cells) + " |", flush=True)


def main():
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        for family in options.family:
            model = options.model or pathlib.Path(folder) / family
            if not options.model:
                random_checkpoint.write_checkpoint(model, *checkpoint(family))
            peers = {f"{engine} {dtype}": Peer(options, model, engine, dtype) for engine, dtype in peers_of(options, family)}
            for batch in options.batch:
                contest(options, family, model, peers, batch)
            for peer in peers.values():
                peer.end()


main()
