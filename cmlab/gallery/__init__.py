"""The labs as pages to look at: static HTML that needs no kernel, no server and no network."""
