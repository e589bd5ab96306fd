"""Results of a campaign: the rows, the folder that keeps them, and the figures derived from them."""
