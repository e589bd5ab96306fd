"""What stands in the way of a campaign on this machine, or spoils its figures, and what to do about it."""
