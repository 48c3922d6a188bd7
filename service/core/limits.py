"""The limits of a request, each declared once."""

from __future__ import annotations

MAX_PROMPT_CHARS = 2000
MAX_SEED = 2**53 - 1
"""The largest integer that every JSON reader keeps exact."""
SIZE_STEP_PX = 8
MAX_IMAGES, MAX_STEPS, MAX_GUIDANCE = 8, 200, 50.0
MAX_BEST_OF, MAX_RESTARTS, MAX_FRACTIONS = 8, 8, 8
MAX_COPIES = 8
MAX_REGIONS, MAX_STRENGTHS, MAX_SEEDS_PER_ATTEMPT, MAX_FEATHER_PX = 64, 8, 16, 64
