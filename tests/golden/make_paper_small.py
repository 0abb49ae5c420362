"""Copy what a lone clone tests the paper's networks with: python tests/golden/make_paper_small.py GOLDEN_FOLDER"""

import sys
from pathlib import Path

import numpy as np


def main(source: Path) -> None:
    kept = {}
    for network in ("vgg16", "resnet38"):
        golden = np.load(source / f"{network}_small.npz")
        kept["image"] = golden["image"]
        kept[f"{network}_logits"] = golden["logits"][0]
        kept[f"{network}_cam"] = golden["cam"][0, [0, 7, 14]]
        kept[f"{network}_affinity"] = golden["affinity"][0]
    np.savez_compressed(Path(__file__).parent / "paper_small.npz", **kept)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
