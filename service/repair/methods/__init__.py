"""Repair methods: each draws candidates for one region."""
