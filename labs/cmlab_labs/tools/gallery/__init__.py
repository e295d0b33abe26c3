"""Gallery: the labs as static web pages that need no kernel, server or network."""
