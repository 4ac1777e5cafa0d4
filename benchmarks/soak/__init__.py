"""Soak test: break what vsearch reads and interrupt what it does, and compare its answers."""
