"""From the text in labs/src to the executed notebook in labs/, and copies for a class."""
