"""Training of query adapters, poolers and classifiers on stored frame features."""
