#!/usr/bin/env python3
"""Samples soft prompts from a denoiser file, written from core/diffusion/FORMAT.md alone.

Needs numpy. Runs the loop in all D dimensions in double precision.

  reference_sampler.py DENOISER.safetensors --sampler ddim --steps 50 --seed 7 --count 2 \
      --out prompts.safetensors
  reference_sampler.py DENOISER.safetensors ... --check SERVER.safetensors

The output, and the file to check, hold a tensor "prompts" [count, n, w]. --check exits with 1 when
a prompt differs by more than --tolerance of the largest element.
"""

import argparse
import json
import struct
import sys

import numpy as np

INITIAL, STEP, FULL_SPACE, NULL_SPACE = 0, 1, 0x40000000, 0x80000000


def read_safetensors(path):
    """(tensors, metadata) of a file of float32 tensors."""
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        assert entry["dtype"] == "F32", name
        tensors[name] = np.frombuffer(data[begin:end], "<f4").reshape(entry["shape"])
    return tensors, metadata


def write_safetensors(path, tensors, metadata=None):
    header, blobs, offset = {}, [], 0
    if metadata:
        header["__metadata__"] = metadata
    for name in sorted(tensors):
        blob = np.ascontiguousarray(tensors[name], "<f4").tobytes()
        header[name] = {
            "dtype": "F32",
            "shape": list(np.shape(tensors[name])),
            "data_offsets": [offset, offset + len(blob)],
        }
        offset += len(blob)
        blobs.append(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def normal(seed, draw, stage, count):
    """`count` standard normal numbers of one stream, float32 uniforms, the rest in double."""
    blocks = -(-count // 4)
    mask = np.uint64(0xFFFFFFFF)
    c0 = np.arange(blocks, dtype=np.uint64)
    c1 = np.full(blocks, stage, np.uint64)
    c2 = np.full(blocks, draw & 0xFFFFFFFF, np.uint64)
    c3 = np.full(blocks, draw >> 32, np.uint64)
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        high0, high1 = p0 >> np.uint64(32), p1 >> np.uint64(32)
        c0, c1, c2, c3 = (
            high1 ^ c1 ^ np.uint64(k0),
            p1 & mask,
            high0 ^ c3 ^ np.uint64(k1),
            p0 & mask,
        )
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    out = np.empty((blocks, 4))
    for first, (low, high) in ((0, (c0, c1)), (2, (c2, c3))):
        u = low.astype(np.float32) * np.float32(2**-32) + np.float32(2**-33)
        radius = np.sqrt(-2 * np.log(u.astype(np.float64)))
        angle = 2 * np.pi * (high >> np.uint64(8)).astype(np.float64) / 2**24
        out[:, first], out[:, first + 1] = radius * np.cos(angle), radius * np.sin(angle)
    return out.reshape(-1)[:count]


def silu(z):
    return z / (1 + np.exp(-z))


class LowerFactor:
    """L of W W^T with zero columns for zero pivots, and the solves with it."""

    def __init__(self, down):
        matrix = down @ down.T
        size, largest = len(matrix), matrix.diagonal().max()
        self.lower = np.zeros_like(matrix)
        for j in range(size):
            if matrix[j, j] > 1e-12 * largest:
                column = matrix[j:, j] / np.sqrt(matrix[j, j])
                self.lower[j:, j] = column
                matrix[j:, j:] -= np.outer(column, column)

    def solve(self, right):
        x = np.array(right)
        for j in range(len(x)):
            pivot = self.lower[j, j]
            x[j] = (x[j] - self.lower[j, :j] @ x[:j]) / pivot if pivot else 0
        return x

    def solve_transposed(self, right):
        x = np.array(right)
        for j in reversed(range(len(x))):
            pivot = self.lower[j, j]
            x[j] = (x[j] - self.lower[j + 1 :, j] @ x[j + 1 :]) / pivot if pivot else 0
        return x


class Denoiser:
    def __init__(self, path):
        tensors, self.meta = read_safetensors(path)
        assert self.meta["format"] == "ddpt-denoiser" and self.meta["format_version"] == "1"
        self.tensors = {name: value.astype(np.float64) for name, value in tensors.items()}
        self.reading = self.meta["reading"]
        self.steps = int(self.meta["train_steps"])
        self.shape = int(self.meta["context_length"]), int(self.meta["width"])
        self.size = self.shape[0] * self.shape[1]
        self.down = self.tensors["down.weight"]
        self.factor = LowerFactor(self.down)

    def alpha_bars(self):
        t, steps = np.arange(self.steps), self.steps
        if self.meta["schedule"] == "linear":
            start, end = float(self.meta["beta_start"]), float(self.meta["beta_end"])
            betas = start + (end - start) * t / max(steps - 1, 1)
        else:
            f = np.cos((np.arange(steps + 1) / steps + 0.008) / 1.008 * np.pi / 2) ** 2
            betas = np.minimum(1 - f[1:] / f[:-1], 0.999)
        return np.cumprod(1 - betas)

    def linear(self, name, x):
        return self.tensors[name + ".weight"] @ x + self.tensors[name + ".bias"]

    def tau(self, t):
        half = int(self.meta["time_features"]) // 2
        angles = t * 10000.0 ** (-np.arange(half) / half)
        features = np.concatenate([np.cos(angles), np.sin(angles)])
        return self.linear("time.2", silu(self.linear("time.1", features)))

    def phi(self, base, kappa):
        a = silu(base + kappa)
        for layer in range(int(self.meta["layers"])):
            a = a + silu(self.linear(f"hidden.{layer + 1}", a))
        return a

    def direction(self, x, t, condition, guidance):
        base = self.linear("down", x) + self.tau(t)
        null = self.tensors.get("condition.null", 0.0)
        if condition is None:
            phi = self.phi(base, null)
        else:
            phi = self.phi(base, self.tensors["condition.weight"] @ condition)
            if guidance != 1:
                phi = (1 - guidance) * self.phi(base, null) + guidance * phi
        return self.linear("up", phi)


def sampler_steps(denoiser, sampler, count, eta):
    """[(t, p, q, r, sigma)] in the order visited."""
    total, bars = denoiser.steps, denoiser.alpha_bars()
    times = [(2 * total * (count - i) + count) // (2 * count) - 1 for i in range(count)]
    log_ratio = lambda t: 0.5 * np.log(bars[t] / (1 - bars[t]))
    steps = []
    for i, t in enumerate(times):
        last = i + 1 == count
        if sampler == "residual":
            steps.append((t, 1.0, (t - (-1 if last else times[i + 1])) / total, 0.0, 0.0))
            continue
        if last:
            steps.append((t, 0.0, 1.0, 0.0, 0.0))
            continue
        now, after = bars[t], bars[times[i + 1]]
        a, s, a_next, s_next = np.sqrt([now, 1 - now, after, 1 - after])
        sigma = s_next / s * np.sqrt(1 - now / after)
        if sampler == "ancestral":
            p, q, r = a / a_next * s_next**2 / s**2, a_next * (1 - now / after) / s**2, 0.0
        elif sampler == "ddim":
            sigma *= eta
            p = np.sqrt(max(s_next**2 - sigma**2, 0)) / s
            q, r = a_next - a * p, 0.0
        else:
            p, q, r, sigma = s_next / s, a_next - a * s_next / s, 0.0, 0.0
            if i > 0:
                here = log_ratio(t)
                rho = (here - log_ratio(times[i - 1])) / (log_ratio(times[i + 1]) - here)
                r = -q / (2 * rho)
                q -= r
        steps.append((t, p, q, r, sigma))
    return steps


def null_space_scale(steps):
    """The root of the sum of (w_i sigma_i)^2, w_i the weight of step i's x' in the final x."""
    count = len(steps)
    weight = [0.0] * (count + 1)
    weight[count - 1] = 1.0
    for i in range(count - 1, 0, -1):
        _, p, q, _, _ = steps[i]
        r_next = steps[i + 1][3] if i + 1 < count else 0.0
        weight[i - 1] = weight[i] * (p + q) + weight[i + 1] * r_next
    return np.sqrt(sum((w * step[4]) ** 2 for w, step in zip(weight, steps)))


def sample(denoiser, sampler, count, eta=0.0, seed=0, draw=0, full_space=False, condition=None,
           guidance=1.0, initial_noise=None):
    """One prompt [n, w] in double precision."""
    steps = sampler_steps(denoiser, sampler, count, eta)
    x = initial_noise
    if x is None:
        x = normal(seed, draw, INITIAL, denoiser.size)
    x = np.asarray(x, np.float64).reshape(-1)
    before = np.zeros_like(x)
    for t, p, q, r, sigma in steps:
        d = denoiser.direction(x, t, condition, guidance)
        if denoiser.reading == "x0_residual":
            d = d + x
        x = p * x + q * d + r * before
        if sigma > 0 and full_space:
            x = x + sigma * normal(seed, draw, FULL_SPACE + t, denoiser.size)
        elif sigma > 0:
            eta_t = normal(seed, draw, STEP + t, len(denoiser.down))
            x = x + sigma * (denoiser.down.T @ denoiser.factor.solve_transposed(eta_t))
        before = d
    noisy = any(step[4] > 0 for step in steps)
    if noisy and not full_space and denoiser.reading == "x0_residual":
        zeta = normal(seed, draw, NULL_SPACE, denoiser.size)
        inside = denoiser.factor.solve_transposed(denoiser.factor.solve(denoiser.down @ zeta))
        x = x + null_space_scale(steps) * (zeta - denoiser.down.T @ inside)
    return denoiser.tensors["context"] + x.reshape(denoiser.shape)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("denoiser")
    parser.add_argument("--sampler", choices=["ancestral", "ddim", "dpm_solver_pp_2m", "residual"])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--eta", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--guidance", type=float, default=1.0)
    parser.add_argument("--condition", help='a file with a tensor "condition" [C]')
    parser.add_argument("--initial-noise", help='a file with a tensor "initial_noise" [n, w]')
    parser.add_argument("--full-space-noise", action="store_true")
    parser.add_argument("--out", help="write the prompts here")
    parser.add_argument("--check", help="compare with this file's prompts")
    parser.add_argument("--tolerance", type=float, default=1e-5)
    args = parser.parse_args()

    denoiser = Denoiser(args.denoiser)
    default = "residual" if denoiser.reading == "residual" else "ddim"
    sampler = args.sampler or default
    assert (sampler == "residual") == (denoiser.reading == "residual"), "sampler and reading differ"
    condition = noise = None
    if args.condition:
        condition = read_safetensors(args.condition)[0]["condition"].astype(np.float64)
    if args.initial_noise:
        noise = read_safetensors(args.initial_noise)[0]["initial_noise"]
    prompts = np.stack([
        sample(denoiser, sampler, args.steps, args.eta, args.seed, draw, args.full_space_noise,
               condition, args.guidance, noise)
        for draw in range(args.count)
    ])
    if args.out:
        write_safetensors(args.out, {"prompts": prompts}, {"denoiser": args.denoiser})
    if args.check:
        theirs = read_safetensors(args.check)[0]["prompts"].astype(np.float64)
        worst = np.abs(theirs - prompts).max() / np.abs(prompts).max()
        print(f"largest difference: {worst:.3g} of the largest element")
        return 0 if worst <= args.tolerance else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
