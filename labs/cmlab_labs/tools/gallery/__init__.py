"""The labs as web pages: static HTML that needs no kernel, no server and no network."""
