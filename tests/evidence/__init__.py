"""Tests of the evidence rooms."""
