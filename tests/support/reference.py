"""Slow, plain float64 NumPy twins of the ops. They import nothing from the package: that is their worth."""

from collections.abc import Sequence

import numpy as np

# ---- maps ------------------------------------------------------------------------------------------------


def resize_matrix(source: int, target: int) -> np.ndarray:
    """[target, source] weights of bilinear interpolation along one axis, align_corners=False."""
    matrix = np.zeros((target, source))
    for i in range(target):
        place = min(max((i + 0.5) * source / target - 0.5, 0), source - 1)
        low = int(place)
        high = min(low + 1, source - 1)
        matrix[i, low] += 1 - (place - low)
        matrix[i, high] += place - low
    return matrix


def class_activation_maps(maps: list[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    total = np.zeros((maps[0].shape[1], *size))
    for pair in maps:
        rows, columns = resize_matrix(pair.shape[2], size[0]), resize_matrix(pair.shape[3], size[1])
        plain, mirrored = (rows @ image @ columns.T for image in pair.astype(float))
        total += plain + mirrored[:, :, ::-1]
    return total / (total.max((1, 2), keepdims=True) + 1e-5)


# ---- dense CRF -------------------------------------------------------------------------------------------


def gaussian_kernel(features: np.ndarray) -> np.ndarray:
    """Exact exp(-|f_i - f_j|^2 / 2) [N, N] of features [N, d]."""
    return np.exp(-((features[:, None] - features[None]) ** 2).sum(-1) / 2)


def lattice_kernel(features: np.ndarray) -> np.ndarray:
    """What a permutohedral lattice makes of it, as a matrix [N, N] (slice x blur x splat)."""
    points, dimension = features.shape
    vertices: dict[tuple[int, ...], int] = {}
    entries = []
    for point, feature in enumerate(features):
        for key, weight in lattice_vertices(feature):
            entries.append((point, vertices.setdefault(key, len(vertices)), weight))
    spread = np.zeros((points, len(vertices)))
    for point, vertex, weight in entries:
        spread[point, vertex] += weight
    blur = np.eye(len(vertices))
    for axis in range(dimension + 1):
        step = np.full(dimension + 1, -1)
        step[axis] = dimension
        one = np.eye(len(vertices))
        for key, vertex in vertices.items():
            for side in (step, -step):
                neighbour = vertices.get(tuple((np.array(key) + side).tolist()))
                if neighbour is not None:
                    one[vertex, neighbour] += 0.5
        blur = one @ blur
    return spread @ blur @ spread.T / (1 + 2.0**-dimension)


def lattice_vertices(feature: np.ndarray) -> list[tuple[tuple[int, ...], float]]:
    """The d + 1 keys around one point and their barycentric weights, in float32 as the original."""
    d = len(feature)
    scaled = [
        np.float32(value) * np.float32(np.sqrt(2 / 3) * (d + 1) / np.sqrt((i + 1) * (i + 2)))
        for i, value in enumerate(feature)
    ]
    elevated = np.zeros(d + 1, np.float32)
    total = np.float32(0)
    for i in range(d, 0, -1):
        elevated[i] = total - np.float32(i) * scaled[i - 1]
        total += scaled[i - 1]
    elevated[0] = total
    nearest = np.rint(elevated / np.float32(d + 1)).astype(int)
    difference = elevated - nearest * np.float32(d + 1)
    rank = np.array([sum(difference > own) + sum(difference[:i] == own) for i, own in enumerate(difference)])
    rank += nearest.sum()
    nearest += (rank < 0).astype(int) - (rank > d).astype(int)
    rank = (rank + d + 1) % (d + 1)
    weight = np.zeros(d + 2)
    for i in range(d + 1):
        share = elevated[i] / (d + 1) - nearest[i]
        weight[d - rank[i]] += share
        weight[d + 1 - rank[i]] -= share
    weight[0] += 1 + weight[d + 1]
    origin = nearest * (d + 1)
    keys = [tuple((origin + r - (d + 1) * (rank > d - r)).tolist()) for r in range(d + 1)]
    return list(zip(keys, weight[: d + 1].tolist(), strict=True))


def crf_features(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features of the smoothness and the appearance kernel with the original's deviations."""
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width]
    place = np.stack([x, y], -1).reshape(-1, 2).astype(float)
    return place / 3, np.concatenate([place / 80, image.reshape(-1, 3) / 13], 1)


def mean_field(scores: np.ndarray, kernels: Sequence[tuple[float, np.ndarray]], iterations: int) -> np.ndarray:
    """Mean-field marginals [L, N] of scores [L, N]; kernels are (Potts weight, matrix [N, N])."""
    unary = -np.log(np.clip(scores, 1e-5, 1))
    norms = [1 / np.sqrt(kernel.sum(1) + 1e-20) for _, kernel in kernels]
    q = softmax(-unary)
    for _ in range(iterations):
        messages = (w * n * ((n * q) @ kernel.T) for (w, kernel), n in zip(kernels, norms, strict=True))
        q = softmax(-unary + sum(messages))
    return q


def softmax(logits: np.ndarray) -> np.ndarray:
    exponential = np.exp(logits - logits.max(0))
    return exponential / exponential.sum(0)


# ---- affinities ------------------------------------------------------------------------------------------


def pairs(height: int, width: int, radius: int, border: str) -> list[tuple[int, tuple[int, int], tuple[int, int]]]:
    """(offset number, source pixel, target pixel) of every pair."""
    offsets = [(0, dx) for dx in range(1, radius)]
    for dy in range(1, radius):
        offsets += [(dy, dx) for dx in range(-radius + 1, radius) if dy**2 + dx**2 < radius**2]
    found = []
    for p, (dy, dx) in enumerate(offsets):
        for y in range(height):
            for x in range(width):
                inside = y + dy < height and 0 <= x + dx < width
                kept = y < height - radius + 1 and radius - 1 <= x < width - radius + 1
                if inside and (border == "full" or kept):
                    found.append((p, (y, x), (y + dy, x + dx)))
    return found


def affinity(features: np.ndarray, source: tuple[int, int], target: tuple[int, int]) -> float:
    """exp(-mean_c |f_i - f_j|) in features [C, H, W]."""
    return float(np.exp(-np.abs(features[:, source[0], source[1]] - features[:, target[0], target[1]]).mean()))


def dense_affinity(features: np.ndarray, radius: int, border: str) -> np.ndarray:
    """The symmetric affinities [N, N] with 1 on the diagonal."""
    _, height, width = features.shape
    matrix = np.eye(height * width)
    for _, source, target in pairs(height, width, radius, border):
        i, j = (y * width + x for y, x in (source, target))
        matrix[i, j] = matrix[j, i] = affinity(features, source, target)
    return matrix


def affinity_labels(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    labels = low.argmax(0)
    labels[labels == 0] = 255
    labels[high.argmax(0) == 0] = 0
    labels[np.maximum(low, high).max(0) < 1e-5] = 255
    return labels


def affinity_loss(features: np.ndarray, labels: np.ndarray, radius: int, border: str) -> float:
    """The loss of a batch of features [B, C, H, W] with labels [B, H, W]."""
    losses: dict[str, list[float]] = {"background": [], "foreground": [], "negative": []}
    for image, label in zip(features, labels, strict=True):
        for _, source, target in pairs(label.shape[0], label.shape[1], radius, border):
            a, one, other = affinity(image, source, target), label[source], label[target]
            if 255 in (one, other):
                continue
            if one != other:
                losses["negative"].append(-np.log(1 + 1e-5 - a))
            else:
                losses["foreground" if one else "background"].append(-np.log(a + 1e-5))
    means = {kind: sum(values) / (len(values) + 1e-5) for kind, values in losses.items()}
    return means["background"] / 4 + means["foreground"] / 4 + means["negative"] / 2


def path(source: tuple[int, int], target: tuple[int, int]) -> list[tuple[int, int]]:
    """The pixels of the rectangle between two pixels that are nearer than 1 to the line through both."""
    (y0, x0), (y1, x1) = source, target
    length = float(np.hypot(y1 - y0, x1 - x0))
    found = []
    for y in range(min(y0, y1), max(y0, y1) + 1):
        for x in range(min(x0, x1), max(x0, x1) + 1):
            distance = abs((y1 - y0) * (x - x0) - (x1 - x0) * (y - y0)) / length
            if distance < 1 - 1e-9:
                found.append((y, x))
    return found


def boundary_affinity(boundaries: np.ndarray, source: tuple[int, int], target: tuple[int, int]) -> float:
    """1 - the highest boundary of [H, W] between two pixels."""
    return 1 - max(boundaries[point] for point in path(source, target))


def displacement_loss(displacement: np.ndarray, labels: np.ndarray, radius: int, border: str) -> float:
    """The loss of a batch of displacements [B, 2, H, W] with labels [B, H, W]."""
    apart, moved = [], []
    for field, label in zip(displacement, labels, strict=True):
        for _, source, target in pairs(label.shape[0], label.shape[1], radius, border):
            q = field[:, source[0], source[1]] - field[:, target[0], target[1]]
            if label[source] == label[target] != 255:
                if label[source]:
                    apart.append(np.abs(q - np.subtract(target, source)).sum())
                else:
                    moved.append(np.abs(q).sum())
    return sum(sum(terms) / (2 * len(terms) + 1e-5) for terms in (apart, moved)) / 2


def dice_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """1 - Dice of logits [B, C + 1, H, W] and labels [B, H, W], the mean over the classes in each image's labels."""
    losses = []
    for scores, truth in zip(logits, labels, strict=True):
        probabilities = softmax(scores)
        for label in range(1, len(scores)):
            wanted = truth[truth != 255] == label
            if wanted.any():
                found = probabilities[label][truth != 255]
                losses.append(1 - (2 * (found * wanted).sum() + 1) / (found.sum() + wanted.sum() + 1))
    return float(np.mean(losses))


def random_walk(scores: np.ndarray, affinities: np.ndarray, beta: float, steps: int) -> np.ndarray:
    """Scores [K, N] after the walk along affinities [N, N], as the released code computes it."""
    powered = affinities**beta
    return scores @ np.linalg.matrix_power(powered / powered.sum(0), steps)


# ---- metrics ---------------------------------------------------------------------------------------------


def confusion_matrix(prediction: np.ndarray, target: np.ndarray, classes: int) -> np.ndarray:
    matrix = np.zeros((classes, classes), int)
    for found, true in zip(prediction.ravel(), target.ravel(), strict=True):
        if true != 255:
            matrix[true, found] += 1
    return matrix


def mean_iou(confusion: np.ndarray) -> float:
    scores = []
    for c in range(len(confusion)):
        union = confusion[c].sum() + confusion[:, c].sum() - confusion[c, c]
        if union:
            scores.append(confusion[c, c] / union)
    return float(np.mean(scores))


def presence_loss(logits, labels, tags) -> float:
    """Binary cross-entropy of the classes of each crop, where labels or tags say whether they are there."""
    losses = []
    for scores, crop, whole in zip(logits.tolist(), labels.flatten(1).tolist(), tags.tolist(), strict=True):
        for number, (score, tag) in enumerate(zip(scores, whole, strict=True)):
            shown = number + 1 in crop
            if shown or not tag:
                losses.append(float(np.log1p(np.exp(-score if shown else score))))
    return sum(losses) / len(losses)
