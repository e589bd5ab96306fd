"""What the harness itself costs, apart from the tests: `make benchmarks`. A module each, figures as JSON."""
