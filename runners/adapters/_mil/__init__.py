"""Reading and evaluating Core ML's ML Programs (MIL): package -> program -> operators."""
