"""Copy what a lone clone tests IRNet's operations with: python tests/golden/make_irn_small.py GOLDEN_FOLDER"""

import sys
from pathlib import Path

import numpy as np

KEPT = (
    "path_",
    "toy_edge",
    "toy_displacement",
    "toy_cam",
    "toy_classes",
    "toy_sem",
    "toy_centroids",
    "toy_clusters",
    "toy_ins_label",
    "toy_ins_score",
    "toy_ins_class",
    "piece_edge",
    "piece_path_affinity",
    "piece_cam",
    "piece_walk",
    "train_edge_logit",
    "train_displacement",
    "train_reduced_labels",
    "train_losses",
    "ap_",
)


def main(source: Path) -> None:
    golden = np.load(source / "irn_small.npz")
    kept = {name: golden[name] for name in golden if name.startswith(KEPT)}
    np.savez_compressed(Path(__file__).parent / "irn_small.npz", **kept)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
