"""The report's plots as PNG files: `content` chooses what is drawn, `drawing` draws it, in a `process` of its own."""
