"""Turning numbers into pixels."""
