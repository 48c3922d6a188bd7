"""Detection of malformed hands and limbs in pixels. No diffusion, no HTTP, no storage."""
