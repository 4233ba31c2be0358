"""Makes philox.safetensors: normal numbers of core/base/philox.h, computed independently.

Philox4x32-10 in Python integers; Box-Muller in float64 after u and the angle were rounded to float32
as the definition says. Run in this folder: python make_philox.py
"""

import math

import numpy as np
from safetensors.numpy import save_file

STREAMS = [(0, 0, 0), (1, 0, 0), (0xDEADBEEFCAFEF00D, 0x123456789ABCDEF0, 7)]
COUNT = 1026
MASK = 0xFFFFFFFF


def philox(counter, key):
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        a, b = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (b >> 32) ^ c1 ^ k0, b & MASK, (a >> 32) ^ c3 ^ k1, a & MASK
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return c0, c1, c2, c3


def box_muller(r0, r1):
    u = np.float32(r0) * np.float32(2.0**-32) + np.float32(2.0**-33)
    radius = math.sqrt(-2.0 * math.log(float(u)))
    angle = 2.0 * math.pi * (r1 >> 8) * 2.0**-24
    return radius * math.cos(angle), radius * math.sin(angle)


def normals(seed, sample, stage, count):
    out = []
    for block in range((count + 3) // 4):
        counter = (block, stage, sample & MASK, sample >> 32)
        r = philox(counter, (seed & MASK, seed >> 32))
        out += [*box_muller(r[0], r[1]), *box_muller(r[2], r[3])]
    return np.array(out[:count], dtype=np.float32)


if __name__ == "__main__":
    tensors = {f"stream_{i}": normals(*stream, COUNT) for i, stream in enumerate(STREAMS)}
    save_file(tensors, "philox.safetensors")
