"""Storage of pictures and masks, by the hash of their bytes."""
