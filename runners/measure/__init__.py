"""Measuring, free of any framework: time, memory, and what the process, the kernel and the machine tell."""
