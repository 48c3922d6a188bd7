"""Loading and running of latent diffusion models."""
