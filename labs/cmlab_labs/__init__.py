"""The labs' code: a folder for each lab, `common` for what several share, and the tools."""
