"""From the passes over an app to what people are told of."""
