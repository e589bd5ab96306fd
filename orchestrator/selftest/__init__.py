"""The harness measures itself: each check has a figure, a bound and a verdict."""
