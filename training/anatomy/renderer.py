"""Draws posed bodies with moderngl on a headless EGL context: a picture, and which part each pixel shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import moderngl
import numpy as np
from numpy.typing import NDArray

from training.anatomy.bodies import NO_PART, Floats, PosedBody

SUPERSAMPLING = 2

_VERTEX = """
#version 330
uniform mat4 view_projection;
in vec3 position; in vec3 normal; in vec3 colour; in vec2 labels;
out vec3 v_normal; out vec3 v_colour; out vec3 v_position; flat out vec2 v_labels;
void main() {
    gl_Position = view_projection * vec4(position, 1.0);
    v_normal = normal; v_colour = colour; v_position = position; v_labels = labels;
}
"""
_FRAGMENT = """
#version 330
uniform vec3 to_light; uniform vec3 light; uniform vec3 sky; uniform vec3 bounce; uniform vec3 eye;
uniform float gloss;
in vec3 v_normal; in vec3 v_colour; in vec3 v_position; flat in vec2 v_labels;
layout(location = 0) out vec4 picture; layout(location = 1) out vec2 labels;
void main() {
    vec3 to_eye = normalize(eye - v_position);
    vec3 n = normalize(v_normal);
    if (dot(n, to_eye) < 0.0) n = -n;
    float lambert = max(dot(n, to_light) * 0.85 + 0.15, 0.0);
    float rim = pow(1.0 - max(dot(n, to_eye), 0.0), 2.0);
    float shine = pow(max(dot(n, normalize(to_light + to_eye)), 0.0), 24.0);
    vec3 albedo = pow(v_colour, vec3(2.2));
    vec3 ambient = mix(bounce, sky, n.y * 0.5 + 0.5);
    vec3 lit = albedo * (light * lambert + ambient) * (1.0 - 0.45 * rim) + gloss * shine * light;
    picture = vec4(pow(clamp(lit, 0.0, 1.0), vec3(1.0 / 2.2)), 1.0);
    labels = v_labels / 255.0;
}
"""


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """A pinhole camera; angles in degrees, positions in metres."""

    eye: Floats
    target: Floats
    roll_deg: float = 0.0
    fov_deg: float = 28.0

    def matrix(self) -> Floats:
        """The 4×4 world-to-clip matrix for a square picture."""
        axes = camera_axes(self.target - self.eye, self.roll_deg)
        view = np.eye(4)
        view[:3, :3] = axes
        view[:3, 3] = -axes @ self.eye
        near, far = 0.05, 60.0
        focal = 1 / np.tan(np.radians(self.fov_deg) / 2)
        projection = np.zeros((4, 4))
        projection[0, 0] = projection[1, 1] = focal
        projection[2, 2:] = (far + near) / (near - far), 2 * far * near / (near - far)
        projection[3, 2] = -1
        return np.asarray(projection @ view, np.float32)

    def project(self, points: Floats, size_px: int) -> Floats:
        """(N, 2) pixel positions of (N, 3) world points."""
        clip = np.c_[points, np.ones(len(points))] @ self.matrix().T
        flat = clip[:, :2] / clip[:, 3:]
        return np.asarray((flat * [0.5, -0.5] + 0.5) * size_px, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """One lamp and a coloured surrounding; colours are linear RGB."""

    to_light: Floats
    light: Floats
    sky: Floats
    bounce: Floats
    gloss: float = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Rendering:
    """uint8 image (H, W, 3); ``part_map`` and ``body_map`` (H, W) index all bodies' parts and the bodies."""

    image: NDArray[np.uint8]
    part_map: NDArray[np.uint8]
    body_map: NDArray[np.uint8]


def camera_axes(forward: Floats, roll_deg: float = 0.0) -> Floats:
    """Rows right, up, backward of a camera that looks along ``forward``."""
    back = -forward / np.linalg.norm(forward)
    right = np.cross([0.0, 1.0, 0.0], back)
    right /= np.linalg.norm(right)
    up = np.cross(back, right)
    c, s = np.cos(np.radians(roll_deg)), np.sin(np.radians(roll_deg))
    return np.stack([c * right + s * up, c * up - s * right, back]).astype(np.float32)


def fit_camera(
    points: Floats,
    forward: Floats,
    fill: float,
    shift: NDArray[np.float64],
    roll_deg: float = 0.0,
    fov_deg: float = 28.0,
) -> Camera:
    """The camera along ``forward`` in whose picture the points' longer side takes ``fill`` of the frame.

    ``shift`` moves the middle, as shares of the frame.
    """
    axes = camera_axes(forward, roll_deg)
    local = points @ axes.T
    low, high = local.min(axis=0), local.max(axis=0)
    half = float((high - low)[:2].max()) / 2 / fill
    middle = (low + high) / 2
    middle[:2] -= np.asarray(shift) * 2 * half
    distance = half / np.tan(np.radians(fov_deg) / 2) + (high[2] - low[2]) / 2
    target = middle @ axes
    return Camera(
        (target + axes[2] * distance).astype(np.float32), target.astype(np.float32), roll_deg, fov_deg
    )


def vertex_normals(vertices: Floats, faces: NDArray[np.int32]) -> Floats:
    """(V, 3) area-weighted smooth normals."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    across = np.cross(b - a, c - a)
    index = faces.reshape(-1)
    normals = np.stack(
        [np.bincount(index, np.repeat(across[:, k], 3), minlength=len(vertices)) for k in range(3)], axis=1
    )
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12), np.float32)


class Renderer:
    """Owns the GL context; one per process."""

    def __init__(self, size_px: int = 256) -> None:
        self.size_px = size_px
        self._context = moderngl.create_standalone_context(backend="egl")
        self._program = self._context.program(vertex_shader=_VERTEX, fragment_shader=_FRAGMENT)
        full = (size_px * SUPERSAMPLING,) * 2
        self._picture = self._context.texture(full, 4)
        self._labels = self._context.texture(full, 2)
        self._frame = self._context.framebuffer(
            [self._picture, self._labels], self._context.depth_renderbuffer(full)
        )

    def render(
        self, bodies: Sequence[PosedBody], camera: Camera, light: Light, background: NDArray[np.uint8]
    ) -> Rendering:
        """Draws the bodies over ``background``, uint8 (size_px, size_px, 3)."""
        self._frame.use()
        self._frame.clear(0.0, 0.0, 0.0, 0.0)
        self._context.enable(moderngl.DEPTH_TEST)
        self._set("view_projection", camera.matrix().T)
        for name in ("to_light", "light", "sky", "bounce", "gloss"):
            self._set(name, getattr(light, name))
        self._set("eye", camera.eye)
        first_part = 0
        for number, body in enumerate(bodies):
            self._draw(body, number + 1, first_part)
            first_part += len(body.parts)
        return self._read(background)

    def _set(self, name: str, value: object) -> None:
        if name in self._program:
            self._program[name].write(np.asarray(value, np.float32).tobytes())

    def _draw(self, body: PosedBody, number: int, first_part: int) -> None:
        # The clear value means "nothing here", so parts and bodies are counted from one in the texture.
        part = np.where(body.part_id == NO_PART, 0, body.part_id.astype(np.float32) + first_part + 1)
        labels = np.stack([part, np.full_like(part, number)], axis=1)
        normals = vertex_normals(body.vertices, body.faces)
        rows = np.concatenate([body.vertices, normals, body.colours, labels], axis=1).astype(np.float32)
        vertices = self._context.buffer(rows.tobytes())
        indices = self._context.buffer(body.faces.astype(np.int32).tobytes())
        array = self._context.vertex_array(
            self._program, [(vertices, "3f 3f 3f 2f", "position", "normal", "colour", "labels")], indices
        )
        array.render()
        for owned in (array, vertices, indices):
            owned.release()

    def _read(self, background: NDArray[np.uint8]) -> Rendering:
        full = self.size_px * SUPERSAMPLING
        drawn = np.frombuffer(self._picture.read(), np.uint8).reshape(full, full, 4)[::-1]
        labels = np.frombuffer(self._labels.read(), np.uint8).reshape(full, full, 2)[::-1]
        small = cv2.resize(drawn, (self.size_px,) * 2, interpolation=cv2.INTER_AREA).astype(np.float32)
        # Uncovered samples are black, so the averaged colour is already weighted by the coverage.
        image = small[..., :3] + background * (1 - small[..., 3:] / 255)
        step = slice(SUPERSAMPLING // 2, None, SUPERSAMPLING)
        at = labels[step, step]
        return Rendering(np.clip(image + 0.5, 0, 255).astype(np.uint8), at[..., 0] - 1, at[..., 1] - 1)
