"""Masks in the layouts that other tools read."""
