"""Encoders: image and text models, the query adapter, and the runtimes that execute them."""
