"""What hostile or unlucky things the service bears, measured: ``python -m bench.attacks NAME``."""
