"""Asking a server: a real one on this machine that speaks the API."""
