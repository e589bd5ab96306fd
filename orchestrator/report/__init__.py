"""What people and programs read: derived from the results, made again at any time."""
