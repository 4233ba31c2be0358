#!/usr/bin/env python3
"""Writes tsne_golden.json for tests/core/evaluation with scikit-learn 1.7's exact t-SNE: 60 vectors in four clouds, their
joint probabilities, and the largest divergence that it ends with over ten random starts.

Usage: pip install scikit-learn==1.7.2 && ./tsne_golden.py
"""
import json
import pathlib

import numpy as np
from scipy.spatial.distance import pdist, squareform
from sklearn.manifold import TSNE
from sklearn.manifold._t_sne import _joint_probabilities

PERPLEXITY = 10


def main():
    random = np.random.default_rng(0)
    middles = random.normal(scale=2, size=(4, 6))
    vectors = np.round(np.concatenate([middle + random.normal(size=(15, 6)) for middle in middles]), 3)
    joint = _joint_probabilities(squareform(pdist(vectors, "sqeuclidean")), PERPLEXITY, 0)
    divergences = [TSNE(perplexity=PERPLEXITY, method="exact", init="random", random_state=seed).fit(vectors).kl_divergence_
                   for seed in range(10)]
    golden = {"perplexity": PERPLEXITY, "vectors": vectors.tolist(), "joint": [float(f"{value:.7g}") for value in joint],
              "largest_divergence": max(divergences)}
    path = pathlib.Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(golden) + "\n")
    print(sorted(divergences))


main()
