"""The API of the stable-diffusion web UI, for front ends that speak that already."""
