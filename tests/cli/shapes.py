"""A small shape with a known size, written at any scale, turn and shift."""

from pathlib import Path

import numpy as np


def ellipsoid_ply(path: Path, *, scale: float = 1.0, turn: float = 0.0, shift: float = 0.0) -> Path:
    """An ASCII PLY of a bumpy ellipsoid's surface, about 300 triangles, with a colour per vertex.

    scale multiplies all coordinates; turn, in degrees, is about the z axis; shift is along x, before scaling.
    """
    rings, sectors = 11, 16
    polar = np.linspace(0, np.pi, rings)[1:-1]
    around = np.arange(sectors) * 2 * np.pi / sectors
    theta, phi = (grid.ravel() for grid in np.meshgrid(polar, around, indexing="ij"))
    bump = 1 + 0.25 * np.exp(-((theta - 0.8) ** 2 + (phi - 1.0) ** 2) / 0.2)
    sphere = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=1) * bump[:, None]
    points = np.concatenate([sphere, [[0, 0, 1], [0, 0, -1]]]) * [3.0, 2.0, 1.0]
    angle = np.radians(turn)
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    points = (points @ rotation.T + [shift, 0, 0]) * scale
    faces = []
    for ring in range(rings - 3):
        for k in range(sectors):
            a, b = ring * sectors + k, ring * sectors + (k + 1) % sectors
            faces += [(a, a + sectors, b + sectors), (a, b + sectors, b)]
    north, south, last = len(sphere), len(sphere) + 1, (rings - 3) * sectors
    for k in range(sectors):
        faces += [(north, k, (k + 1) % sectors), (south, last + (k + 1) % sectors, last + k)]
    lines = ["ply", "format ascii 1.0", f"element vertex {len(points)}"]
    lines += [f"property double {axis}" for axis in "xyz"] + ["property uchar red"]
    lines += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    lines += [f"{x:.17g} {y:.17g} {z:.17g} {index % 256}" for index, (x, y, z) in enumerate(points)]
    lines += [f"3 {a} {b} {c}" for a, b, c in faces]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return path
