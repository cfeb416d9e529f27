"""The dashboard: pages served from an immutable page file.

`jobs/page_file.py` writes the file from published tables; everything here only reads it, and
writes what people tell into a file of its own. No table library is loaded: the server starts at
once and stays small.
"""
