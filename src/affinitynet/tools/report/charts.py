"""Small SVG charts. They use the colours of the page, so that they follow its dark mode."""

from __future__ import annotations

import math
from collections.abc import Sequence

WIDTH, HEIGHT = 520, 180
LEFT, BOTTOM, TOP = 44, 22, 10
POINTS = 160  # per curve, after averaging


def loss_chart(label: str, losses: Sequence[float]) -> str:
    """Draw a training's losses, averaged over short runs of steps.

    Example:
        >>> loss_chart("loss", [1.0, 0.5]).startswith("<svg")
        True
    """
    finite = [loss for loss in losses if math.isfinite(loss)]
    if not finite:
        return ""
    run = max(1, math.ceil(len(finite) / POINTS))
    means = [sum(finite[i : i + run]) / len(finite[i : i + run]) for i in range(0, len(finite), run)]
    top = max(means) or 1.0
    x = [LEFT + (WIDTH - LEFT - 8) * i / max(1, len(means) - 1) for i in range(len(means))]
    y = [TOP + (HEIGHT - BOTTOM - TOP) * (1 - mean / top) for mean in means]
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    base = HEIGHT - BOTTOM
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}: from {means[0]:.3g} to {means[-1]:.3g}">'
        f'<path class="axis" d="M{LEFT},{TOP}V{base}H{WIDTH - 8}"/>'
        f'<text x="{LEFT - 6}" y="{TOP + 5}" text-anchor="end">{top:.2g}</text>'
        f'<text x="{LEFT - 6}" y="{base + 4}" text-anchor="end">0</text>'
        f'<text x="{WIDTH - 8}" y="{HEIGHT - 6}" text-anchor="end">step {len(losses)}</text>'
        f'<polyline class="line" points="{line}"/></svg>'
    )
