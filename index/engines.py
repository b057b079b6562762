"""What may search the descriptors of a gallery, by name; `index.vectors` reads the words that say so."""

from __future__ import annotations

FAISS, PGVECTOR, MILVUS, LITE = "faiss", "pgvector", "milvus", "milvus lite"
