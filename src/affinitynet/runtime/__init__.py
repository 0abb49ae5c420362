"""How results are computed; nothing here changes a result."""
