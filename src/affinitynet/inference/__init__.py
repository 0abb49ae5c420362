"""Photograph in, mask out: the one place that knows the frame of the image and the frames of the networks."""
