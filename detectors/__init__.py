"""Finds malformed hands and limbs in pixels. Knows nothing of diffusion, HTTP or storage."""
