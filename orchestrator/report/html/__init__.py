"""One self-contained HTML page about a campaign: `page.page`."""
