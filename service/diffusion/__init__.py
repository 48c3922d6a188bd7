"""Loading and running latent diffusion models."""
