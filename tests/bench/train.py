#!/usr/bin/env python3
"""A training step through the frozen model, `ddpt bench train`, against eager PyTorch through the whole model (eager_train.py), alternating.

    train.py [--bin DIR] [--model DIR ...] [--rounds N] [--batch B] [--input-tokens N] [--output-tokens N] [--threads N] [--dtype D ...]
             [--device cpu|cuda:N] [--torch-python PYTHON]

Without --model, on random checkpoints of the parallel-block family (random_checkpoint.py) with encoder 512x8 and decoder 1024x12 at vocabularies
of 51,200 and 8,192 and decoder 2048x16 at 8,192. Figures are medians over the rounds. "bound" is the ratio of the arithmetic of the two steps:
what keeping the decoder's trunks can gain where both sides compute at the same speed. "gradient" is the largest difference relative to the
largest element, from our own full model and from PyTorch. "GPU memory" is the most that tensors took in a step, ours and
PyTorch's. This Python needs numpy, --torch-python (default: this one) torch and safetensors.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import random_checkpoint

HERE = pathlib.Path(__file__).resolve().parent
SMALL_ENCODER = (512, 8, 8, 32)
GEOMETRIES = {"512x8, 1024x12, 51,200": ((1024, 12, 16, 32), 51_200), "512x8, 1024x12, 8,192": ((1024, 12, 16, 32), 8_192),
              "512x8, 2048x16, 8,192": ((2048, 16, 16, 64), 8_192)}


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, default=HERE.parent.parent / "build/release/bin")
    parser.add_argument("--model", type=pathlib.Path, nargs="+", default=[])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--input-tokens", type=int, default=64)
    parser.add_argument("--output-tokens", type=int, default=96)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of both sides")
    parser.add_argument("--dtype", nargs="+", default=["float32"])
    parser.add_argument("--device", default="cpu", help="of both sides")
    parser.add_argument("--torch-python", default=sys.executable)
    return parser.parse_args()


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def memory(report):
    return f"{report['gpu_peak_bytes'] / 1e9:.2f} GB" if report["gpu_peak_bytes"] else "–"


def contest(options, name, model, dtype, bench):
    ours, theirs = [], []
    for _ in range(options.rounds):
        ours.append(run(options.bin / "ddpt", "bench", "train", "--json", "--model", model, "--batch", options.batch, "--input-tokens",
                        options.input_tokens, "--output-tokens", options.output_tokens, "--threads", options.threads, "--dtype", dtype,
                        "--device", options.device, "--runs", 3, "--write", bench))
        theirs.append(run(options.torch_python, HERE / "eager_train.py", model, bench, options.threads, 3, options.device, dtype))
    mine, peer = (statistics.median(report["median_seconds"] for report in side) for side in (ours, theirs))
    bound, last = ours[-1]["full_flop"] / ours[-1]["flop"], theirs[-1]
    limit = f"{100 * statistics.median(report['share_of_peak'] for report in ours):.0f} %" if "bound" in ours[-1] else "–"
    print(f"| {name} | {dtype} | {1e3 * mine:.0f} ms | {1e3 * peer:.0f} ms | {peer / mine:.2f}x | {bound:.2f}x | {100 * peer / mine / bound:.0f} % | "
          f"{limit} | {ours[-1]['grad_rel_diff']:.1e}, {last['max_relative_difference']:.1e} | {ours[-1]['trunk_bytes'] / options.batch / 1e3:.0f} kB | "
          f"{memory(ours[-1])}, {memory(last)} |",
          flush=True)


def main():
    options = parse()
    print(f"batch {options.batch}, {options.input_tokens} + {options.output_tokens} tokens, {options.threads} threads, {options.device}, "
          f"{options.rounds} rounds\n")
    print("| encoder, decoder, vocabulary | dtype | a step | eager PyTorch | ratio | bound | share | of multiply-adds | gradient | trunk an example | GPU memory |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        models = {model.name: model for model in options.model}
        for name, (decoder, vocabulary) in GEOMETRIES.items() if not options.model else ():
            models[name] = pathlib.Path(folder) / str(len(models))
            random_checkpoint.write_checkpoint(models[name], *random_checkpoint.parallel(SMALL_ENCODER, decoder, vocabulary))
        for name, model in models.items():
            for dtype in options.dtype:
                contest(options, name, model, dtype, pathlib.Path(folder) / "bench.safetensors")


main()
