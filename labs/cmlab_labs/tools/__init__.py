"""Tools of the labs: notebook builder, gallery and recordings of studies."""
