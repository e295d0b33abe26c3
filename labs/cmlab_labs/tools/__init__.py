"""Tools of the labs: the notebook builder, the gallery, recordings."""
