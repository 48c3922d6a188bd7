"""The API of the stable-diffusion web UI, for existing front ends of it."""
