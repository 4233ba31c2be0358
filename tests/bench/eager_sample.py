#!/usr/bin/env python3
"""The peer of `ddpt bench sample` in Python: DDIM in all D dimensions with PyTorch, eager.

    eager_sample.py DENOISER.safetensors BENCH.safetensors [THREADS [RUNS [DEVICE]]]

The same loop, on the same files and with the same output as eager_sample.cc; DEVICE is cpu or cuda:N.
The figures for the product of matrices are the best of a few; on a GPU float32 is without TF32, and
there is one for bfloat16. Needs torch only.
"""

import json
import math
import sys
import time

import torch
from torch.nn.functional import linear, silu


def read_safetensors(path):
    with open(path, "rb") as file:
        data = file.read()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        tensor = torch.frombuffer(bytearray(data[begin:end]), dtype=torch.float32)
        tensors[name] = tensor.reshape(entry["shape"])
    return tensors, metadata


def alpha_bars(metadata):
    total = int(metadata["train_steps"])
    if metadata["schedule"] != "linear":
        sys.exit("eager_sample.py: only the linear schedule is known here")
    first, last = float(metadata["beta_start"]), float(metadata["beta_end"])
    product, result = 1.0, []
    for t in range(total):
        product *= 1 - (first + (last - first) * t / max(1, total - 1))
        result.append(product)
    return result


def ddim_steps(metadata, count):
    """(t, p, q) of each step: x' = p x + q x0_hat."""
    bars = alpha_bars(metadata)
    total = len(bars)
    times = [math.floor(total * (count - i) / count + 0.5) - 1 for i in range(count)]
    steps = []
    for i, t in enumerate(times):
        following = bars[times[i + 1]] if i + 1 < count else 1.0
        p = math.sqrt((1 - following) / (1 - bars[t]))
        steps.append((t, p, math.sqrt(following) - p * math.sqrt(bars[t])))
    return steps


def time_biases(weights, metadata):
    """b + tau(t), one vector for each t."""
    half = int(metadata["time_features"]) // 2
    frequency = 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = torch.arange(int(metadata["train_steps"]), dtype=torch.float64)[:, None] * frequency
    features = torch.cat([angle.cos(), angle.sin()], 1).float()
    inner = silu(linear(features, weights["time.1.weight"], weights["time.1.bias"]))
    table = linear(inner, weights["time.2.weight"], weights["time.2.bias"])
    return list(table + weights["down.bias"])


def sample(weights, biases, steps, layers, x):
    down, up, up_bias = weights["down.weight"], weights["up.weight"], weights["up.bias"]
    for t, p, q in steps:
        a = silu(linear(x, down, biases[t]))
        for weight, bias in layers:
            a = a + silu(linear(a, weight, bias))
        x = x.mul(p).add(linear(a, up, up_bias), alpha=q)
    return x + weights["context"].flatten()


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matrix_product_speed(device, size, dtype=torch.float32):
    a, b = torch.randn(2, size, size, device=device, dtype=dtype)
    best = math.inf
    for _ in range(6):
        synchronize(device)
        begin = time.perf_counter()
        torch.mm(a, b)
        synchronize(device)
        best = min(best, time.perf_counter() - begin)
    return 2 * size**3 / best


@torch.inference_mode()
def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    threads = int(sys.argv[3]) if len(sys.argv) > 3 else 2
    runs = int(sys.argv[4]) if len(sys.argv) > 4 else 3
    device = torch.device(sys.argv[5] if len(sys.argv) > 5 else "cpu")
    torch.set_num_threads(threads)
    weights, metadata = read_safetensors(sys.argv[1])
    bench, about = read_safetensors(sys.argv[2])
    if metadata["reading"] != "x0" or about["sampler"] != "ddim":
        sys.exit("eager_sample.py: only reading x0 under ddim has this loop")
    noise = bench["initial_noise"].flatten(1)
    ours = bench["prompts"].flatten(1)
    count = int(metadata["layers"]) + 1
    layers = [(weights[f"hidden.{n}.weight"], weights[f"hidden.{n}.bias"]) for n in range(1, count)]
    biases = time_biases(weights, metadata)
    steps = ddim_steps(metadata, int(about["steps"]))
    weights = {name: tensor.to(device) for name, tensor in weights.items()}
    biases = [bias.to(device) for bias in biases]
    layers = [(weight.to(device), bias.to(device)) for weight, bias in layers]
    sample(weights, biases, steps[:50], layers, noise.to(device))
    seconds = []
    for _ in range(runs):
        synchronize(device)
        begin = time.perf_counter()
        prompts = sample(weights, biases, steps, layers, noise.to(device)).cpu()
        seconds.append(time.perf_counter() - begin)
    seconds.sort()
    difference = ((prompts - ours).abs().max() / ours.abs().max()).item()
    report = {
        "median_seconds": seconds[len(seconds) // 2],
        "best_seconds": seconds[0],
        "runs": len(seconds),
        "batch": noise.shape[0],
        "threads": threads,
        "steps": len(steps),
        "max_relative_difference": difference,
        "matrix_product_flop_per_second": matrix_product_speed(device, 1536 if device.type == "cpu" else 8192),
    }
    if device.type == "cuda":
        report["bfloat16_matrix_product_flop_per_second"] = matrix_product_speed(device, 8192, torch.bfloat16)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
