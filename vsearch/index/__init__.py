"""Vector indexes: exact, FAISS flat, 8-bit scalar-quantized and IVF, and their on-disk cache."""
