"""The tool-use adapter of the embedded model: data, training, a quick look at the result."""
