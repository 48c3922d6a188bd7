"""The process around the service: settings, logs, traces, the libraries' environment."""
