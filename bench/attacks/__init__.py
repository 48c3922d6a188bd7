"""What was done to the service to stop it, as commands: each prints a small table of how it fared."""
