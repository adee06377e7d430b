"""Tests of `clean`."""
