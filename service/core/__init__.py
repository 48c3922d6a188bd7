"""The records that flow through the service: parameters, requests, reports, errors. Plain values; no torch, no HTTP."""
