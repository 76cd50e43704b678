"""How good an answer in benchmarks/registration.py is: errors against the truth of a pair, and whether it succeeds.

Rigid pairs: angle and shift between where the points went and where they belong; a success is below 1 degree and 0.5 %
of the diagonal. Non-rigid pairs: mean distance of moved point i from target point i over the target's diameter; a
success is below that of the best affine map, which was fitted on the truth itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from peers.cases import Array, Case

DEGREES, SHIFT_PERCENT = 1.0, 0.5
INLIER = 0.01  # of the diagonal
TRIMMED = 0.5  # share of the points, the nearest, whose distances count where a pair has no truth


def score(case: Case, moved: Array) -> dict[str, Any]:
    """Errors and success of the moved points of a case's source."""
    if not np.isfinite(moved).all():
        return {"success": False, "failed": "the answer is not finite"}
    if case.kind == "rigid":
        return _pose(case, moved)
    if case.kind == "no truth":
        return _nearness(case, moved)
    known = case.known["baseline_mean_error_over_diameter"]
    diameter = case.known["target_diameter"]
    if case.landmarks is not None:
        here, there = case.landmarks
        _, nearest = cKDTree(case.source.points).query(here)
        error = np.linalg.norm(here + (moved - case.source.points)[nearest] - there, axis=1).mean() / diameter
        # Four landmarks fit any affine map, so the best rigid one is the bar.
        return {"error": float(error), "best_rigid": known["best_rigid"], "success": bool(error < known["best_rigid"])}
    error = np.linalg.norm(moved - case.truth, axis=1).mean() / diameter
    return {
        "error": float(error),
        "best_rigid": known["best_rigid"],
        "best_affine": known["best_affine"],
        "success": bool(error < known["best_affine"]),
    }


def _pose(case: Case, moved: Array) -> dict[str, Any]:
    assert case.truth is not None
    degrees = _angle(moved, case.truth)
    shift = 100 * float(np.linalg.norm((moved - case.truth).mean(0))) / case.diagonal
    square = float(np.square(moved - case.truth).sum(1).mean())
    return {
        "rotation_degrees": degrees,
        "translation_percent": shift,
        "rms_percent": 100 * square**0.5 / case.diagonal,
        "success": degrees < DEGREES and shift < SHIFT_PERCENT,
    }


def _angle(points: Array, others: Array) -> float:
    """Degrees of the rotation that best turns one cloud into the other, point by point."""
    u, _, vt = np.linalg.svd((others - others.mean(0)).T @ (points - points.mean(0)))
    u[:, -1] *= np.linalg.det(u @ vt)
    # |R - 1|^2 = 8 sin^2(angle / 2): exact for small angles, where the trace is not.
    return float(np.degrees(2 * np.arcsin(min(1.0, np.linalg.norm(u @ vt - np.eye(len(vt))) / 8**0.5))))


def _nearness(case: Case, moved: Array) -> dict[str, Any]:
    """Without a truth: shares of points near the target, before and after, and how near the nearer half of them is."""
    tree = cKDTree(case.target.points)
    before, after = (np.sort(tree.query(points)[0]) / case.diagonal for points in (case.source.points, moved))
    near = after[: int(TRIMMED * len(after))]
    shares = [float((distances < INLIER).mean()) for distances in (before, after)]
    return {
        "inliers_before": shares[0],
        "inliers": shares[1],
        "trimmed_rms_percent": 100 * float(np.square(near).mean() ** 0.5),
        "success": None,
    }
