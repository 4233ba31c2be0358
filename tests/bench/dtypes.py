#!/usr/bin/env python3
"""What keeping a base model in fewer bits costs and gains, against float32 in the same run:

    dtypes.py [--examples N] [--speed-model DIR ...] [--device cpu|cuda:N] [--threads N] [--runs N]

The embedded model scores and writes code for N test examples of each of its five styles (default 100), told which style is wanted: mean and
largest difference of a token's log-probability, and of the BLEU-4 of greedy code. Speed is that of `ddpt bench generate` (64 tokens in, 32 out)
on the checkpoint of each --speed-model, e.g. one of random_checkpoint.py, on a processor with the share of the machine's limit measured in
the same run. The programs are those of DDPT_BIN, by default build/release/bin. Python's standard library only."""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from prompt_table import ROOT, read_lines, write_lines

BIN = pathlib.Path(os.environ.get("DDPT_BIN", ROOT / "build/release/bin")).absolute()
STYLES = ("pyline", "pydef", "js", "sql", "sh")


def dtypes(options):
    return ("float32", "bfloat16", *(["float16"] if options.device != "cpu" else []), "int8")


def limit(row):
    return f"{100 * row['share_of_peak']:.0f} %, {row['bound']}" if "bound" in row else "–"


def run(*command, **environment):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, env=os.environ | environment)
    if done.returncode != 0:
        sys.exit(f"{command}\n{done.stderr}")
    return done.stdout


def write_examples(path, count):
    rows = []
    for style in STYLES:
        told = read_lines(run(BIN / "ddpt-corpus", "--task", style, "--split", "test"))[:count]
        rows += [{"instruction": row["oracle_text"], "code": row["code"]} for row in told]
    write_lines(path, rows)


def quality(examples, folder, device, dtype):
    """Log-probabilities of all tokens, and BLEU-4 of greedy code."""
    predictions = folder / f"{dtype}.jsonl"
    script = f'ddpt --json score --examples "{examples}" && ddpt generate --examples "{examples}" >"{predictions}"'
    scores = read_lines(run(ROOT / "deploy/with-server", "bash", "-c", script, DDPT_DTYPE=dtype, DDPT_DEVICE=device))
    report = json.loads(run(BIN / "ddpt", "--json", "evaluate", "--predictions", predictions, "--references", examples))
    return [value for score in scores for value in score["token_logprobs"]], report["bleu4"]


def print_quality(options):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        examples = folder / "examples.jsonl"
        write_examples(examples, options.examples)
        print("| dtype | NLL, nats a token | mean difference of a log-probability | largest | BLEU-4 | difference |\n|---|---|---|---|---|---|")
        exact = None
        for dtype in dtypes(options):
            values, bleu = quality(examples, folder, options.device, dtype)
            exact = exact or (values, bleu)
            apart = [abs(a - b) for a, b in zip(values, exact[0], strict=True)]
            print(f"| {dtype} | {-sum(values) / len(values):.5f} | {sum(apart) / len(apart):.5f} | {max(apart):.3f} | "
                  f"{bleu:.4f} | {bleu - exact[1]:+.4f} |", flush=True)


def print_speed(options, model):
    print(f"\n{model.name}:\n\n| dtype | batch | load, s | kept, GB | most memory, GB | tokens/s | against float32 | of the limit |\n|---|---|---|---|---|---|---|---|")
    first = {}
    for dtype in dtypes(options):
        for batch in (1, 8):
            row = json.loads(run(BIN / "ddpt", "--json", "bench", "generate", "--model", model, "--dtype", dtype, "--batch", batch, "--device", options.device,
                                 "--threads", options.threads, "--runs", options.runs, "--output-tokens", 32))
            rate = row["tokens_per_second"]
            first.setdefault(batch, rate)
            print(f"| {dtype} | {batch} | {row['load_seconds']:.1f} | {row['kept_bytes'] / 1e9:.2f} | {row['peak_bytes_loading'] / 1e9:.2f} | "
                  f"{rate:.1f} | {rate / first[batch]:.2f}x | {limit(row)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--speed-model", type=pathlib.Path, action="append", default=[])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    print_quality(options)
    for model in options.speed_model:
        print_speed(options, model)


main()
