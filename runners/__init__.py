"""The runner's side: a gRPC server for exactly one runtime that measures in clean processes."""
