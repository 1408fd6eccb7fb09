"""Tests of the export rooms."""
