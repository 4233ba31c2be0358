#!/usr/bin/env python3
"""Makes the golden denoisers of this folder and the prompts that reference_sampler.py draws from
them: denoiser_NAME.safetensors and denoiser_NAME_prompts.safetensors. Run it in this folder.

A prompts file holds one tensor [2, n, w] for each case, draws 0 and 1 of seed SEED, named
sampler,steps,eta,noise,guidance with noise "latent" or "full", and "condition" [C] if C > 0; with
guidance "none" no condition was given.
"""

import numpy as np

import reference_sampler as reference

SEED = 0x1234567890ABCDEF

X0_CASES = [
    ("ddim", 20, 0.0, "latent"), ("ddim", 1, 0.0, "latent"), ("ddim", 20, 0.5, "latent"),
    ("ddim", 20, 1.0, "full"), ("ancestral", 20, 0.0, "latent"), ("ancestral", 20, 0.0, "full"),
    ("dpm_solver_pp_2m", 20, 0.0, "latent"), ("dpm_solver_pp_2m", 7, 0.0, "latent"),
]
RESIDUAL_CASES = [("residual", 20, 0.0, "latent"), ("residual", 3, 0.0, "latent")]


def make(name, cases, reading, schedule="linear", n=2, w=24, h=16, layers=2, features=8, c=0):
    rng = np.random.default_rng(len(name))
    size = n * w

    def draw(scale, *shape):
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    tensors = {
        "down.weight": draw(size**-0.5, h, size), "down.bias": draw(0.1, h),
        "time.1.weight": draw(features**-0.5, h, features), "time.1.bias": draw(0.1, h),
        "time.2.weight": draw(h**-0.5, h, h), "time.2.bias": draw(0.1, h),
        "up.weight": draw(0.5 * h**-0.5, size, h), "up.bias": draw(0.1, size),
        "context": draw(0.02, n, w),
    }
    for layer in range(layers):
        tensors[f"hidden.{layer + 1}.weight"] = draw(0.5 * h**-0.5, h, h)
        tensors[f"hidden.{layer + 1}.bias"] = draw(0.1, h)
    condition = None
    if c > 0:
        tensors["condition.weight"], tensors["condition.null"] = draw(0.5, h, c), draw(0.1, h)
        condition = draw(1, c)
    metadata = {
        "format": "ddpt-denoiser", "format_version": "1", "reading": reading,
        "schedule": schedule, "beta_start": "0.0001", "beta_end": "0.02", "train_steps": "2000",
        "context_length": str(n), "width": str(w), "latent": str(h), "layers": str(layers),
        "time_features": str(features), "condition_width": str(c), "reference": "ema",
        "method": "random", "base_model_digest": "", "note": f"golden {name}",
    }
    path = f"denoiser_{name}.safetensors"
    reference.write_safetensors(path, tensors, metadata)

    denoiser = reference.Denoiser(path)
    out = {} if condition is None else {"condition": condition}
    for case in cases:
        for guidance in ["none"] if condition is None else ["none", 1, 2.5]:
            given = None if guidance == "none" else condition.astype(np.float64)
            scale = 1.0 if guidance == "none" else float(guidance)
            sampler, steps, eta, noise = case
            out[",".join(map(str, (*case, guidance)))] = np.stack([
                reference.sample(denoiser, sampler, steps, eta, SEED, draw, noise == "full", given,
                                 scale)
                for draw in range(2)
            ])
    reference.write_safetensors(f"denoiser_{name}_prompts.safetensors", out)


if __name__ == "__main__":
    make("x0", X0_CASES, "x0", c=3)
    make("x0_residual", X0_CASES, "x0_residual", schedule="cosine", layers=1)
    make("x0_residual_singular", X0_CASES, "x0_residual", n=1, w=8)
    make("residual", RESIDUAL_CASES, "residual", layers=0)
