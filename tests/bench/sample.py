#!/usr/bin/env python3
"""Compares `ddpt bench sample` with the eager full-space loop, alternating, and prints the ratio.

    sample.py [--bin DIR] [--rounds N] [--batch B] [--threads N] [--steps S] [--width D] [--latent H]
              [--dtype float32|bfloat16] [--torch-python PYTHON] [--out FILE]

DIR holds the binaries `ddpt` and `eager-sample`. Both sides run on the same denoiser (random
weights, seed 0) from the same x_T, DDIM, eta 0. Each round runs one and then the other, so that a
busy machine slows both; the figures are the medians over all rounds. With --torch-python the loop
also runs in that Python's PyTorch. "of limit" is the share of what this machine's reads or
multiply-adds, measured in the same run, allow; "of mm" that of LibTorch's best product of two
matrices of 1536 x 1536 on the peer's threads. Prints a table, then one line of JSON; exit code 1 when
a peer's prompts differ from ours by more than 1e-3 of their largest element, 5e-2 in bfloat16.
Python's standard library only.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2}
HERE = pathlib.Path(__file__).resolve().parent


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", default=HERE.parent.parent / "build/release/bin", type=pathlib.Path)
    parser.add_argument("--rounds", default=5, type=int)
    parser.add_argument("--batch", default=1, type=int)
    parser.add_argument("--threads", default=1, type=int, help="of ours")
    parser.add_argument("--peer-threads", default=2, type=int)
    parser.add_argument("--steps", default=2000, type=int)
    parser.add_argument("--width", default=10240, type=int, help="D = n w, with n = 10")
    parser.add_argument("--latent", default=256, type=int)
    parser.add_argument("--dtype", default="float32", choices=TOLERANCE, help="of our weights")
    parser.add_argument("--torch-python", help="interpreter with PyTorch")
    parser.add_argument("--out", type=pathlib.Path, help="also writes the JSON to this file")
    return parser.parse_args()


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


class Contest:
    def __init__(self, options, folder):
        self.options = options
        self.denoiser = os.path.join(folder, "denoiser.safetensors")
        self.bench = os.path.join(folder, "bench.safetensors")
        self.reports = {}
        run(options.bin / "ddpt", "tasks", "random", self.denoiser, "--context", 10, "--width",
            options.width // 10, "--latent", options.latent, "--seed", 0, "--json")

    def ours(self):
        options = self.options
        return run(options.bin / "ddpt", "bench", "sample", "--denoiser", self.denoiser, "--steps",
                   options.steps, "--batch", options.batch, "--threads", options.threads, "--runs",
                   5, "--dtype", options.dtype, "--write", self.bench, "--json")

    def peer(self, *program):
        return run(*program, self.denoiser, self.bench, self.options.peer_threads, 1)

    def play(self):
        contenders = {"ddpt": self.ours}
        contenders["eager LibTorch"] = lambda: self.peer(self.options.bin / "eager-sample")
        if self.options.torch_python:
            script = HERE / "eager_sample.py"
            contenders["eager PyTorch"] = lambda: self.peer(self.options.torch_python, script)
        for turn in range(self.options.rounds):
            for name, contender in contenders.items():
                print(f"round {turn + 1}/{self.options.rounds}: {name}", file=sys.stderr)
                self.reports.setdefault(name, []).append(contender())


def summary(options, reports):
    ours = reports["ddpt"]
    result = {"steps": options.steps, "width": options.width, "latent": options.latent,
              "batch": options.batch, "dtype": options.dtype, "rounds": options.rounds,
              "bound": ours[0]["bound"],
              "share_of_peak": statistics.median(r["share_of_peak"] for r in ours),
              "share_of_matrix_product": statistics.median(r["flop_per_second"] for r in ours)
              / max(r["matrix_product_flop_per_second"] for r in reports["eager LibTorch"]),
              "contenders": {}}
    ours_median = statistics.median(r["median_seconds"] for r in ours)
    for name, rows in reports.items():
        median = statistics.median(r["median_seconds"] for r in rows)
        entry = {"median_seconds": median, "best_seconds": min(r["best_seconds"] for r in rows),
                 "threads": rows[0]["threads"], "ratio": median / ours_median}
        if name != "ddpt":
            entry["max_relative_difference"] = max(r["max_relative_difference"] for r in rows)
        result["contenders"][name] = entry
    return result


def main():
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        contest = Contest(options, folder)
        contest.play()
    result = summary(options, contest.reports)
    print(f"{options.batch} prompt(s), D = {options.width}, h = {options.latent}, "
          f"{options.steps} DDIM steps, {options.dtype}; ddpt is at {100 * result['share_of_peak']:.0f} % of limit "
          f"({result['bound']}), {100 * result['share_of_matrix_product']:.0f} % of mm")
    print(f"{'':16}{'threads':>8}{'median s':>12}{'best s':>12}{'ratio':>9}{'max rel. diff.':>16}")
    for name, row in result["contenders"].items():
        difference = row.get("max_relative_difference")
        print(f"{name:16}{row['threads']:>8}{row['median_seconds']:>12.5f}{row['best_seconds']:>12.5f}"
              f"{row['ratio']:>9.1f}{'' if difference is None else f'{difference:>16.2e}'}")
    print(json.dumps(result))
    if options.out:
        options.out.write_text(json.dumps(result) + "\n")
    worst = max(row.get("max_relative_difference", 0) for row in result["contenders"].values())
    tolerance = TOLERANCE[options.dtype]
    if not worst <= tolerance:
        sys.exit(f"the prompts differ by {worst:.2e}, more than {tolerance:.0e}")


if __name__ == "__main__":
    main()
