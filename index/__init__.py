"""The gallery on disk: Faiss vectors and SQLAlchemy rows under one id, kept in step."""
