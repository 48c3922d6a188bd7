"""Records used throughout the service: parameters, requests, reports, errors. No torch, no HTTP."""
